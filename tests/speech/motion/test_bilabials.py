"""Lips close for p, b and m: completely, at the narrowest moment just before, and nowhere else."""

import numpy as np
import pytest
import torch

from atldiff.landmarks import mouth_opening
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.motion.bilabials import (
    AFTER,
    BEFORE,
    bilabial_frames,
    close_bilabials,
    recognised_bilabials,
    shut_frames,
)


def mouth(opening: float) -> np.ndarray:
    """(68, 2) face units: eyes 1 apart, lips `opening` apart, corners level."""
    points = np.zeros((68, 2))
    points[36], points[45] = (-0.5, 0), (0.5, 0)
    points[:17, 0], points[:17, 1] = np.linspace(-0.7, 0.7, 17), 1.2
    points[48:60, 0], points[48:60, 1] = np.linspace(-0.3, 0.3, 12), 0.8
    points[60], points[64] = (-0.2, 0.8), (0.2, 0.8)
    for upper, lower, x in ((61, 67, -0.1), (62, 66, 0.0), (63, 65, 0.1)):
        points[upper], points[lower] = (x, 0.8 - opening / 2), (x, 0.8 + opening / 2)
    return points


def test_peaks_of_the_probability_become_frames():
    probability = np.zeros(50)
    probability[10:13], probability[30], probability[40] = (0.6, 0.9, 0.7), 0.4, 0.5
    np.testing.assert_array_equal(bilabial_frames(probability, 50), [7, 24])  # 0.22 s and 0.8 s
    assert len(bilabial_frames(np.zeros(50), 50)) == 0


def test_lips_shut_at_the_narrowest_moment_before_the_peak():
    gap = np.full(40, 0.1)
    gap[17], gap[30] = 0.05, 0.01
    np.testing.assert_array_equal(shut_frames(gap, np.array([20])), [17])
    assert shut_frames(gap, np.array([0, 39])).tolist() == [0, 39 - BEFORE]
    assert BEFORE > AFTER


def test_shut_lips_touch_and_distant_frames_stay():
    openings = 0.1 + 0.03 * np.cos(np.arange(40) / 3)
    points = np.stack([mouth(o) for o in openings])
    closed = close_bilabials(points, np.array([20]))
    after = mouth_opening(closed)
    at = int(shut_frames(openings, np.array([20]))[0])
    assert after[at] == pytest.approx(0, abs=1e-9)
    assert (after >= -1e-9).all() and (after <= openings + 1e-9).all()
    far = np.abs(np.arange(40) - at) >= 3
    np.testing.assert_array_equal(closed[far], points[far])
    half = mouth_opening(close_bilabials(points, np.array([20]), strength=0.5))
    assert half[at] == pytest.approx(openings[at] / 2)


def test_none_recognised_changes_nothing():
    points = np.stack([mouth(0.1)] * 10)
    np.testing.assert_array_equal(close_bilabials(points, np.array([], int)), points)
    features = SpeechFeatures(torch.zeros(1, 9, 4), torch.zeros(1, 9, 4), torch.zeros(1, 4))
    assert recognised_bilabials(features) is None
