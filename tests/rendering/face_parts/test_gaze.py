"""Irises move within their white; a still gaze changes nothing."""

import numpy as np
import pytest

from atldiff.landmarks import LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.gaze import EYE_RADIUS, MOST, Gaze, iris_shifts


@pytest.fixture(scope="module")
def eyes():
    """(image, landmarks, mesh) of two white eyes with round black irises on plain skin."""
    import cv2

    points, mesh = np.full((68, 2), 300.0), np.zeros((478, 2))
    eye = np.array([[0, 0], [22, -14], [56, -14], [80, 0], [56, 14], [22, 14]], float)
    image = np.full((400, 480, 3), (190, 140, 110), np.uint8)
    for part, corner, first in ((RIGHT_EYE, (120, 200), 468), (LEFT_EYE, (280, 200), 473)):
        points[part] = eye + corner
        cv2.fillPoly(image, [np.round(points[part]).astype(np.int32)], (250, 250, 250))
        middle = np.array(corner) + (40, 0)
        cv2.circle(image, tuple(int(v) for v in middle), 10, (5, 5, 5), -1, cv2.LINE_AA)
        mesh[first] = middle
        mesh[first + 1 : first + 5] = middle + np.array([[10, 0], [0, -10], [-10, 0], [0, 10]])
    return image, points, mesh


def iris_middle(image: np.ndarray, x: int) -> np.ndarray:
    part = image[188:212, x : x + 80].mean(axis=2) < 90
    rows, columns = np.nonzero(part)
    return np.array([columns.mean(), rows.mean()])


def test_no_shift_changes_nothing(eyes):
    image, points, mesh = eyes
    frame = image.copy()
    Gaze.from_photo(image, points, mesh).paint(frame, points, np.zeros(2))
    np.testing.assert_array_equal(frame, image)


@pytest.mark.parametrize("shift", [(0.02, 0.0), (-0.02, 0.0), (0.0, 0.01)])
def test_the_iris_moves_as_far_as_asked_and_keeps_its_form(eyes, shift):
    image, points, mesh = eyes
    frame = image.copy()
    Gaze.from_photo(image, points, mesh).paint(frame, points, np.array(shift))
    iod = float(np.linalg.norm(points[45] - points[36]))
    for x in (120, 280):
        way = iris_middle(frame, x) - iris_middle(image, x)
        np.testing.assert_allclose(way, np.array(shift) * iod, atol=0.6)
        then, now = ((f[180:220, x : x + 80].mean(axis=2) < 90).sum() for f in (image, frame))
        assert now == pytest.approx(then, rel=0.08)


def test_skin_and_corners_stay(eyes):
    image, points, mesh = eyes
    frame = image.copy()
    Gaze.from_photo(image, points, mesh).paint(frame, points, np.array([0.025, 0.0]))
    np.testing.assert_array_equal(frame[:180], image[:180])
    np.testing.assert_array_equal(frame[:, 205:275], image[:, 205:275])


def test_eyes_take_part_of_the_turn_back():
    shift = iris_shifts(np.array([[6.0, 0], [-6, 0], [0, 6]]))
    assert shift[0, 0] == pytest.approx(-EYE_RADIUS * np.sin(np.deg2rad(3)), rel=0.03)
    assert shift[1, 0] == -shift[0, 0] and shift[2, 1] < 0 and shift[2, 0] == 0


def test_no_iris_leaves_its_white():
    shift = iris_shifts(np.array([[60.0, -90.0]]))
    assert (np.abs(shift) <= MOST).all()


def test_an_eye_outside_the_picture_is_not_drawn(eyes):
    image, points, mesh = eyes
    frame = image.copy()
    away = np.array([-300, 0])
    Gaze.from_photo(image, points + away, mesh[:, :2] + away).paint(
        frame, points + away, np.array([0.02, 0.0])
    )
    assert (frame[:, 85:] == image[:, 85:]).all()
