"""Disoccluded areas: their outline and mask."""

import numpy as np
import pytest

from atldiff.landmarks import LOWER_INNER_LIP, LOWER_LIDS, UPPER_INNER_LIP, UPPER_LIDS
from atldiff.rendering.warp.disocclusion import opened_mouth, unseen_mask


@pytest.fixture
def still() -> np.ndarray:
    return (0.25 + 0.5 * np.random.default_rng(0).random((68, 2))).astype(np.float32)


def mouth_with_gap(still: np.ndarray, gap: float) -> np.ndarray:
    points = still.copy()
    points[list(UPPER_INNER_LIP)] = [(0.4, 0.6), (0.5, 0.6), (0.6, 0.6)]
    points[list(LOWER_INNER_LIP)] = points[list(UPPER_INNER_LIP)] + (0, gap)
    return points


def test_only_what_newly_opened_of_the_mouth_is_to_be_painted(still):
    photo, same, wide = (mouth_with_gap(still, gap) for gap in (0.05, 0.05, 0.15))
    outlines, shares = opened_mouth(np.stack([same, wide]), photo)
    np.testing.assert_allclose(shares, [0, 1], atol=1e-5)
    np.testing.assert_allclose(outlines[1, 1:4, 1], 0.65, atol=1e-6)  # below what the photo shows
    np.testing.assert_allclose(outlines[1, 5:, 1], 0.75, atol=1e-6)  # down to the lower lip


def test_mask_covers_the_opened_mouth_alone():
    face = np.zeros((68, 2), np.float32) + 0.5
    face[[36, 39, 42, 45]] = [(0.2, 0.3), (0.4, 0.3), (0.6, 0.3), (0.8, 0.3)]
    face[list(UPPER_LIDS)] = [(0.27, 0.26), (0.33, 0.26), (0.67, 0.26), (0.73, 0.26)]
    face[list(LOWER_LIDS)] = face[list(UPPER_LIDS)] + (0, 0.08)
    face[[60, 64]] = [(0.35, 0.7), (0.65, 0.7)]
    face[list(UPPER_INNER_LIP)] = face[list(LOWER_INNER_LIP)] = [(0.43, 0.7), (0.5, 0.7), (0.57, 0.7)]
    opened, blink = face.copy(), face.copy()
    opened[list(LOWER_INNER_LIP), 1] += 0.15
    blink[list(UPPER_LIDS)] = blink[list(LOWER_LIDS)]
    box = np.array([0, 0, 1, 1], np.float32)
    same, mouth, blinked = unseen_mask(np.stack([face, opened, blink]), face, box, 100)
    assert same.max() == 0
    assert mouth[77, 50] == pytest.approx(1, abs=0.01) and mouth[:50].max() == 0
    assert blinked.max() == 0


def test_mask_covers_lips_that_close_over_shown_teeth(still):
    photo = mouth_with_gap(still, 0.1)
    photo[[48, 50, 51, 52, 54, 56, 57, 58]] = [
        *[(0.3, 0.65), (0.42, 0.55), (0.5, 0.54), (0.58, 0.55)],
        *[(0.7, 0.65), (0.58, 0.8), (0.5, 0.82), (0.42, 0.8)],
    ]
    closed = photo.copy()
    closed[list(LOWER_INNER_LIP)] = closed[list(UPPER_INNER_LIP)]
    box = np.array([0, 0, 1, 1], np.float32)
    open_, shut = unseen_mask(np.stack([photo, closed]), photo, box, 100)
    assert open_[65, 50] == 0 and shut[65, 50] == pytest.approx(1, abs=0.01)
