"""The upper lid that comes down over an eye, and the skin it is made of."""

import numpy as np
import pytest

from atldiff.landmarks import LEFT_EYE, LOWER_LIDS, RIGHT_EYE, UPPER_LIDS
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.face_parts.eyelids import Lid, _curve
from atldiff.rendering.face_parts.overlay import Closures


@pytest.fixture(scope="module")
def still(request) -> np.ndarray:
    """Landmarks of a drawn face."""
    return load_portrait(request.getfixturevalue("portrait_path").parent / "drawn.jpg").landmarks


def shut(still: np.ndarray, share: float) -> np.ndarray:
    """The landmarks with eyes that are shut by `share`."""
    points = still.copy()
    upper, lower = list(UPPER_LIDS), list(LOWER_LIDS)
    points[upper] += share * (points[lower] - points[upper])
    return points


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
    curve = _curve(*points)
    for point in points:
        assert np.linalg.norm(curve - point, axis=1).min() < 0.2
    np.testing.assert_allclose(curve[[0, -1]], points[[0, 3]])
    assert np.abs(np.diff(curve, 2, axis=0)).max() < 0.1


def test_plain_skin_is_continued_over_the_eye_as_it_is(still):
    skin = (190, 140, 110)
    lid = Lid.from_photo(face_with_eyes(still, skin), still, 0)
    assert np.abs(lid.skin[lid.share > 0.5] - skin).max() < 1


def test_a_shut_eye_is_skin_above_a_line_of_lashes(still):
    skin = (190, 140, 110)
    image = face_with_eyes(still, skin)
    Closures.from_photo(image, still).paint(image, shut(still, 0.8))
    x, lowest = still[[37, 38], 0].mean(), still[[40, 41], 1].mean()
    column = image[int(still[37:39, 1].min()) - 3 : int(lowest) - 2, int(x)].astype(int)
    assert np.abs(column[: len(column) // 2] - skin).max() < 20  # neither white nor iris
    around = image[int(lowest) - 6 : int(lowest) + 6, int(x)].astype(int)
    assert around.min() < 0.85 * min(skin)


def test_a_lid_comes_down_by_and_by(still):
    image = face_with_eyes(still, (190, 140, 110))
    lid = Lid.from_photo(image, still, 1)
    closings = [lid.closing(shut(still, share)) for share in (0, 0.2, 0.4, 0.5, 0.7)]
    assert closings[:2] == [0, 0] and 0 < closings[2] < closings[3] < closings[4] == 1


def test_eyes_that_are_closed_in_the_photo_are_left_as_they_are(still):
    asleep = shut(still, 0.9)
    image = np.full((640, 640, 3), 150, np.uint8)
    frame = image.copy()
    Closures.from_photo(image, asleep).paint(frame, shut(asleep, 0.8))
    np.testing.assert_array_equal(frame, image)


def test_an_eye_at_the_border_closes_as_far_as_it_is_seen(still):
    image, moved = np.full((640, 640, 3), 150, np.uint8), still - still[37]
    frame = image.copy()
    Closures.from_photo(image, moved).paint(frame, shut(moved, 0.8))
    rows, columns = np.nonzero((frame != image).any(axis=-1))
    reach = np.ptp(moved[RIGHT_EYE][:, 0])  # the width of an eye
    assert columns.min() < moved[RIGHT_EYE][:, 0].max() and rows.max() < moved[LEFT_EYE][:, 1].max() + reach


def test_a_shut_eye_goes_on_with_the_light_and_shade_round_it(still):
    """Skin that grows darker to one side and downwards: above the lashes nobody sees where the lid is."""
    x, y = np.meshgrid(np.arange(640), np.arange(640))
    skin = (np.array([190, 140, 110]) + (-0.5 * (x - 320) - 0.3 * (y - 280))[..., None]).clip(0, 255)
    image = skin.round().astype(np.uint8)
    for eye in (RIGHT_EYE, LEFT_EYE):
        x0, y0 = np.floor(still[eye].min(axis=0)).astype(int)
        x1, y1 = np.ceil(still[eye].max(axis=0)).astype(int)
        image[y0:y1, x0:x1] = 5
    lid = Lid.from_photo(image, still, 0)
    x0, y0, x1, y1 = lid.rect
    away = np.abs(lid.skin - skin[y0:y1, x0:x1])[lid.share > 0.02]
    assert np.median(away) < 4 and away.max() < 14


def test_hair_and_glints_beside_an_eye_are_not_continued_over_it(still):
    image = face_with_eyes(still, (190, 140, 110))
    left, top = np.floor(still[RIGHT_EYE].min(axis=0)).astype(int)
    image[:, : left - 12], image[top - 22 : top - 17, left : left + 30] = 10, 255
    lid = Lid.from_photo(image, still, 0)
    assert np.abs(lid.skin[lid.share > 0.5] - (190, 140, 110)).max() < 6
