"""The judge of head motion tells what differs, and cannot tell what does not."""

import numpy as np
import pytest

from atldiff.config import FRAME_RATE
from atldiff.evaluation.motion import (
    FEATURES,
    WINDOW,
    band_shares,
    halvings,
    judge_auc,
    judge_bank,
    logistic,
    motion_features,
    windows,
)


def wandering(rng: np.random.Generator, count: int, pace: float = 0.95) -> np.ndarray:
    """(count, WINDOW, 6) poses that wander about zero."""
    poses, noise = np.zeros((count, WINDOW, 6)), rng.normal(size=(count, WINDOW, 6))
    for i in range(1, WINDOW):
        poses[:, i] = pace * poses[:, i - 1] + noise[:, i]
    return poses


def test_windows_are_consecutive_pieces_of_a_track():
    track = np.arange(300)[:, None]
    cut = windows(track)
    assert cut.shape == (2, WINDOW, 1) and cut[1, 0, 0] == WINDOW
    assert windows(track[:50]).shape == (0, WINDOW, 1)


def test_a_sine_has_its_power_in_its_own_band():
    seconds = np.arange(WINDOW) / FRAME_RATE
    values = np.sin(2 * np.pi * 1.5 * seconds)[None, :, None]
    low, middle, high = band_shares(values)[0, :, 0]
    assert middle > 0.95 and low + high < 0.05


def test_still_heads_have_finite_features():
    features = motion_features(np.zeros((2, WINDOW, 6)), np.ones((2, WINDOW)))
    assert features.shape == (2, FEATURES) and np.isfinite(features).all()
    assert features[0, -1] == 1


def test_the_ratio_is_that_of_the_speeds_in_speech_and_pauses():
    loud = np.repeat([1.0, 0.0], WINDOW // 2)[None]
    steps = np.where(loud[0] > 0.5, 1.0, 0.25)
    poses = np.zeros((1, WINDOW, 6))
    poses[0, :, 0] = np.cumsum(steps)
    ratio = np.exp(motion_features(poses, loud)[0, -4])
    assert ratio == pytest.approx(30.1 / 7.6, rel=0.05)


def test_logistic_finds_the_true_weights():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 2))
    labels = rng.random(20000) < 1 / (1 + np.exp(-(x @ [1.0, -2.0] + 0.5)))
    np.testing.assert_allclose(logistic(x, labels.astype(float), ridge=0.0), [1, -2, 0.5], atol=0.1)


def test_the_judge_is_unsure_of_the_same_and_sure_of_another_motion():
    rng = np.random.default_rng(1)
    people = [f"p{i % 20}" for i in range(200)]
    loud = rng.random((200, WINDOW))
    first, second, jerky = (motion_features(wandering(rng, 200, pace), loud) for pace in (0.95, 0.95, 0.5))
    assert 0.35 < judge_auc(first, second, people, people) < 0.65
    assert judge_auc(first, jerky, people, people) > 0.95


def test_halvings_part_the_people():
    people = [f"p{i}" for i in range(9)] * 2
    halves = halvings(people, 5)
    assert len(halves) == 5 and len({frozenset(a) for a, _ in halves}) > 1
    for a, b in halves:
        assert not a & b and a | b == set(people)


def test_a_bank_of_half_of_the_people_is_judged_by_the_other_half():
    rng, pieces = np.random.default_rng(2), []
    for index in range(20):
        moves = np.column_stack([wandering(rng, 2, 0.95).reshape(-1, 6), np.zeros(2 * WINDOW)])
        pieces.append((f"p{index}", np.column_stack([moves, rng.random(2 * WINDOW)])))
    chances = judge_bank(pieces, count=2)
    assert len(chances) == 2 and all(0 <= chance <= 1 for chance in chances)
