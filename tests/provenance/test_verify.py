"""Is it ours? Videos of ours, changed ones, and files of all other kinds."""

import json
import shutil
import time

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from atldiff.cli.parser import main
from atldiff.errors import InputError
from atldiff.media.video_reader import mean_picture, read_clip
from atldiff.media.video_writer import encode_video, write_video
from atldiff.provenance import verify as module
from atldiff.provenance.signing_key import find_signing_key
from atldiff.provenance.verify import DOUBTFUL, NOTHING, OURS, verify
from atldiff.provenance.watermark import Watermark


@pytest.fixture(scope="module")
def photo(portrait_path) -> np.ndarray:
    return np.asarray(Image.open(portrait_path).convert("RGB"))


@pytest.fixture(scope="module")
def video(photo, tmp_path_factory):
    """A video of ours, of four frames."""
    return write_video(tmp_path_factory.mktemp("ours") / "talk.mp4", [photo] * 4, None)


def encoded_again(source, target, codec="libx264", options=None, change=lambda frame: frame):
    """The pictures of a video, changed and encoded by a program that knows nothing of us."""
    with av.open(str(target), "w") as container:
        stream = None
        for frame in read_clip(source).frames:
            frame = np.ascontiguousarray(change(frame))
            if stream is None:
                stream = container.add_stream(codec, rate=30, options=options or {"crf": "28"})
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return target


def test_a_video_is_ours_and_unchanged(video):
    verdict = verify(video)
    assert verdict.status == OURS and verdict.marked and verdict.tagged
    assert (
        "is unchanged since atldiff signer" in verdict.sentence
        and "carry this program's mark" in verdict.sentence
    )
    assert json.loads(json.dumps(verdict.to_dict()))["credentials"]["state"] == "intact"


def test_live_output_carries_the_mark_from_its_first_frame(photo, tmp_path):
    """A recording is written while its frames are made; a stream shows the same frames."""
    steps = encode_video(tmp_path / "live.mp4", (photo for _ in range(3)), None)
    frame = next(steps)
    assert (frame == Watermark(photo).apply(photo)).all()
    list(steps)
    assert verify(tmp_path / "live.mp4").status == OURS


def test_one_changed_byte_is_told(video, tmp_path):
    content = bytearray(video.read_bytes())
    content[-500] ^= 1
    (tmp_path / "a.mp4").write_bytes(content)
    verdict = verify(tmp_path / "a.mp4")
    assert verdict.status == DOUBTFUL and "was changed since" in verdict.sentence
    assert verdict.to_dict()["credentials"]["generation"] == {}


@pytest.mark.parametrize(
    ("name", "codec", "options", "change"),
    [
        ("a.mp4", "libx264", {"crf": "28"}, lambda frame: frame),
        ("a.mkv", "libx264", {"crf": "23"}, lambda frame: frame[:, ::-1]),
        ("a.webm", "libvpx-vp9", {"b": "400000", "deadline": "realtime"}, lambda frame: frame),
        ("a.mp4", "libx264", {"crf": "23"}, lambda frame: cv2.resize(frame, (256, 256))),
    ],
    ids=["again", "mirrored", "vp9", "half"],
)
def test_a_video_that_was_encoded_again_is_told_by_its_mark(video, tmp_path, name, codec, options, change):
    verdict = verify(encoded_again(video, tmp_path / name, codec, options, change))
    assert verdict.status == DOUBTFUL and verdict.marked and verdict.credentials.state == "none"
    assert "no Content Credentials" in verdict.sentence and "carry this program's mark" in verdict.sentence


def test_a_screenshot_is_told_by_its_mark(video, tmp_path):
    Image.fromarray(read_clip(video).frames[2]).save(tmp_path / "a.jpg", quality=85)
    verdict = verify(tmp_path / "a.jpg")
    assert verdict.status == DOUBTFUL and verdict.marked and not verdict.tagged


