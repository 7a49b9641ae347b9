"""The command `live`: a file or the standard input becomes a signed video; what it cannot do it says."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import page
import pytest
import soundfile

from atldiff.cli.parser import main
from atldiff.live.tape import Tape
from atldiff.provenance.verify import verify

SMALL = ["--output", "crop", "--quiet"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return page.small_weights(tmp_path_factory.mktemp("weights"))


def test_a_file_and_the_standard_input_give_the_same_signed_video(
    weights, portrait_path, tmp_path, monkeypatch, capsys
):
    speech = page.recording(tmp_path / "voice.wav", 0.5)
    command = ["live", str(portrait_path), "--weights", str(weights), *SMALL]
    assert main([*command, "--input", str(speech), "-o", str(tmp_path / "file.mp4")]) == 0
    sound, rate = soundfile.read(speech, dtype="int16")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(sound.tobytes() + b"x")))
    out = tmp_path / "new" / "stream.mp4"
    assert main([*command, "--input", "-", "--rate", str(rate), "-o", str(out)]) == 0
    assert "0.5 s of live video" in capsys.readouterr().out
    for path in (tmp_path / "file.mp4", out):
        found = page.probe(path)
        assert found["frames"] == 15 and found["size"] == (128, 128)
        assert "AI-generated" in found["tags"]["comment"]
        assert verify(path).status == 0, verify(path).sentence


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--input", "microphone", "-o", "x.mp4"), "sounddevice is not installed"),
        (("--input", "-", "-o", "rtmp://127.0.0.1"), "No video can be sent to rtmp://127.0.0.1"),
        (("--input", "-", "-o", "ftp://host/x"), "Write rtmp://host/application/key"),
        (("--input", "-", "-o", "camera"), "pyvirtualcam is not installed"),
        (("--input", "-", "-o", "page", "--background", "matte"), "cannot be transparent"),
        (("--input", "-", "-o", "x.webm"), "End its name in .mp4"),
        (("--input", "-", "--channels", "3", "-o", "x.mp4"), "Give 1 or 2"),
    ],
)
def test_what_it_does_not_do_is_said_at_once(given, words, portrait_path, monkeypatch, capsys):
    for package in ("sounddevice", "pyvirtualcam"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["live", str(portrait_path), *given]) == 2
    assert words in capsys.readouterr().err


def test_an_empty_standard_input_leaves_no_file(weights, portrait_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    command = ["live", str(portrait_path), "--weights", str(weights), *SMALL]
    assert main([*command, "--input", "-", "-o", str(tmp_path / "x.mp4")]) == 2
    assert "holds no sound" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_tape_gives_what_was_appended_and_forgets_what_was_read():
    tape, sound = Tape(100, 2), np.random.default_rng(0).random((1000, 2)).astype(np.float32)
    read = []
    for start in range(0, 1000, 50):
        tape.append(sound[start : start + 50])
        assert tape.shape == (start + 50, 2)
        read.append(tape.sound[start : start + 50])
    np.testing.assert_array_equal(np.concatenate(read), sound)
    assert len(tape._kept) == 100
