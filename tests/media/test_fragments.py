"""A video in the making plays while it grows."""

import av
import numpy as np

from atldiff.media.speech import Speech
from atldiff.media.video_writer import encode_video


def times(path, kind: str) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(**{kind: 0})]


def test_the_growing_copy_plays_in_the_middle_and_has_everything_at_the_end(tmp_path):
    noise = np.random.default_rng(0)
    sound = Speech.from_samples(noise.normal(0, 0.1, 48_000).astype(np.float32))
    picture = noise.integers(0, 255, (128, 128, 3), np.uint8)
    frames = (np.roll(picture, index, axis=1) for index in range(90))
    live, whole, sizes = tmp_path / "live.mp4", tmp_path / "whole.mp4", []
    for done, _ in enumerate(encode_video(whole, frames, sound, live=live), start=1):
        sizes.append(live.stat().st_size if live.exists() else 0)
        if done == 60:
            assert 15 <= len(times(live, "video")) <= 60 and len(times(live, "audio")) > 5
    assert len(set(sizes)) > 4 and sizes == sorted(sizes)  # several fragments
    assert times(live, "video") == times(whole, "video") == [index / 30 for index in range(90)]
    shared = len(times(whole, "audio"))
    assert times(live, "audio")[:shared] == times(whole, "audio")


def test_a_video_that_is_given_up_leaves_a_copy_that_can_be_closed(tmp_path):
    frames = (np.zeros((64, 64, 3), np.uint8) for _ in range(90))
    encoding = encode_video(tmp_path / "whole.mp4", frames, None, live=tmp_path / "live.mp4")
    for _ in range(30):
        next(encoding)
    encoding.close()
    assert not (tmp_path / "whole.mp4").exists() and len(times(tmp_path / "live.mp4", "video")) > 0
