"""A lid that closes as skin: nothing of it shows on an open eye, no edge on a shut one."""

import numpy as np
import pytest

from atldiff.landmarks import LEFT_EYE, LOWER_LIDS, RIGHT_EYE, UPPER_LIDS
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.face_parts.eye_maps import EyeShape, LidMaps, eye_curve
from atldiff.rendering.face_parts.eyelids import Lid
from atldiff.rendering.face_parts.overlay import Closures

SKIN = (190, 140, 110)


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    """Landmarks (68, 2) of which only eyes and brows matter: two eyes 80 pixels wide."""
    points = np.full((68, 2), 300.0)
    eye = np.array([[0, 0], [22, -12], [56, -12], [80, 0], [56, 10], [22, 10]], float)
    points[RIGHT_EYE], points[LEFT_EYE] = eye + (120, 200), eye + (280, 200)
    x = np.linspace(-5, 85, 5)
    points[17:22], points[22:27] = (
        np.stack([x + 120, np.full(5, 150)], 1),
        np.stack([x + 280, np.full(5, 150)], 1),
    )
    mouth = np.linspace(180, 300, 20)
    points[48:68] = np.stack([mouth, np.full(20, 380.0)], 1)
    return points


def shut(still: np.ndarray, share: float) -> np.ndarray:
    points = still.copy()
    upper, lower = list(UPPER_LIDS), list(LOWER_LIDS)
    points[upper] += share * (points[lower] - points[upper])
    return points


def face(still: np.ndarray) -> np.ndarray:
    """Plain skin with white eyes and black irises."""
    import cv2

    image = np.full((480, 480, 3), SKIN, np.uint8)
    for eye in (RIGHT_EYE, LEFT_EYE):
        cv2.fillPoly(image, [np.round(still[eye]).astype(np.int32)], (250, 250, 250))
        middle = still[eye].mean(axis=0)
        cv2.circle(image, (int(middle[0]), int(middle[1])), 9, (5, 5, 5), -1)
    return image


def painted(still: np.ndarray, share: float) -> np.ndarray:
    image = face(still)
    lids = tuple(Lid.from_photo(image, still, side) for side in (0, 1))
    Closures(still, lids).paint(image, shut(still, share))
    return image


def test_maps_in_closed_form():
    eye = np.array([[10.0, 50], [30, 40], [70, 40], [90, 50], [70, 60], [30, 60]])
    maps = LidMaps.from_eye(EyeShape.from_landmarks(eye), (100, 100), 0)
    x, y = 50, 50
    assert maps.along[y, x] == pytest.approx((x + 0.5 - 10) / 80)
    assert maps.gap[y, x] == pytest.approx(2 * maps.below[y, x] - 2 * 0.5 / 80, abs=1e-6)
    assert maps.gap[y, 2] == 0 and maps.outer[y, x] == pytest.approx(1 - maps.along[y, x])


def test_an_open_eye_is_left_alone(still):
    np.testing.assert_array_equal(painted(still, 0.0), face(still))
    np.testing.assert_array_equal(painted(still, 0.15), face(still))
    lid = Lid.from_photo(face(still), still, 0)
    assert lid.closing(still) == 0 and lid.closing(shut(still, 0.7)) == 1


def test_an_eye_that_is_closed_in_the_photo_stays_so(still):
    closed = shut(still, 0.9)
    lid = Lid.from_photo(face(still), closed, 0)
    assert lid.closing(closed) == lid.closing(shut(still, 1.0)) == 0


def test_a_shut_eye_is_skin_above_a_dark_line(still):
    image = painted(still, 0.85)
    column = image[180:214, 160].astype(int)
    assert np.abs(column[:14] - SKIN).max() < 25  # neither white nor iris
    assert column[20:].min() < 0.8 * min(SKIN)


def test_nothing_light_is_left_below_the_line(still):
    image = painted(still, 0.85)
    below = image[208:217, 140:180].astype(int)
    assert (below - SKIN).max() <= 12


def test_the_lid_ends_in_no_edge(still):
    image = painted(still, 0.85).astype(int)
    fold = image[
        160:188, 130:190
    ]  # from the brow to above the eye: plain skin on both sides of the share's end
    assert np.abs(np.diff(fold, axis=0)).max() <= 6


def test_a_lid_on_which_the_light_falls_is_as_light_when_it_shuts(still):
    """Painters set the light on the lid above the lashes."""
    image = face(still)
    image[176:186, 120:200] = np.minimum(1.25 * np.array(SKIN), 255)
    lid = Lid.from_photo(image, still, 0)
    cover = (lid.maps.below > 0) & (lid.maps.below < lid.maps.gap) & (np.abs(lid.maps.along - 0.5) < 0.3)
    assert 1.1 < lid.skin[cover].mean() / np.mean(SKIN) < 1.3


