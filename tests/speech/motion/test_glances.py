"""Glances leave the viewer where a phrase ends or begins, and come back."""

import numpy as np
import pytest

from atldiff.speech.motion.glances import AWAY, IDLE, LEAST_ANGLE, MOST_ANGLE, Glances, glance_angles


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    """Ten minutes of phrases and pauses."""
    rng = np.random.default_rng(1)
    spans = [(1.0, int(rng.integers(20, 110))) for _ in range(300)]
    pauses = [(0.0, int(rng.integers(8, 24))) for _ in range(300)]
    parts = [np.full(n, value) for pair in zip(spans, pauses, strict=True) for value, n in pair]
    return np.concatenate(parts)[:18_000]


def away_spans(angles: np.ndarray) -> list[tuple[int, int]]:
    away = np.r_[False, np.linalg.norm(angles, axis=1) > 0, False]
    edges = np.flatnonzero(away[1:] != away[:-1])
    return list(zip(edges[::2], edges[1::2], strict=True))


def test_glances_are_as_long_and_as_frequent_as_those_of_people(voice):
    spans = away_spans(glance_angles(voice, 1.0, 0))
    lengths = np.array([end - start for start, end in spans])
    contact = np.array([after[0] - before[1] for before, after in zip(spans, spans[1:], strict=False)])
    assert lengths.mean() == pytest.approx(AWAY, rel=0.2)
    assert 70 < contact.mean() < 120  # frames; 94 in the source
    size = np.linalg.norm(glance_angles(voice, 1.0, 0), axis=1).max()
    assert LEAST_ANGLE < size <= MOST_ANGLE


def test_the_eyes_leave_only_where_a_phrase_ends_or_begins(voice):
    turns = set(np.flatnonzero(voice[1:] != voice[:-1]) + 1)
    assert {start - 1 for start, _ in away_spans(glance_angles(voice, 1.0, 3))} <= turns


def test_nobody_glances_away_at_rate_zero_and_more_often_at_rate_two(voice):
    assert not glance_angles(voice, 0.0, 0).any()
    shares = [(np.linalg.norm(glance_angles(voice, rate, 0), axis=1) > 0).mean() for rate in (0.5, 1.0, 2.0)]
    assert shares[0] < shares[1] < shares[2] < 0.5


def test_a_stream_glances_as_the_whole(voice):
    stream, whole = Glances(1.0, 7), glance_angles(voice[:900], 1.0, 7)
    parts = [stream.push(part) for part in np.split(voice[:900], [1, 30, 31, 500])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(glance_angles(voice[:400], 1.0, 7), whole[:400])
    assert (glance_angles(voice[:900], 1.0, 8) != whole).any()


def test_in_a_long_silence_the_eyes_leave_and_come_back_by_themselves():
    spans = away_spans(glance_angles(np.r_[np.ones(30), np.zeros(5370)], 1.0, 0))
    later = [start for start, _ in spans if start > 31]
    assert min(later) >= 30 + IDLE and 15 < len(later) < 80  # in three minutes
