"""Captions: lines, their times, and their pictures; and a clip without a player."""

import av
import numpy as np
import pytest
from PIL import Image

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.media.captions import LINE, add_captions, split_lines, time_captions
from atldiff.media.clip import SECONDS, write_clip
from atldiff.media.speech import Speech

TEXT = "One moment, please. Thank you. I have found it, and it opens on Monday."


def test_lines_end_at_sentences_and_lose_no_word():
    assert split_lines("  One two.\nThree ") == ["One two.", "Three"]
    lines = split_lines(TEXT * 5)
    assert max(map(len, lines)) <= LINE and " ".join(lines).split() == (TEXT * 5).split()
    assert split_lines("") == [] and split_lines("a" * 50) == ["a" * 50]


def test_letters_share_the_time_evenly_without_a_recording():
    captions = time_captions("aaaa. bbbb. cccc.", None, 90)
    assert [(each.begin, each.end) for each in captions] == [(0, 30), (30, 60), (60, 90)]


def test_a_line_waits_through_a_pause():
    rate, noise = 16_000, np.random.default_rng(0).normal(0, 0.2, 16_000).astype(np.float32)
    speech = Speech.from_samples(np.concatenate([noise, np.zeros(2 * rate, np.float32), noise]))
    first, second = time_captions("aaaa. bbbb.", speech, 4 * FRAME_RATE)
    assert first.begin == 0 and first.end == second.begin and second.end == 4 * FRAME_RATE
    assert FRAME_RATE < first.end < 3 * FRAME_RATE  # neither cuts into the other's words


@pytest.mark.parametrize("shape", [(128, 128, 3), (512, 288, 3), (288, 512, 4)])
def test_a_line_is_drawn_below_the_middle_and_only_in_its_time(shape):
    frames = [np.full(shape, 90, np.uint8) for _ in range(6)]
    captions = time_captions("Hi there.", None, 4)
    plain = frames[0].copy()
    made = [frame.copy() for frame in add_captions(frames, captions)]
    changed = np.abs(made[0].astype(int) - plain).max(axis=2) > 20
    rows, columns = np.nonzero(changed)
    assert rows.min() > shape[0] / 2 and changed.mean() < 0.2
    assert columns.min() + columns.max() == pytest.approx(shape[1] - 1, abs=2)
    assert made[0][..., :3].max() > 230 and (made[3] == made[0]).all() and (made[5] == plain).all()


def test_a_text_that_cannot_be_drawn_is_refused():
    with pytest.raises(InputError, match="letter '你' cannot be drawn"):
        time_captions("你好", None, 10)
    with pytest.raises(InputError, match="2001 letters"):
        time_captions("a" * 2001, None, 10)


@pytest.mark.parametrize("kind", [".gif", ".webp"])
def test_a_clip_plays_its_first_seconds_without_end_and_says_what_it_is(tmp_path, kind):
    with av.open(str(tmp_path / "long.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height = 480, 360
        for index in range(150):
            picture = np.zeros((360, 480, 3), np.uint8)
            picture[:, 3 * index : 3 * index + 9] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    with Image.open(write_clip(tmp_path / "long.mp4", tmp_path / f"a{kind}")) as clip:
        assert clip.size == (360, 270) and clip.n_frames == 50 and clip.info["loop"] == 0
        clip.seek(49)
        bar = np.asarray(clip.convert("L"))[100].argmax() / 0.75
        assert bar == pytest.approx(3 * 98, abs=9) and SECONDS == 4
        said = clip.info.get("comment") if kind == ".gif" else clip.getexif()[0x010E].encode()
    assert said.startswith(b"AI-generated")
