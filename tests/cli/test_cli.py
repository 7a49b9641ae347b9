"""The command line: bad input leaves with status 2, one sentence and no file; good input makes a video."""

import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import page
import pytest
import soundfile
from PIL import Image

from atldiff import animation
from atldiff.cli.batch import read_jobs
from atldiff.cli.jobs import Job, reserve_files
from atldiff.cli.parser import main, make_parser
from atldiff.errors import InputError
from atldiff.media.video_writer import MARK
from atldiff.options import Options
from atldiff.pipeline import STARTER, ATLDiffPipeline
from atldiff.provenance.origin import Origin, Rendering

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PORTRAIT, RECORDING = EXAMPLES / "drawn.jpg", EXAMPLES / "hello_world.flac"


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> list[str]:
    """The option that names the weights: none for the embedded starter, else an untrained pipeline."""
    if (STARTER / "model_index.json").exists():
        return []
    folder = tmp_path_factory.mktemp("weights")
    ATLDiffPipeline.from_preset("starter").save_pretrained(folder)
    return ["--weights", str(folder)]


@pytest.fixture
def second(tmp_path) -> Path:
    """A recording of one second."""
    sound, rate = soundfile.read(RECORDING)
    soundfile.write(tmp_path / "second.wav", sound[rate : 2 * rate], rate)
    return tmp_path / "second.wav"


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def assert_refused(arguments: list, capsys, folder: Path, *words: str) -> None:
    """Status 2, one sentence that holds the words, nothing on stdout, nothing left behind."""
    before = files(folder)
    assert main([str(a) for a in arguments] + ["--quiet"]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert out == "" and len(lines) == 1, (out, err)
    assert all(word in lines[0] for word in words), lines[0]
    assert files(folder) == before


def bad_photo(kind: str, folder: Path) -> Path:
    path = folder / "photo.jpg"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not a picture")
    elif kind == "broken":
        path.write_bytes(PORTRAIT.read_bytes()[:2000])
    elif kind == "sound":
        shutil.copy(RECORDING, path)
    elif kind == "no face":
        Image.fromarray(np.full((300, 300, 3), 128, np.uint8)).save(path)
    elif kind == "tiny face":
        Image.open(PORTRAIT).resize((60, 60)).save(path)
    return path


@pytest.mark.parametrize(
    "kind", ["missing", "folder", "empty", "text", "broken", "sound", "no face", "tiny face"]
)
def test_bad_photo(kind, tmp_path, capsys):
    photo = bad_photo(kind, tmp_path)
    assert_refused(["generate", photo, RECORDING, "-o", tmp_path / "new" / "o.mp4"], capsys, tmp_path)


def bad_recording(kind: str, folder: Path) -> Path:
    path = folder / "voice.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not a recording")
    elif kind == "picture":
        shutil.copy(PORTRAIT, path)
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0), 16_000)
    elif kind == "silent":
        soundfile.write(path, np.zeros(16_000), 16_000)
    elif kind == "NaN":
        soundfile.write(path, np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    elif kind == "no sound track":
        return page.silent_film(folder / "silent.mp4")
    return path


@pytest.mark.parametrize(
    "kind",
    ["missing", "folder", "empty", "text", "picture", "no samples", "silent", "NaN", "no sound track"],
)
def test_bad_recording(kind, tmp_path, capsys):
    recording = bad_recording(kind, tmp_path)
    assert_refused(["generate", PORTRAIT, recording, "-o", tmp_path / "new" / "o.mp4"], capsys, tmp_path)


def test_recording_over_the_limit(tmp_path, capsys):
    arguments = ["generate", PORTRAIT, RECORDING, "-o", tmp_path / "o.mp4", "--max-seconds", "2"]
    assert_refused(arguments, capsys, tmp_path, "longer than 2 s")


def test_no_such_face(tmp_path, capsys):
    assert_refused(
        ["generate", PORTRAIT, RECORDING, "-o", tmp_path / "o.mp4", "--face", "3"], capsys, tmp_path
    )


def test_output_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    for out in (tmp_path / "file" / "o.mp4", tmp_path / "folder.mp4", Path("/proc/nowhere/o.mp4")):
        assert_refused(["generate", PORTRAIT, RECORDING, "-o", out], capsys, tmp_path, "cannot be written")


def test_scores_that_could_not_be_written_are_not_measured(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for command in (["validate", "--out"], ["benchmark", "--save"]):
        assert main([*command, str(tmp_path / "file" / "scores.json")]) == 2
        assert "cannot be written" in capsys.readouterr().err


def test_output_of_the_wrong_kind(tmp_path, capsys):
    start = ["generate", PORTRAIT, RECORDING]
    assert_refused([*start, "-o", tmp_path / "o.gif"], capsys, tmp_path, ".mp4")
    assert_refused([*start, "-o", tmp_path / "o.mp4", "--background", "matte"], capsys, tmp_path, ".webm")
    assert_refused([*start, "--landmarks", tmp_path / "o.csv"], capsys, tmp_path, ".npz")
    assert_refused(start, capsys, tmp_path, "-o")


def test_two_outputs_of_one_name(tmp_path, capsys):
    same, points = tmp_path / "o.mp4", tmp_path / "p.json"
    start = ["generate", PORTRAIT, RECORDING]
    assert_refused([*start, "-o", same, "--landmarks", same], capsys, tmp_path, "two outputs")
    round_about = tmp_path / ".." / tmp_path.name / "p.json"
    twice = ["--landmarks", points, "--landmarks", round_about]
    assert_refused([*start, *twice], capsys, tmp_path, "two outputs")


def test_names_that_are_too_long(tmp_path, capsys):
    long = "n" * 300
    out = ["-o", tmp_path / "o.mp4"]
    assert_refused(["generate", f"{long}.jpg", RECORDING, *out], capsys, tmp_path, "too long")
    assert_refused(["generate", PORTRAIT, f"{long}.wav", *out], capsys, tmp_path, "too long")
    assert_refused(
        ["generate", PORTRAIT, RECORDING, *out, "--from-landmarks", f"{long}.npz"],
        capsys,
        tmp_path,
        "too long",
    )
    for name in (tmp_path / f"{long}.mp4", tmp_path / long / "o.mp4"):
        assert_refused(["generate", PORTRAIT, RECORDING, "-o", name], capsys, tmp_path, "cannot be written")


def test_a_name_that_cannot_be_printed_is_escaped(tmp_path, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setattr("atldiff.cli.generate.Runner.run", lambda self, job: [f"{job.output.name}: made"])
    assert main(["generate", "a.jpg", "b.wav", "-o", str(tmp_path / "\u00fc\udcff.mp4")]) == 0
    stdout.flush()
    assert stdout.buffer.getvalue() == b"\\xfc\\udcff.mp4: made\n"


def test_output_over_an_input(tmp_path, capsys):
    video = tmp_path / "talk.mp4"
    video.write_bytes(b"precious")
    assert_refused(["generate", PORTRAIT, video, "-o", video], capsys, tmp_path, "overwritten")
    assert video.read_bytes() == b"precious"


@pytest.mark.parametrize("content", [None, b"", b"{}", b"PK\x03\x04 broken", b'{"points": [[1, 2]]}'])
def test_bad_landmark_file(content, tmp_path, capsys):
    given = tmp_path / "given.json"
    if content is not None:
        given.write_bytes(content)
    arguments = ["generate", PORTRAIT, RECORDING, "-o", tmp_path / "o.mp4", "--from-landmarks", given]
    assert_refused(arguments, capsys, tmp_path)


@pytest.mark.parametrize(
    ("option", "word"),
    [(["--steps", "0"], "1 to 8"), (["--steps", "9"], "1 to 8"), (["--steps", "1.5"], "whole number"),
     (["--steps", "abc"], "1 to 8"), (["--seed", "-1"], "0 to 2147483647"),
     (["--seed", "1" + 30 * "0"], "0 to 2147483647"), (["--lips", "9"], "0 to 2"),
     (["--lips", "nan"], "0 to 2"), (["--output", "huge"], "photo, square, crop"), (["--face", "0"], "1 to")],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)  # fmt: skip
def test_values_out_of_range_are_refused_with_the_range(option, word, tmp_path, capsys):
    arguments = ["generate", PORTRAIT, RECORDING, "-o", tmp_path / "o.mp4", *option]
    assert_refused(arguments, capsys, tmp_path, f"{option[0][2:]} cannot be", word)


@pytest.mark.parametrize("option", [["--weights", "no/such/folder"], ["--emotion", "hungry"]])
def test_settings_that_do_not_exist(option, weights, second, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    chosen = option if option[0] == "--weights" else [*weights, *option]
    assert_refused(["generate", PORTRAIT, second, "-o", tmp_path / "o.mp4", *chosen], capsys, tmp_path)


def test_a_gpu_that_is_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    arguments = ["generate", PORTRAIT, RECORDING, "-o", tmp_path / "o.mp4", "--device", "cuda"]
    assert_refused(arguments, capsys, tmp_path, "CUDA")


def test_stopping_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(animation, "load_portrait", stop)
    assert main(["generate", str(PORTRAIT), str(RECORDING), "-o", str(tmp_path / "new" / "o.mp4")]) == 130
    assert capsys.readouterr().err.strip() == "stopped" and files(tmp_path) == set()


def test_a_failure_keeps_what_was_there_before(tmp_path):
    old, new = tmp_path / "old.mp4", tmp_path / "a" / "b" / "new.npz"
    old.write_bytes(b"precious")
    with pytest.raises(InputError), reserve_files([old, new]):
        new.touch()
        raise InputError("Something", "Else")
    assert files(tmp_path) == {old} and old.read_bytes() == b"precious"


def test_a_job_that_is_terminated_leaves_nothing_behind(weights, second, tmp_path, monkeypatch, capsys):
    def unheard(*_):
        raise AssertionError("SIGTERM would have ended the process at once")

    def pictures():
        yield np.zeros((64, 64, 3), np.uint8)
        assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".mp4"]  # the unfinished video
        signal.raise_signal(signal.SIGTERM)
        yield np.zeros((64, 64, 3), np.uint8)

    before = files(tmp_path)
    monkeypatch.setattr(ATLDiffPipeline, "render", lambda *_, **__: Rendering(pictures(), Origin()))
    previous = signal.signal(signal.SIGTERM, unheard)
    try:
        status = main(
            ["generate", str(PORTRAIT), str(second), "-o", str(tmp_path / "new" / "o.mp4"), *weights]
        )
        assert signal.getsignal(signal.SIGTERM) is unheard
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert status == 130 and capsys.readouterr().err.strip() == "stopped"
    assert files(tmp_path) == before


def test_a_file_of_poses_turns_the_head(weights, second, tmp_path, capsys):
    saved, poses = tmp_path / "points.json", tmp_path / "poses.csv"
    poses.write_text("yaw,pitch,roll\n0,0,0\n5,-2,1\n")
    start = ["generate", str(PORTRAIT), str(second), *weights, "--landmarks", str(saved)]
    assert main([*start, "--poses", str(poses)]) == 0
    pose = [row[:6] for row in json.loads(saved.read_text())["pose"]]
    assert len(pose) == 30 and pose[0] == [0] * 6 and pose[1] == pose[-1] == [5, -2, 1, 0, 0, 0]
    poses.write_text("5,x,1\n")
    capsys.readouterr()
    assert main([*start, "--poses", str(poses)]) == 2
    assert "which is no number" in capsys.readouterr().err
    assert main([*start, "--driving-video", str(poses)]) == 2
    assert capsys.readouterr().err.count("error: ") == 1


def test_makes_landmarks_then_a_video_of_the_recording(weights, second, tmp_path, capsys):
    saved, drawn, video = tmp_path / "points.JSON", tmp_path / "drawn.Mp4", tmp_path / "new" / "O.MP4"
    start = ["generate", str(PORTRAIT), str(second), *weights]
    assert main([*start, "--landmarks", str(saved), "--landmarks", str(drawn)]) == 0
    assert len(json.loads(saved.read_text())["points"]) == 30 and drawn.stat().st_size > 1000
    arguments = ["-o", str(video), "--from-landmarks", str(saved), "--output", "crop", "--steps", "1"]
    capsys.readouterr()
    assert main([*start, *arguments]) == 0
    assert f"{video}: 1.0 s of video at 128x128, made in" in capsys.readouterr().out
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (128, 128, 30)
        assert sum(1 for _ in container.decode(stream)) == 30 and container.streams.audio
    assert files(tmp_path) == {second, saved, drawn, video, video.parent}
    assert all(page.probe(path)["tags"].items() >= MARK.items() for path in (drawn, video))


def test_a_recording_without_speech_gets_a_note(weights, tmp_path, capsys):
    soundfile.write(tmp_path / "hum.wav", 0.1 * np.sin(np.arange(32_000) / 20), 16_000)
    arguments = ["generate", str(PORTRAIT), str(tmp_path / "hum.wav"), *weights]
    assert main([*arguments, "--landmarks", str(tmp_path / "points.npz"), "--quiet"]) == 0
    assert "note: No speech is heard" in capsys.readouterr().err


def test_batch_goes_on_after_a_bad_job(weights, second, tmp_path, capsys):
    shutil.copy(PORTRAIT, tmp_path / "face.jpg")
    table, out = tmp_path / "jobs.csv", tmp_path / "videos"
    table.write_text("photo,recording,video\nnone.jpg,second.wav,\nface.jpg,second.wav,talk.mp4\n")
    options = ["--output", "crop", "--steps", "1", "--quiet", *weights]
    assert main(["batch", str(table), "-o", str(out), *options]) == 2
    stdout, stderr = capsys.readouterr()
    assert "[2/2]" in stdout and "talk.mp4" in stdout and "[1/2] error" in stderr
    assert files(out) == {out / "talk.mp4"}


def test_a_table_may_name_any_option(tmp_path, capsys):
    table = tmp_path / "t.csv"
    table.write_text("photo,recording,steps,lips,video\na.jpg,b.wav,4,,talk.mp4\na.jpg,c.wav,,0.5,\n")
    first, second = read_jobs(table, tmp_path, Options(steps=2, seed=7)).jobs
    assert first.options == Options(steps=4, seed=7) and first.output == tmp_path / "talk.mp4"
    assert second.options == Options(steps=2, seed=7, lips=0.5)
    table.write_text("photo,recording,steps\na.jpg,b.wav,many\n")
    assert_refused(["batch", table, "-o", tmp_path / "videos"], capsys, tmp_path, "steps cannot be many")
    table.write_text("photo,recording,volume\na.jpg,b.wav,3\n")
    assert_refused(["batch", table, "-o", tmp_path / "videos"], capsys, tmp_path, "unknown column: volume")


def test_jobs_of_a_folder_and_of_a_table(tmp_path):
    for name in ("a.jpg", "a.wav", "b.png", "c.mp3"):
        (tmp_path / name).touch()
    pair = Job(tmp_path / "a.jpg", tmp_path / "a.wav", Path("out/a.mp4"))
    assert read_jobs(tmp_path, Path("out")).jobs == [pair]
    (tmp_path / "t.csv").write_text("photo,recording\na.jpg,c.mp3\n")
    assert read_jobs(tmp_path / "t.csv", Path("out")).jobs[0].output == Path("out/a-c.mp4")


@pytest.mark.parametrize("text", ["", "photo\na.jpg\n", "photo,recording\n", "photo,recording\na.jpg\n"])
def test_a_table_without_jobs(text, tmp_path, capsys):
    (tmp_path / "t.csv").write_text(text)
    assert_refused(["batch", tmp_path / "t.csv", "-o", tmp_path / "videos"], capsys, tmp_path)
    (tmp_path / "empty").mkdir()
    assert_refused(["batch", tmp_path / "empty", "-o", tmp_path / "videos"], capsys, tmp_path)


@pytest.mark.parametrize("arguments", [["generate"], ["generate", "a", "b", "--loud"], ["sing"], []])
def test_wrong_options_leave_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2 and "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "prepare --data . --workers 0",
        "prepare --data . --size -5",
        "train diffusion --out o --steps -3",
        "train diffusion --out o --batch 0.5",
        "train diffusion --out o --learning-rate nan",
        "train emotion --data . --out o --seed -1",
        "validate --steps 0",
    ],
)
def test_numbers_out_of_range_leave_with_a_sentence(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    option, text = words.split()[-2:]
    assert stopped.value.code == 2 and f"argument {option}: {text} is no " in capsys.readouterr().err


def test_every_command_has_a_page_of_help(capsys):
    for command in (
        ["generate"],
        ["batch"],
        ["prepare"],
        ["train", "diffusion"],
        ["validate"],
        ["benchmark"],
    ):
        with pytest.raises(SystemExit) as stopped:
            make_parser().parse_args([*command, "--help"])
        assert stopped.value.code == 0 and "usage:" in capsys.readouterr().out


def test_as_a_process_it_says_one_sentence(tmp_path):
    command = [sys.executable, "-m", "atldiff", "generate", "none.jpg", str(RECORDING), "-o", "new/o.mp4"]
    root = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": root}
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert files(tmp_path) == set()