def test_it_comes_down_step_by_step(still):
    dark = [int(painted(still, share)[185:215, 138].sum(axis=1).argmin()) for share in (0.45, 0.6, 0.8)]
    assert dark == sorted(dark)
    before = painted(still, 0.22).astype(int)
    assert np.abs(before - painted(still, 0.26)).max() < 60  # no jump where it begins


def test_layers_keep_the_interface_of_closures(still):
    lid = Lid.from_photo(face(still), still, 1)
    rect = lid.area(still, (480, 480))
    layers = lid.layers(shut(still, 0.6), 0.8, rect)
    size = (rect[3] - rect[1], rect[2] - rect[0])
    for colour, alpha in layers:
        assert alpha.shape == size and alpha.min() >= 0 and alpha.max() <= 1
        assert colour.shape in ((*size, 3), (3,))


@pytest.fixture(scope="module")
def drawn(request) -> np.ndarray:
    """Landmarks of a drawn face."""
    return load_portrait(request.getfixturevalue("portrait_path").parent / "drawn.jpg").landmarks


def face_with_eyes(still: np.ndarray, skin: tuple[int, int, int]) -> np.ndarray:
    """Plain skin with black and white eyes."""
    image = np.full((640, 640, 3), skin, np.uint8)
    for eye in (RIGHT_EYE, LEFT_EYE):
        x0, y0 = np.floor(still[eye].min(axis=0)).astype(int)
        x1, y1 = np.ceil(still[eye].max(axis=0)).astype(int)
        image[y0:y1, x0:x1] = 250
        image[y0:y1, (2 * x0 + x1) // 3 : (x0 + 2 * x1) // 3] = 5
    return image


def test_a_lid_runs_smoothly_through_its_landmarks():
    points = np.array([[0.0, 0], [3, -2], [7, -3], [10, 1]])
    curve = eye_curve(*points)
    for point in points:
        assert np.linalg.norm(curve - point, axis=1).min() < 0.2
    np.testing.assert_allclose(curve[[0, -1]], points[[0, 3]])
    assert np.abs(np.diff(curve, 2, axis=0)).max() < 0.1


def test_plain_skin_is_continued_over_the_eye_as_it_is(drawn):
    skin = (190, 140, 110)
    lid = Lid.from_photo(face_with_eyes(drawn, skin), drawn, 0)
    assert np.abs(lid.skin[lid.share > 0.5] - skin).max() < 1


def test_an_eye_at_the_border_closes_as_far_as_it_is_seen(drawn):
    image, moved = np.full((640, 640, 3), 150, np.uint8), drawn - drawn[37]
    frame = image.copy()
    Closures.from_photo(image, moved).paint(frame, shut(moved, 0.8))
    rows, columns = np.nonzero((frame != image).any(axis=-1))
    reach = np.ptp(moved[RIGHT_EYE][:, 0])  # the width of an eye
    assert columns.min() < moved[RIGHT_EYE][:, 0].max() and rows.max() < moved[LEFT_EYE][:, 1].max() + reach


def test_a_shut_eye_goes_on_with_the_light_and_shade_round_it(drawn):
    """Skin that grows darker to one side and downwards: above the lashes nobody sees where the lid is."""
    x, y = np.meshgrid(np.arange(640), np.arange(640))
    skin = (np.array([190, 140, 110]) + (-0.5 * (x - 320) - 0.3 * (y - 280))[..., None]).clip(0, 255)
    image = skin.round().astype(np.uint8)
    for eye in (RIGHT_EYE, LEFT_EYE):
        x0, y0 = np.floor(drawn[eye].min(axis=0)).astype(int)
        x1, y1 = np.ceil(drawn[eye].max(axis=0)).astype(int)
        image[y0:y1, x0:x1] = 5
    lid = Lid.from_photo(image, drawn, 0)
    x0, y0, x1, y1 = lid.rect
    away = np.abs(lid.skin - skin[y0:y1, x0:x1])[lid.share > 0.02]
    assert np.median(away) < 4 and away.max() < 14


def test_hair_and_glints_beside_an_eye_are_not_continued_over_it(drawn):
    image = face_with_eyes(drawn, (190, 140, 110))
    left, top = np.floor(drawn[RIGHT_EYE].min(axis=0)).astype(int)
    image[:, : left - 12], image[top - 22 : top - 17, left : left + 30] = 10, 255
    lid = Lid.from_photo(image, drawn, 0)
    assert np.abs(lid.skin[lid.share > 0.5] - (190, 140, 110)).max() < 6
