"""The live forms of a face's motion agree with a video's."""

import numpy as np
import pytest

from atldiff.live.hearing import Hearing
from atldiff.live.motion import FaceStream
from atldiff.media.speech import load_speech, voice_activity
from atldiff.media.voice_activity import loudness_curve, speech_activity, speech_threshold
from atldiff.options import Options
from atldiff.speech.motion.blinks import blink_curve
from atldiff.speech.motion.expressions import AHEAD as LATE_EMOTION
from atldiff.speech.motion.expressions import envelope, facial_expression
from atldiff.speech.motion.glances import glance_angles
from atldiff.speech.motion.head_motion import AHEAD, head_moves, loudness


@pytest.fixture(scope="module")
def speech(speech_path):
    return load_speech(speech_path).cut(0, 3)


@pytest.fixture(scope="module")
def rest() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (68, 2))


def test_head_brows_blinks_and_glances_are_those_of_a_video_that_begins_later(speech, rest):
    options, activity = Options(emotion="happy", feeling=1.0, seed=4), voice_activity(speech)
    voice = loudness(speech.samples, len(activity))
    stream = FaceStream(rest, options, 3)
    breath = FaceStream(rest, Options(emotion="neutral", seed=4, liveliness=0), 3)
    late = stream.head_lag - AHEAD
    padded = np.pad(voice, (late, 0))[: len(voice)]
    parts = [slice(start, start + 3) for start in range(0, len(activity), 3)]
    moves = [stream.push(padded[part], activity[part], "happy") for part in parts]
    displacement, poses, blinks = (np.concatenate(part) for part in zip(*moves, strict=True))
    np.testing.assert_array_equal(blinks, blink_curve(activity, 1.0, 4))
    np.testing.assert_array_equal(poses[:, 6:], glance_angles(activity, 1.0, 4))
    whole = head_moves(np.pad(voice, (stream.head_lag, 0)), len(voice) + stream.head_lag, 4)[: len(voice)]
    amount = np.pad(envelope(activity), (LATE_EMOTION, 0))[: len(voice)]
    amount *= np.minimum(np.arange(1, len(voice) + 1) / 30, 1)
    motion, pose = facial_expression(rest, "happy", amount)
    chest = np.concatenate([breath._breathe(3) for _ in parts])[: len(voice)]
    np.testing.assert_allclose(poses[:, :6], whole[:, :6] + pose + chest, atol=1e-9)
    lips = slice(48, 68)
    np.testing.assert_allclose(displacement[:, lips], motion[:, lips], atol=1e-9)


def test_with_all_of_the_future_the_edits_are_a_videos(speech, rest):
    """The threshold of a whole recording makes its activity; the edits of a window are those of a video."""
    decibel, times = loudness_curve(speech.samples, 16_000), np.arange(speech.num_frames) / 30
    threshold = speech_threshold(decibel)
    assert speech_threshold(decibel, -90) == threshold < speech_threshold(decibel, 30)
    hearing = Hearing()
    hearing._recent.clear()
    hearing._recent.extend(decibel)
    hearing._measured = 10**9  # keeps these
    hearing._speech.extend([-60.0] * 1000)  # the recording's own peak is louder
    hearing.push(speech.samples, 16_000)
    heard = hearing.window(0, 90)
    expected = speech_activity(speech.samples, 16_000, times)
    np.testing.assert_allclose(heard.activity, expected, atol=0.02)


def test_level_follows_a_voice_and_not_a_pauses_noise(speech):
    noise = np.random.default_rng(0).normal(0, 10 ** (-62 / 20), 16_000 * 12).astype(np.float32)
    hearing, gains = Hearing(), []
    for sound in (0.3 * speech.samples[:48_000], noise, 0.3 * speech.samples[:48_000]):
        for block in np.split(sound, range(1_600, len(sound), 1_600)):
            hearing.push(block, 16_000)
            stop = hearing.frames // 3 * 3
            heard = hearing.window(max(0, stop - 36), stop)
        gains.append(20 * np.log10(heard.gain))
        if sound is noise:
            assert heard.activity.max() < 0.1
    assert gains[1] == pytest.approx(gains[0], abs=1.5) and gains[2] == pytest.approx(gains[0], abs=1.5)
    peaks = np.quantile(loudness_curve(0.3 * speech.samples[:48_000], 16_000), 0.95) + gains[2]
    assert peaks == pytest.approx(-20, abs=1.5)  # speech.mel.TRAINING_LEVEL


def test_an_hour_of_silence_makes_no_voice_of_a_faint_noise():
    hearing = Hearing()
    for _ in range(40):  # the memory holds ten seconds; the rest would be the same
        hearing.push(np.zeros(16_000, np.float32), 16_000)
        hearing.window(hearing.frames // 3 * 3 - 30, hearing.frames // 3 * 3)
    assert hearing.level > -41
    assert np.isfinite(hearing.window(hearing.frames - 30, hearing.frames).gain)
    noise = np.random.default_rng(0).normal(0, 10 ** (-85 / 20), 8_000).astype(np.float32)
    hearing.push(noise, 16_000)
    stop = hearing.frames // 3 * 3
    assert hearing.window(stop - 36, stop).activity.max() < 0.1


def test_what_was_heard_does_not_depend_on_rate_or_blocks(speech):
    samples = speech.samples[:9_600]
    whole, parts = Hearing(), Hearing()
    whole.push(samples, 16_000)
    for block in np.split(samples, [1, 2, 700, 5_001]):
        parts.push(block, 16_000)
    np.testing.assert_array_equal(whole.window(0, 18).samples, parts.window(0, 18).samples)
    fine = Hearing()
    fine.push(np.repeat(samples, 3), 48_000)
    fine.pad(18)
    assert fine.count == whole.count and np.corrcoef(fine._kept, whole._kept)[0, 1] > 0.98
