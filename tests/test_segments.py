from itertools import count

import numpy as np
import pytest

from atldiff.audio import Speech, load_speech
from atldiff.segments import stream_segments
from atldiff.video import read_clip


def numbered(number: int):
    """Frames whose grey level counts them, modulo 30."""
    for index in range(number):
        yield np.full((32, 32, 3), 20 + 7 * (index % 30), np.uint8)


def counted(frames: np.ndarray) -> list[int]:
    return [round((frame.mean() - 20) / 7) for frame in frames]


def hum(seconds: float) -> Speech:
    return Speech.from_samples(0.1 * np.sin(np.arange(round(16000 * seconds)) / 10))


@pytest.mark.parametrize(
    ("frames", "expected"), [(240, [90, 90, 60]), (185, [90, 95]), (60, [60]), (100, [100])]
)
def test_segments_follow_one_another_without_a_gap(tmp_path, speech_path, frames, expected):
    voice = load_speech(speech_path)
    speech = Speech.from_samples(np.resize(voice.sound, frames * 16000 // 30), 16000)
    assert speech.num_frames == frames
    clips = [read_clip(path) for path in stream_segments(tmp_path, numbered(frames), speech)]
    assert [len(clip.frames) for clip in clips] == expected
    assert [n % 30 for clip in clips for n in counted(clip.frames)] == [n % 30 for n in range(frames)]
    joined = np.concatenate([clip.speech.sound for clip in clips])
    assert 0 <= len(joined) - len(speech.sound) <= 16  # the container rounds the last end to milliseconds
    for start in (0, *np.cumsum(expected)[:-1]):  # also round the seams the sound is the recording's
        near = slice(max(0, start * 16000 // 30 - 400), start * 16000 // 30 + 400)
        assert np.abs(joined[near] - speech.sound[near]).max() < 0.05  # of a peak of 0.9


def test_a_segment_is_there_before_later_frames_are_made(tmp_path):
    made = count()
    frames = (frame for frame in numbered(240) if next(made) >= 0)
    segments = stream_segments(tmp_path, frames, hum(8))
    assert next(segments).is_file()
    assert next(made) <= 91


def test_pictures_beyond_the_recording_are_silent(tmp_path):
    paths = list(stream_segments(tmp_path, numbered(120), hum(2)))
    clips = [read_clip(path) for path in paths]
    assert sum(len(clip.frames) for clip in clips) == 120
    assert min(clip.speech.seconds - len(clip.frames) / 30 for clip in clips) > -0.001
    assert not clips[-1].speech.sound.any()