def test_a_small_video_is_ours_without_a_mark(photo, tmp_path):
    path = write_video(tmp_path / "a.mp4", [photo[:128, :128]] * 3, None)
    verdict = verify(path)
    assert (
        verdict.status == OURS and not verdict.marked and "do not carry" not in verdict.sentence.split(".")[0]
    )


def test_an_older_video_is_told_by_its_tags(video, tmp_path):
    with av.open(str(video)) as old, av.open(str(tmp_path / "a.mp4"), "w") as new:
        new.metadata.update(old.metadata)
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    verdict = verify(tmp_path / "a.mp4")
    assert verdict.credentials.state == "none" and verdict.tagged and verdict.status == DOUBTFUL


@pytest.mark.parametrize("kind", ["photo", "sound", "text", "empty", "zeros", "cut"])
def test_other_files_are_not_ours(kind, portrait_path, speech_path, video, tmp_path):
    rest = {
        "text": b"words " * 500,
        "empty": b"",
        "zeros": bytes(10**6),
        "cut": video.read_bytes()[:40],
    }
    path = {"photo": portrait_path, "sound": speech_path}.get(kind, tmp_path / "a.mp4")
    if kind in rest:
        path.write_bytes(rest[kind])
    verdict = verify(path)
    assert verdict.status == NOTHING and verdict.credentials.state == "none" and not verdict.marked
    assert (verdict.mark is None) == (kind != "photo")


def test_a_foreign_video_is_not_ours(photo, tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = photo.shape[:2]
        container.mux(stream.encode(av.VideoFrame.from_ndarray(photo, "rgb24")))
        container.mux(stream.encode(None))
    verdict = verify(tmp_path / "a.mp4")
    assert verdict.status == NOTHING and verdict.mark is not None and not verdict.tagged


def test_what_is_too_large_is_said_and_its_mark_still_read(video, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    verdict = verify(video)
    assert "credentials were not read" in verdict.sentence and verdict.marked and verdict.status == DOUBTFUL


def test_decoding_ends_in_time(video):
    begin = time.monotonic()
    one = mean_picture(video, seconds=0.0)
    assert one.shape == (512, 512) and time.monotonic() - begin < 5
    assert np.abs(one - mean_picture(video)).mean() < 2


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "no.mp4", tmp_path):
        with pytest.raises(InputError, match="There is no file"):
            verify(path)


def test_the_command_prints_a_sentence_or_json_and_leaves_with_the_worst_status(
    video, portrait_path, tmp_path, capsys, monkeypatch
):
    assert main(["verify", str(video)]) == 0
    assert "talk.mp4: It says that this program made it" in capsys.readouterr().out
    assert main(["verify", str(video), str(portrait_path), "--json"]) == 2
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["status"] for row in rows] == [0, 2] and rows[0]["file"] == str(video)
    assert main(["verify", str(video), str(tmp_path / "no.mp4")]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert main(["verify", str(video), "--trust", str(portrait_path)]) == 2
    root = find_signing_key(create=False).certificates[-1]
    (tmp_path / "root.pem").write_bytes(root)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))  # another installation
    assert main(["verify", str(video)]) == 1
    assert "does not know that key" in capsys.readouterr().out
    assert main(["verify", str(video), "--trust", str(tmp_path / "root.pem")]) == 0


def test_a_sidecar_goes_with_its_video(photo, tmp_path):
    path = write_video(tmp_path / "a.webm", [photo[:64, :64]] * 2, None)
    assert verify(path).status == OURS
    sidecar = shutil.move(path.with_suffix(".c2pa"), tmp_path / "other.c2pa")
    alone = verify(path)
    assert alone.credentials.state == "none" and "which was not given" in alone.sentence
    assert verify(path, sidecar=sidecar).status == OURS


def test_a_sidecar_says_nothing_of_another_file_beside_it(photo, tmp_path):
    """Such as the GIF of a transparent video."""
    write_video(tmp_path / "a.webm", [photo[:64, :64]] * 2, None)
    Image.fromarray(photo).save(tmp_path / "a.gif")
    assert verify(tmp_path / "a.gif").credentials.state == "none"
