import numpy as np
import pytest

from atldiff.landmarks import INNER_LIPS
from atldiff.rendering.face_parts.lip_outline import mouth_outline, round_lips, smooth_outline

LANDMARKS = [0, 4, 5, 6, 10, 14, 15, 16]  # where they are among the points of `round_lips`


def mouth(height: float) -> np.ndarray:
    """Inner lips (8, 2) from -1 to 1 with three points in the middle above and below, as in the mesh."""
    upper = [(-1, 0), (-0.3, -height), (0, -height), (0.3, -height)]
    return np.array(upper + [(-x, -y) for x, y in upper])


def area(outline: np.ndarray) -> float:
    x, y = outline.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def test_the_outline_goes_through_the_landmarks_and_is_as_symmetrical_as_they_are():
    inner = mouth(0.5)
    points, curve = round_lips(inner), smooth_outline(inner)
    np.testing.assert_allclose(points[LANDMARKS], inner, atol=1e-6)
    np.testing.assert_allclose(curve[::3], points, atol=1e-6)
    flipped = smooth_outline(inner[[4, 3, 2, 1, 0, 7, 6, 5]] * [-1, 1])
    assert area(flipped) == pytest.approx(area(curve), rel=1e-6)


def test_an_open_mouth_is_rounder_than_straight_lines_and_lies_in_its_box():
    for height in (0.1, 0.6):
        inner = mouth(height)
        curve = smooth_outline(inner)
        assert 1.15 * area(inner) < area(curve) < 1.4 * area(inner)
        assert np.abs(curve[:, 0]).max() <= 1 + 1e-6 and np.abs(curve[:, 1]).max() < 1.05 * height


def test_it_turns_and_grows_with_the_mouth_and_a_shut_one_is_a_line():
    inner, turn = mouth(0.4), np.array([[0.8, 0.6], [-0.6, 0.8]])
    np.testing.assert_allclose(smooth_outline(3 * inner @ turn), 3 * smooth_outline(inner) @ turn, atol=1e-6)
    assert area(smooth_outline(mouth(0.0))) < 1e-9
    assert np.isfinite(smooth_outline(np.zeros((8, 2)))).all()


def test_frames_are_outlined_at_once():
    landmarks = np.random.default_rng(0).random((3, 68, 2))
    together = mouth_outline(landmarks)
    assert together.shape == (3, 60, 2)
    np.testing.assert_allclose(together[1], smooth_outline(landmarks[1, INNER_LIPS]))
