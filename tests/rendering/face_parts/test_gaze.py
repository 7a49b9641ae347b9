"""Irises move within their white; glances are as often and long as people's; a still gaze changes nothing."""

import numpy as np
import pytest

from atldiff.config import FRAME_RATE
from atldiff.landmarks import LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.gaze import EYE_RADIUS, MOST, Gaze, Glances, glances, iris_shifts


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
    shift = iris_shifts(np.array([[6.0, 0], [-6, 0], [0, 6]]), np.zeros((3, 2)))
    assert shift[0, 0] == pytest.approx(-EYE_RADIUS * np.sin(np.deg2rad(3)), rel=0.03)
    assert shift[1, 0] == -shift[0, 0] and shift[2, 1] < 0 and shift[2, 0] == 0


def test_no_iris_leaves_its_white():
    shift = iris_shifts(np.full((1, 2), 60.0), np.full((1, 2), -90.0))
    assert (np.abs(shift) <= MOST).all()


def test_glances_are_as_often_and_as_long_as_written():
    angles = glances(np.ones(600 * FRAME_RATE), seed=0)
    away = np.linalg.norm(angles, axis=1) > 1
    begins = np.flatnonzero(away[1:] & ~away[:-1])
    assert 0.15 < away.mean() < 0.32
    assert 100 < len(begins) < 200  # in ten minutes
    assert np.linalg.norm(angles, axis=1).max() <= 10 + 1e-9


def test_phrase_ends_bring_more_glances():
    phrase = np.concatenate([np.ones(45), np.zeros(15)])
    activity = np.tile(phrase, 200)
    away = np.linalg.norm(glances(activity, seed=1), axis=1) > 1
    begins = np.flatnonzero(away[1:] & ~away[:-1]) % 60
    assert (begins >= 44).mean() > 0.4  # by chance a quarter


def test_a_stream_gets_the_same_glances():
    activity = np.random.default_rng(0).random(900)
    stream = Glances(3)
    parts = [stream.push(part) for part in np.split(activity, [1, 7, 400])]
    np.testing.assert_array_equal(np.concatenate(parts), glances(activity, 3))
