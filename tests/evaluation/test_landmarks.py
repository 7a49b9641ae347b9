"""Measures of landmarks against closed forms."""

import numpy as np
import pytest

from atldiff.evaluation import landmarks as metrics
from atldiff.landmarks import MOUTH, mouth_opening


def moving_mouth(num_frames: int) -> np.ndarray:
    """A face whose lips open by 0.1 + 0.1 sin(f / 3) of the 100 pixels between its eyes."""
    points = np.random.default_rng(1).uniform(0, 200, (68, 2))
    points[36], points[45] = (50, 60), (150, 60)
    points[60:68, 1] = 150
    points[[67, 66, 65], 0] = points[[61, 62, 63], 0]
    frames = np.repeat(points[None], num_frames, axis=0)
    frames[:, 65:68, 1] += 10 + 10 * np.sin(np.arange(num_frames) / 3)[:, None]
    return frames


def test_landmark_distance_of_a_known_shift():
    face = moving_mouth(5)
    moved = face.copy()
    moved[:, MOUTH] += (3, 4)
    np.testing.assert_allclose(metrics.landmark_distance(moved, face, MOUTH), 5)
    np.testing.assert_allclose(metrics.landmark_distance(moved, face), 5 * 20 / 68)
    np.testing.assert_allclose(metrics.relative_landmark_distance(3 * moved, 3 * face, MOUTH), 5)
    moved[2] = np.nan
    assert np.isnan(metrics.landmark_distance(moved, face)).tolist() == [False, False, True, False, False]


def test_correlation_of_mouths():
    opening = mouth_opening(moving_mouth(60))
    assert metrics.correlation(2 * opening + 5, opening) == pytest.approx(1)
    assert metrics.correlation(-opening, opening) == pytest.approx(-1)
    assert np.isnan(metrics.correlation(np.ones(60), opening))
    lost = opening.copy()
    lost[::7] = np.nan  # frames without a face do not count
    assert metrics.correlation(lost, opening) == pytest.approx(1)
    assert np.isnan(metrics.correlation(np.full(60, np.nan), opening))


@pytest.mark.parametrize("lag", [-4, 0, 3])
def test_best_lag_finds_a_shift_and_its_sign(lag):
    curve = np.random.default_rng(3).normal(size=120)
    reference, late = curve[10:110], curve[10 - lag : 110 - lag]  # late(t) = reference(t - lag)
    found, score = metrics.best_lag(late, reference, reach=8)
    assert found == lag and score == pytest.approx(1)


def test_best_lag_of_a_flat_curve_is_none():
    lag, score = metrics.best_lag(np.ones(30), np.arange(30.0))
    assert lag == 0 and np.isnan(score)


def test_a_lag_that_few_frames_speak_for_does_not_count():
    curve = np.random.default_rng(3).normal(size=60)
    curve[10:] = np.where(np.arange(50) < 46, np.nan, curve[10:])  # the last four frames fit anything
    lag, _ = metrics.best_lag(curve, np.arange(60.0) % 7, reach=20)
    assert abs(lag) <= 7


def test_lips_at_rest_in_silence():
    face = moving_mouth(40)
    activity = np.r_[np.zeros(20), np.ones(20)]
    resting = face.copy()
    resting[:15] = face[0]  # the lips part within the margin before speech
    assert metrics.silent_lip_motion(resting, activity) == 0
    assert metrics.silent_lip_motion(face, activity) > 1
    assert np.isnan(metrics.silent_lip_motion(face, np.ones(40)))
