"""The layered mouth: painted area, pose of the teeth, light and softness."""

from dataclasses import replace

import numpy as np
import pytest

from atldiff.landmarks import INNER_LIPS
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.face_parts.light import LUMA, softness, teeth_tint
from atldiff.rendering.face_parts.mouth import LayeredMouth
from atldiff.rendering.warp.disocclusion import opened_mouth


@pytest.fixture(scope="module")
def face(request):
    """A drawn face: image, landmarks with a closed mouth, landmarks with the jaw dropped."""
    path = request.getfixturevalue("portrait_path").parent / "drawn.jpg"
    portrait = load_portrait(path)
    opened = portrait.landmarks.copy()
    opened[[65, 66, 67, 55, 56, 57, 58, 59], 1] += 30
    opened[6:11, 1] += 28
    return portrait.image, portrait.landmarks, opened


def test_teeth_have_the_colour_of_the_light():
    """Eye whites set the colour; with closed eyes the skin does. Grey stays nearly grey."""
    skin, white = np.array([180.0, 130.0, 105.0]), np.full((40, 3), 200.0)
    plain, warm = teeth_tint(skin, white), teeth_tint(skin, white * (1.2, 0.95, 0.7))
    assert warm[0] > plain[0] + 0.05 and warm[2] < plain[2] - 0.05
    for tint in (plain, warm, teeth_tint(skin, white[:0])):
        assert tint @ LUMA == pytest.approx(1, abs=1e-3) and tint[0] > tint[1] > tint[2]
    np.testing.assert_allclose(teeth_tint(np.full(3, 150.0), white), 1, atol=0.03)


def painted(face, landmarks, **shape):
    image, still, _ = face
    mouth = LayeredMouth.from_photo(image, still)
    mouth = replace(mouth, shape=replace(mouth.shape, **shape))
    outlines, shares = opened_mouth(landmarks[None], still)
    frame = image.copy()
    mouth.paint(frame, landmarks, outlines[0], float(shares[0]))
    return frame


def test_a_closed_mouth_is_left_alone(face):
    np.testing.assert_array_equal(painted(face, face[1]), face[0])


def test_paint_stays_near_the_lips(face):
    changed = np.argwhere((painted(face, face[2]) != face[0]).any(axis=2))[:, ::-1]
    low, high = face[2][INNER_LIPS].min(axis=0) - 12, face[2][INNER_LIPS].max(axis=0) + 12
    assert len(changed) > 500
    assert (changed > low).all() and (changed < high).all()


def test_upper_teeth_stand_on_the_skull(face):
    """Pixels above the teeth's edge do not move when the jaw drops further."""
    wide = face[2].copy()
    wide[[65, 66, 67], 1] += 8
    wide[6:11, 1] += 8
    x, y = face[2][62].astype(int)
    near, far = (painted(face, points)[y + 4 : y + 8, x - 10 : x + 10] for points in (face[2], wide))
    assert np.abs(near.astype(int) - far).mean() < 3


def inside(frame, points, low=0.0, high=1.0):
    """Mean levels of rows in the middle of the mouth, from share `low` to `high` of its height."""
    (x, top), bottom = points[62], points[66][1]
    rows = slice(int(top + low * (bottom - top)), int(top + high * (bottom - top)))
    return frame[rows, int(x) - 6 : int(x) + 6].mean(axis=(1, 2))


def test_the_lower_lip_leaves_but_little_of_the_lower_row(face):
    """In a wide open mouth the row ends `lower_show` mm above the lip, whatever the jaw's position."""
    wide = face[2].copy()
    wide[[65, 66, 67, 55, 56, 57, 58, 59], 1] += 30
    wide[6:11, 1] += 6
    hidden, bare = (
        inside(painted(face, wide, lower_show=mm, jaw=0.1, lower_light=1.2, tongue_light=0.2), wide)
        for mm in (2.0, 12.0)
    )
    brighter = np.flatnonzero(bare > hidden + 10)
    assert len(brighter) and brighter.min() > 0.4 * len(bare)


def test_a_rounded_mouth_is_dark(face):
    rounded = face[2].copy()
    middle = rounded[62, 0]
    rounded[[60, 64], 0] = middle + 0.3 * (rounded[[60, 64], 0] - middle)
    bright, dark = (inside(painted(face, points), points, 0.2, 0.8).mean() for points in (face[2], rounded))
    assert dark < 0.6 * bright


def test_little_light_comes_in_between_lips_that_hardly_part(face):
    light, dim = (painted(face, face[2], dim=mm).astype(int) for mm in (0.0, 5.0))
    assert inside(dim, face[2], 0.2, 0.8).mean() < 0.8 * inside(light, face[2], 0.2, 0.8).mean()


def test_a_face_that_moves_as_a_whole_takes_its_mouth_along(face):
    image, still, opened = face
    moved = np.roll(image, (7, 11), axis=(0, 1))
    shift = np.array([11, 7], np.float32)
    frame = painted((moved, still + shift, None), opened + shift)
    same = np.roll(painted(face, opened), (7, 11), axis=(0, 1))
    inner = tuple(slice(int(v) - 30, int(v) + 30) for v in (opened + shift)[INNER_LIPS].mean(axis=0)[::-1])
    assert np.abs(frame[inner].astype(int) - same[inner]).max() <= 2


def test_a_mouth_outside_the_picture_is_no_error(face):
    image, still, opened = face
    mouth = LayeredMouth.from_photo(image, still)
    far = opened + np.array([0, 5000], np.float32)
    frame = image.copy()
    mouth.paint(frame, far, far[INNER_LIPS], 1.0)
    np.testing.assert_array_equal(frame, image)


def test_softness_tells_how_blurred_a_photo_is(face):
    import cv2

    image, still, _ = face
    measured = [softness(cv2.GaussianBlur(image, (0, 0), sigma), still) for sigma in (1, 2, 4)]
    np.testing.assert_allclose(measured, (1, 2, 4), rtol=0.5)
    assert measured == sorted(measured)


def test_frames_drawn_together_are_as_those_drawn_alone(face):
    image, still, opened = face
    mouth, size = LayeredMouth.from_photo(image, still), image.shape[:2]
    frames = np.stack([opened, opened + 9, still - 7])
    outlines, _ = opened_mouth(frames, still)
    together = list(mouth.layers(frames, outlines, size))
    for frame, outline, (rect, layers) in zip(frames, outlines, together, strict=True):
        alone, expected = next(mouth.layers(frame[None], outline[None], size))
        assert rect == alone and layers.shape == (rect[3] - rect[1], rect[2] - rect[0], 3)
        np.testing.assert_allclose(layers, expected, atol=0.01)


def test_a_mouth_outside_the_picture_paints_nothing(face):
    np.testing.assert_array_equal(painted(face, face[2] + 5000), face[0])
