"""Eyes of drawn figures, which are larger than the landmarks."""

import cv2
import numpy as np
import pytest

from atldiff.landmarks import BROWS, LEFT_EYE, RIGHT_EYE
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.face_parts.eye_maps import LidMaps
from atldiff.rendering.face_parts.gaze import Iris
from atldiff.rendering.face_parts.large_eyes import eye_shapes
from atldiff.rendering.face_parts.overlay import Closures

SKIN, WHITE, IRIS = (225, 160, 130), (245, 240, 235), (90, 60, 30)


@pytest.fixture(scope="module")
def photo(portrait_path) -> tuple[np.ndarray, np.ndarray]:
    """Picture and landmarks of a real face."""
    portrait = load_portrait(portrait_path)
    return portrait.image, portrait.landmarks


@pytest.fixture(scope="module")
def still(photo) -> np.ndarray:
    """The same landmarks with brows that leave room for large eyes."""
    points = photo[1].copy()
    points[BROWS, 1] -= 25
    return points


def figure(still: np.ndarray, size: float, iris: float = 0.3) -> np.ndarray:
    """A face with round eyes; their radii and those of the irises are in widths of the landmarks' eyes."""
    image = np.full((512, 512, 3), SKIN, np.uint8)
    for eye in (still[RIGHT_EYE], still[LEFT_EYE]):
        middle, width = eye.mean(axis=0), float(np.linalg.norm(eye[3] - eye[0]))
        for radius, colour in ((size, WHITE), (iris, IRIS), (0.4 * iris, (10, 10, 10))):
            centre = np.round(16 * (middle - 0.5)).astype(int).tolist()
            cv2.circle(image, centre, round(16 * radius * width), colour, -1, cv2.LINE_AA, 4)
    grain = np.random.default_rng(0).normal(0, 3, image.shape)  # as paint and cameras have
    return np.clip(image + grain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("size", "iris"), [(0.62, 0.3), (0.75, 0.35), (0.8, 0.52)])
def test_a_round_eye_is_found_with_its_iris(still, size, iris):
    """The last has an iris that fills the landmarks' eye, so that they show no white."""
    for shape, eye in zip(eye_shapes(figure(still, size, iris), still), (RIGHT_EYE, LEFT_EYE), strict=True):
        middle, width = still[eye].mean(axis=0), float(np.linalg.norm(still[eye][3] - still[eye][0]))
        far = np.linalg.norm(shape.outline - middle, axis=1) / width
        assert far.min() > size - 0.08 and far.max() < size + 0.08
        assert np.linalg.norm(shape.iris[0] - middle) < 0.05 * width
        assert shape.iris[1] / width == pytest.approx(iris, abs=0.05)
        assert shape.upper[0] == pytest.approx(shape.lower[0]) and shape.upper[-1] == pytest.approx(
            shape.lower[-1]
        )
        assert shape.upper[:, 1].mean() < middle[1] < shape.lower[:, 1].mean()


def test_eyes_of_a_persons_size_are_the_landmarks(photo):
    image, still = photo
    glasses = image.copy()
    for eye in (still[RIGHT_EYE], still[LEFT_EYE]):
        low, high = eye.min(axis=0) - (12, 10), eye.max(axis=0) + (12, 22)
        cv2.rectangle(glasses, low.astype(int).tolist(), high.astype(int).tolist(), (20, 20, 20), 3)
    one = figure(still, 0.75)
    one[:, 256:] = image[:, 256:]
    for picture in (image, glasses, one, np.full_like(image, 128), image[..., :1].repeat(3, axis=2)):
        for shape, eye in zip(eye_shapes(picture, still), (RIGHT_EYE, LEFT_EYE), strict=True):
            assert shape.iris is None and np.array_equal(shape.outline, still[eye])


@pytest.mark.parametrize("away", [(-600, 0), (0, 600), (230, 0), (0, -210)])
def test_an_eye_at_the_border_of_the_photo_or_outside_is_the_landmarks(photo, away):
    still = photo[1] + np.float32(away)
    assert all(
        shape.iris is None or np.isfinite(shape.outline).all() for shape in eye_shapes(photo[0], still)
    )


def test_a_shut_large_eye_leaves_no_white(still):
    image = figure(still, 0.75, 0.35)
    closed = still.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        closed[[upper, lower]] = 0.1 * still[upper] + 0.9 * still[lower]
    light = {}
    for name, shapes in (("landmarks", (None, None)), ("own", eye_shapes(image, still))):
        frame = image.copy()
        Closures.from_photo(image, still, shapes).paint(frame, closed)
        light[name] = int((frame[..., 2].astype(int) > SKIN[2] + 60).sum())
    assert light["landmarks"] > 1000 and light["own"] == 0


def test_a_large_iris_keeps_its_shape_in_a_glance(still):
    image = figure(still, 0.8, 0.45)
    shape = eye_shapes(image, still)[0]
    iris = Iris.from_photo(image, still, np.zeros((478, 3)), 0, shape)
    rect = iris.area(still, image.shape[:2])
    ((colour, alpha),) = iris.layers(still, np.array([0.02, 0.0]), rect)
    shown = np.where(alpha[..., None] > 0.5, colour, image[rect[1] : rect[3], rect[0] : rect[2]])
    dark = shown[..., 0] < 160
    rows, columns = np.nonzero(dark)
    assert np.ptp(columns) == pytest.approx(np.ptp(rows), abs=2)  # still a circle
    shift = 0.02 * float(np.linalg.norm(still[45] - still[36]))
    assert columns.mean() + rect[0] + 0.5 - shape.iris[0][0] == pytest.approx(shift, abs=0.7)
    maps = LidMaps.from_eye(shape, (512, 512), 0)
    assert maps.gap.max() == pytest.approx(1, abs=0.1)  # as high as wide
