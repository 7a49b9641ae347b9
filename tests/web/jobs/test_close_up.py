"""The preview: two seconds of the face of a longer video, in a small picture."""

import numpy as np
import page
import pytest

from atldiff.animation import Animation
from atldiff.landmarks import crop_box
from atldiff.media.speech import FRAME_RATE, Speech
from atldiff.media.video_writer import write_video
from atldiff.options import DEFAULTS, Options
from atldiff.portrait.portrait import load_portrait
from atldiff.sequence import LandmarkSequence
from atldiff.web.jobs import request, service
from atldiff.web.jobs.close_up import EVERY, SECONDS, SIDE, close_up
from atldiff.web.jobs.forecast import Forecast


@pytest.fixture(scope="module")
def portrait():
    return load_portrait(page.EXAMPLES / "drawn.jpg")


def late_words(seconds: float, begin: float, end: float) -> Speech:
    """Noise that is loud, and swells as speech does, between two moments only."""
    times = np.arange(round(16_000 * seconds)) / 16_000
    loud = ((times > begin) & (times < end)) * (1 + np.sin(2 * np.pi * 4 * times))
    noise = np.random.default_rng(0).standard_normal(len(times))
    return Speech.from_samples((0.1 * (loud + 1e-3) * noise).astype(np.float32))


def moved(portrait, speech: Speech, options: Options = DEFAULTS) -> LandmarkSequence:
    """Landmarks that move one pixel a frame to the right."""
    steps = np.arange(speech.num_frames, dtype=np.float32)[:, None, None] * (1, 0)
    pose = np.repeat(np.arange(speech.num_frames, dtype=np.float32)[:, None], 8, axis=1)
    return LandmarkSequence(
        portrait.landmarks + steps, portrait.landmarks, np.zeros(4, np.float32), pose=pose
    )


def test_it_is_the_part_in_which_is_spoken_with_its_own_sound_motion_and_pose(portrait):
    speech = late_words(8, 5.0, 7.0)
    part = close_up(Animation(portrait, speech, moved(portrait, speech), DEFAULTS))
    first = int(part.landmarks.pose[0, 0])
    assert first / FRAME_RATE == pytest.approx(5.0, abs=0.4)
    assert part.landmarks.pose[:, 0].tolist() == list(range(first, first + 60, EVERY))
    assert len(part.landmarks.points) * EVERY == 60 and part.landmarks.fps * EVERY == FRAME_RATE
    np.testing.assert_array_equal(part.speech.samples, speech.cut(first / 30, first / 30 + SECONDS).samples)
    scale = np.linalg.norm(np.ptp(part.portrait.landmarks, axis=0) / np.ptp(portrait.landmarks, axis=0))
    steps = np.diff(part.landmarks.points[:, 30, 0])
    np.testing.assert_allclose(steps, EVERY * scale / np.sqrt(2), rtol=1e-3)


def test_the_face_lies_in_the_small_picture_as_in_the_photo(portrait):
    speech = late_words(1, 0.2, 0.8)
    part = close_up(Animation(portrait, speech, moved(portrait, speech), Options(captions="Hello")))
    small = part.portrait
    assert small.image.shape == (SIDE, SIDE, 3) and len(part.landmarks.points) == 15
    np.testing.assert_allclose(crop_box(small.landmarks), small.box, atol=1)
    np.testing.assert_allclose(part.landmarks.identity, small.landmarks, atol=1e-3)
    nose, there = (tuple(np.round(each[30]).astype(int)) for each in (portrait.landmarks, small.landmarks))
    difference = portrait.image[nose[1], nose[0]].astype(int) - small.image[there[1], there[0]]
    assert np.abs(difference).max() < 16
    assert part.options == DEFAULTS  # without captions


def test_a_preview_is_a_video_of_the_face_and_leaves_nothing(tmp_path):
    def grey(animation, folder):
        count, rate = len(animation.landmarks.points), animation.landmarks.fps
        frames = (animation.portrait.image for _ in range(count))
        path = write_video(folder / "talking.mp4", frames, animation.speech, rate)
        yield request.Step(count, count, video=path)

    shop = service.Service(moved, grey, None, tmp_path, Forecast(0.01, 1))
    asked = {"portrait": str(page.EXAMPLES / "drawn.jpg"), "speech": str(page.EXAMPLES / "bilabials.flac")}
    for landmarks, video in shop.preview(asked | {"file_format": "json"}):
        assert landmarks.endswith(".json") and LandmarkSequence.load(landmarks).fps == FRAME_RATE
        found = page.probe(video)
        assert found["size"] == (SIDE, SIDE) and found["frames"] == 30 and found["rate"] == 15
    assert list(tmp_path.iterdir()) == []
