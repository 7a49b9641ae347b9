"""Head motion from a voice: a stream, the same for the same seed, calm in pauses, from the embedded bank."""

import numpy as np
import pytest

from atldiff.config import FRAME_RATE
from atldiff.media.speech import SAMPLE_RATE, load_speech
from atldiff.speech.motion import head_motion
from atldiff.speech.motion.head_motion import (
    FADE,
    FUTURE,
    HOP,
    MOVES,
    Bank,
    HeadMotion,
    head_moves,
    load_bank,
    loudness,
)


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Loudness of somebody who speaks in phrases of about a second."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(0, 1.1, round(seconds) + 2).repeat(FRAME_RATE)
    return np.convolve(steps, np.ones(9) / 9, "same")[: round(seconds * FRAME_RATE)]


@pytest.fixture(scope="module")
def bank() -> Bank:
    """Two tracks: one speaks loudly and nods, the other is silent and turns slowly."""
    seconds = np.arange(400) / FRAME_RATE
    loud, silent = np.zeros((400, MOVES + 1)), np.zeros((400, MOVES + 1))
    loud[:, 1], loud[:, MOVES] = 3 * np.sin(2 * np.pi * seconds), 1
    silent[:, 0] = 2 * np.sin(2 * np.pi * 0.1 * seconds)
    return Bank.from_tracks([loud, silent])


def test_a_long_recording_begins_as_a_short_one():
    heard = voice(20)
    whole, part = head_moves(heard, 600), head_moves(heard[:240], 240)
    np.testing.assert_array_equal(whole[: 240 - FUTURE], part[: 240 - FUTURE])


def test_the_stream_does_not_depend_on_how_it_is_cut():
    heard, rng = voice(12), np.random.default_rng(3)
    motion, parts = HeadMotion(seed=5), []
    cuts = np.sort(rng.integers(0, len(heard), 40))
    for piece in np.split(heard, cuts):
        parts.append(motion.push(piece))
    parts.append(motion.flush())
    np.testing.assert_array_equal(np.concatenate(parts), head_moves(heard, len(heard), seed=5))


def test_a_frame_is_given_half_a_second_after_it_is_heard():
    assert FUTURE / FRAME_RATE <= 0.5
    given = HeadMotion().push(voice(4))
    assert len(given) >= 4 * FRAME_RATE - FUTURE


def test_the_seed_decides():
    heard = voice(10)
    one, again, other = (head_moves(heard, 300, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.5


def test_it_begins_at_rest_and_strength_scales_it():
    heard = voice(6)
    moves = head_moves(heard, 180)
    assert not moves[0].any() and moves.shape == (180, MOVES)
    np.testing.assert_allclose(head_moves(heard, 180, strength=0.5), 0.5 * moves)
    assert not head_moves(heard, 180, strength=0).any()


def test_a_loud_voice_gets_a_loud_voices_motion(bank):
    moves = head_moves(np.ones(300), 300, bank=bank)
    assert np.abs(moves[60:, 1]).max() > 3 and np.abs(moves[60:, 0]).max() < 0.1


def test_a_pause_calms_the_head(bank):
    heard = np.concatenate([np.ones(200), np.zeros(300)])
    moves = head_moves(heard, 500, bank=bank)
    speed = np.abs(np.diff(moves[:, :3], axis=0)).sum(axis=1)
    assert speed[350:].mean() < 0.4 * speed[60:200].mean()


def test_no_join_jumps():
    moves = head_moves(voice(40, seed=2), 1200, seed=3)
    assert np.abs(np.diff(moves[:, :3], axis=0)).max() * FRAME_RATE < 120  # degrees a second
    assert np.abs(np.diff(moves[:, :3], 2, axis=0)).max() * FRAME_RATE**2 < 2500


def test_two_pieces_at_most_are_mixed():
    assert FADE < HOP


def test_the_embedded_bank_is_small_and_centred():
    bank = load_bank()
    assert head_motion.BANK.stat().st_size <= 60_000
    assert len(bank.moves) > 200 * FRAME_RATE
    assert np.abs(np.median(bank.moves, axis=0)[:3]).max() < 1


def test_frames_beyond_the_voice_are_silent():
    assert head_moves(voice(2), 90).shape == (90, MOVES)


def test_loudness_is_one_at_the_level_of_speech_and_zero_in_silence():
    noise = np.random.default_rng(0).normal(size=SAMPLE_RATE * 2)
    loud = loudness(noise * 10 ** ((-23 + head_motion._LOUD) / 20), 60)
    np.testing.assert_allclose(loud[10:50], 1, atol=0.05)
    assert loudness(np.zeros(SAMPLE_RATE), 30).max() < 1e-9


def test_loudness_looks_ahead_no_further_than_it_says():
    samples = np.random.default_rng(0).normal(size=SAMPLE_RATE * 2) * 0.05
    cut = samples.copy()
    cut[SAMPLE_RATE:] = 0
    frames = FRAME_RATE - head_motion._SMOOTH - 1
    np.testing.assert_allclose(loudness(samples, 60)[:frames], loudness(cut, 60)[:frames])


def test_a_recording_moves_the_head(speech_path):
    speech = load_speech(speech_path)
    moves = head_moves(speech, speech.num_frames)
    assert moves.shape == (speech.num_frames, MOVES) and moves[:, 0].std() > 0.3
