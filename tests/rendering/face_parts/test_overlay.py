"""Closed lids and lips: the spline keeps them apart, and an overlay draws them."""

import numpy as np
import pytest

from atldiff.landmarks import (
    INNER_LIPS,
    LEFT_EYE,
    LOWER_INNER_LIP,
    LOWER_LIDS,
    RIGHT_EYE,
    UPPER_LIDS,
    crop_box,
    to_crop,
)
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.face_parts.lips import smooth_curve
from atldiff.rendering.face_parts.overlay import Closures
from atldiff.rendering.warp.guard_points import OPEN_LIDS, keep_apart
from atldiff.rendering.warp.spline import displacement_field


@pytest.fixture(scope="module")
def face(request):
    """A drawn face: image, landmarks with open eyes, landmarks with closed eyes."""
    portrait = load_portrait(request.getfixturevalue("portrait_path").parent / "drawn.jpg")
    closed = portrait.landmarks.copy()
    closed[list(UPPER_LIDS)] = closed[list(LOWER_LIDS)]
    return portrait.image, portrait.landmarks, closed


def test_open_eyes_are_left_alone(face):
    image, still, _ = face
    frame = image.copy()
    Closures.from_photo(image, still).paint(frame, still)
    np.testing.assert_array_equal(frame, image)
    np.testing.assert_allclose(keep_apart(still[None], still)[0], still)


def test_closed_lids_are_kept_apart_by_their_share(face):
    _, still, closed = face
    apart = keep_apart(closed[None], still)[0]
    wide, narrow = (p[list(LOWER_LIDS)] - p[list(UPPER_LIDS)] for p in (still, apart))
    np.testing.assert_allclose(narrow, OPEN_LIDS * wide, atol=0.02 * np.abs(wide).max())
    np.testing.assert_allclose(apart[list(LOWER_LIDS)], closed[list(LOWER_LIDS)], atol=1e-3)
    others = np.setdiff1d(np.arange(68), [*UPPER_LIDS, *LOWER_LIDS])
    np.testing.assert_allclose(apart[others], closed[others], atol=1e-3)


def test_a_blink_as_faces_show_it_is_covered_whole(face):
    """Landmarks of closed eyes lie apart by a third of the open gap; the lid still covers the eye."""
    _, still, closed = face
    closures, shut = Closures.from_photo(face[0], still), still + 0.68 * (closed - still)
    assert [eye.closing(shut) for eye in closures.parts[:2]] == [1, 1]


def test_lines_are_smooth_from_corner_to_corner():
    corners = np.array([[0.0, 0], [1, 3], [3, 0], [4, 2]])
    curve = smooth_curve(corners, 9)
    np.testing.assert_allclose(curve[[0, -1]], corners[[0, -1]])
    np.testing.assert_allclose(curve[4], np.array([1, 3, 3, 1]) @ corners / 8)


def test_a_blink_does_not_pull_the_brow_into_the_lid(face):
    """The order of the rows is narrow from frame to photo: the field hardly folds."""
    _, still, closed = face
    box, almost = crop_box(still), still + 0.9 * (closed - still)
    field = displacement_field(to_crop(almost[None], box), to_crop(still, box))[0]
    rows = np.arange(len(field))[:, None] * (1.7 / len(field)) + field[..., 1]
    assert np.diff(rows, axis=0).min() > -0.005  # -0.011 where the lids may meet


def test_lids_cover_the_closed_eyes_in_skin_and_lashes(face):
    image, still, closed = face
    closures, frame = Closures.from_photo(image, still), image.copy()
    closures.paint(frame, closed)
    changed = np.argwhere((frame != image).any(axis=2))[:, ::-1]
    eyes = np.concatenate([closed[RIGHT_EYE], closed[LEFT_EYE]])
    assert len(changed) > 100
    assert (changed > eyes.min(axis=0) - 32).all() and (changed < eyes.max(axis=0) + 32).all()
    x, y = closed[[37, 38]].mean(axis=0).astype(int)
    lightest = max(np.median(closures.parts[0].skin, axis=(0, 1)).max(), image[y - 6, x].max())
    assert frame[y - 6 : y + 7, x - 3 : x + 4].max() <= lightest + 3  # no white


def test_lips_close_over_teeth_that_the_photo_shows(face):
    image, still, _ = face
    smile, photo = still.copy(), image.copy()
    smile[list(LOWER_INNER_LIP), 1] += 14
    x0, y0 = smile[INNER_LIPS].min(axis=0).astype(int)
    x1, y1 = smile[INNER_LIPS].max(axis=0).astype(int)
    photo[y0:y1, x0:x1] = 250  # teeth
    frame = np.full_like(image, 250)
    Closures.from_photo(photo, smile).paint(frame, still)
    middle = still[[62, 66]].mean(axis=0).astype(int)
    assert frame[middle[1], middle[0]].max() < 230
    untouched = np.full_like(image, 250)
    Closures.from_photo(image, still).paint(untouched, still)
    assert (untouched == 250).all()


def test_shut_lips_keep_their_two_colours_and_have_a_line_between_them(face):
    image, still, _ = face
    smile, photo = still.copy(), np.full_like(image, 200)
    smile[list(LOWER_INNER_LIP), 1] += 14
    smile[[55, 56, 57, 58, 59], 1] += 14
    seam = smile[[60, 64]].mean(axis=0)[1]
    photo[: int(seam)], photo[int(seam) :] = (120, 60, 60), (180, 90, 90)
    lips = Closures.from_photo(photo, smile).parts[2]
    np.testing.assert_allclose(lips.upper, np.broadcast_to((120, 60, 60), (5, 3)), atol=2)
    np.testing.assert_allclose(lips.lower, np.broadcast_to((180, 90, 90), (5, 3)), atol=2)
    frame = np.full_like(image, 250)
    Closures.from_photo(photo, smile).paint(frame, still)
    column = frame[:, int(still[62, 0]), 0].astype(int)
    line = int(column.argmin())
    assert abs(line - still[[62, 66], 1].mean()) < 4 and column[line] < 110
    width = np.linalg.norm(still[64] - still[60])
    assert column[line + round(0.06 * width)] > column[line] + 40
