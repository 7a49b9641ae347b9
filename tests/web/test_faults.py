"""What a machine may do to the page: full disks, an encoder that dies, weights that cannot be read."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import page
import pytest

from atldiff.animation import Animation
from atldiff.landmarks import NUM_LANDMARKS
from atldiff.media import video_writer as video
from atldiff.sequence import LandmarkSequence
from atldiff.web.jobs import request
from atldiff.web.jobs.forecast import Forecast
from atldiff.web.jobs.service import Service

ASKED = {"portrait": str(page.EXAMPLES / "drawn.jpg"), "speech": str(page.EXAMPLES / "bilabials.flac")}
TOLD = "The server's disk is full. Try again in a few minutes."


class Pipeline:
    """Grey frames in the place of the networks; what is tested comes after them."""

    def landmarks(self, portrait, speech, options) -> LandmarkSequence:
        points = np.repeat(portrait.landmarks[None], 12, axis=0)
        assert points.shape[1] == NUM_LANDMARKS
        return LandmarkSequence(points, portrait.landmarks, np.zeros(4, np.float32))

    def render(self, portrait, landmarks, options, speech) -> Iterator[np.ndarray]:
        return (np.full((32, 32, 3), 10 * number, np.uint8) for number in range(12))


@pytest.fixture
def shop(tmp_path) -> Service:
    def make(animation: Animation, folder: Path):
        return request.make(Pipeline(), animation, folder)

    return Service(Pipeline().landmarks, make, None, tmp_path, Forecast(0.01, 1))


@pytest.mark.parametrize("number", [0, 5])
def test_an_encoder_that_dies_in_the_middle_is_told_and_the_next_video_is_made(
    shop, tmp_path, monkeypatch, number, caplog
):
    whole = video.Pictures.convert

    def convert(self, frame, index):
        if index == number:
            raise av.error.ExternalError(542398533, "Generic error in an external library")
        return whole(self, frame, index)

    with monkeypatch.context() as broken:
        broken.setattr(video.Pictures, "convert", convert)
        with pytest.raises(av.FFmpegError) as failed:
            list(shop.animate(ASKED))
    sentence = request.explain(failed.value)
    assert sentence.startswith("Something failed on our side (error ") and "external" not in sentence
    assert sentence.split("error ")[1][:8] in caplog.text
    assert list(tmp_path.iterdir()) == []
    assert list(shop.animate(ASKED))[-1].words.startswith("Done")


def test_a_full_disk_is_told_and_the_page_goes_on_when_there_is_room_again(server, tmp_path):
    """On a running server: in the middle of a video, and when it is given out."""
    url, disk = server
    if not disk.is_mount():
        pytest.skip("no disk may be mounted here")
    photo, voice = page.photo(tmp_path / "face.png", 320), page.recording(tmp_path / "voice.wav", 1)
    portrait, speech = page.uploaded(url, photo, voice)
    data = page.arguments(url, {"portrait": portrait, "speech": speech})

    def answer() -> list | str:
        event = httpx.post(page.call(url), json={"data": data}, timeout=page.PATIENCE).json()["event_id"]
        return page.answered(url, event)

    filler = disk / "filler"
    for left in (0, 50_000):
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(disk).free - left))
        assert TOLD in answer()
        sent = httpx.post(f"{url}gradio_api/upload", files=[("files", ("a.wav", bytes(400_000)))])
        assert sent.status_code == 500 and sent.text == TOLD
        filler.unlink()
    assert answer()[0]["url"].endswith(".mp4")
    assert not list(disk.glob("atldiff-*/job-*"))


def test_a_server_with_weights_that_cannot_be_read_says_so_and_stops(tmp_path):
    folder = tmp_path / "weights"
    shutil.copytree(page.ROOT / "atldiff" / "weights" / "starter", folder)
    file = next(folder.glob("unet/*.safetensors"))
    file.write_bytes(file.read_bytes()[:1000])
    settings = {"ATLDIFF_WEIGHTS": str(folder), "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1", **page.QUIET}
    done = subprocess.run(
        [sys.executable, str(page.ROOT / "app.py")], cwd=tmp_path, env=os.environ | settings,
        capture_output=True, text=True, timeout=4 * page.PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"error: The weights in {folder} cannot be read: Save or fetch them again" in done.stderr
    assert not list(tmp_path.glob("atldiff-*"))
