import numpy as np
import pytest
import torch

from atldiff.landmarks import crop_box
from atldiff.portrait.portrait import Portrait, load_portrait
from atldiff.rendering.face_parts.eyelids import Lid
from atldiff.rendering.face_parts.mouth import LayeredMouth
from atldiff.rendering.face_parts.overlay import Closures
from atldiff.rendering.face_parts.shapes import fill_polygon, rect_around
from atldiff.rendering.output.cpu import HostFrames
from atldiff.rendering.warp.canvas import make_canvas

SIZE = 120, 160  # height, width of the picture


@pytest.fixture(scope="module")
def face(portrait_path):
    """Landmarks (68, 2) of a face 80 pixels wide with its middle at the origin."""
    marks = load_portrait(portrait_path).landmarks
    low, high = marks.min(axis=0), marks.max(axis=0)
    return ((marks - (low + high) / 2) * 80 / (high - low).max()).astype(np.float32)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[10.5, 20.5], [30, 40]], (8, 18, 32, 42)),
        ([[-50, 20], [-40, 40]], (0, 18, 0, 42)),
        ([[400, 20], [500, 40]], (160, 18, 160, 42)),
        ([[20, -90], [30, -80]], (18, 0, 32, 0)),
        ([[20, 300], [30, 310]], (18, 120, 32, 120)),
        ([[-500, -500], [500, 500]], (0, 0, 160, 120)),
    ],
)
def test_rect_round_stays_in_the_picture_and_is_never_negative(points, expected):
    assert rect_around(np.array(points), 2, SIZE) == expected


def test_filled_of_an_empty_picture_is_empty():
    assert fill_polygon(np.array([[0, 0], [5, 0], [5, 5]]), (0, 7)).shape == (0, 7)


@pytest.mark.parametrize("x", [-300, -45, -20, 80, 180, 205, 460])
@pytest.mark.parametrize("y", [-200, -30, 60, 150, 320])
def test_faces_anywhere_in_and_outside_the_picture_are_drawn(face, x, y):
    """Painting is cut at the picture's border; a face outside the picture changes nothing."""
    image, still = np.full((*SIZE, 3), 120, np.uint8), face + np.float32([x, y])
    moved = still.copy()
    moved[[37, 38, 43, 44]] = moved[[41, 40, 47, 46]]
    moved[61:64] = moved[[67, 66, 65]]
    frame = image.copy()
    Closures.from_photo(image, still).paint(frame, moved)
    outline = still[60:68] + np.float32([[0, 0], [0, -3], [0, -3], [0, -3], [0, 0], [0, 3], [0, 3], [0, 3]])
    LayeredMouth.from_photo(image, still).paint(frame, still, outline, 1.0)
    assert frame.shape == image.shape
    if abs(x - 80) > 200 or abs(y - 60) > 200:
        np.testing.assert_array_equal(frame, image)


def test_an_eye_outside_the_picture_never_closes(face):
    still = face + np.float32([-5, 60])
    shut = still.copy()
    shut[[37, 38]] = shut[[41, 40]]
    outside = Lid.from_photo(np.full((*SIZE, 3), 120, np.uint8), still - np.float32([60, 0]), 0)
    assert outside.closing(shut - np.float32([60, 0])) == 0.0


@pytest.mark.parametrize("output", ["photo", "square", "crop"])
@pytest.mark.parametrize("place", [(-40, 60), (170, 60), (80, -40), (80, 150), (-400, 60), (80, 900)])
def test_frames_of_a_face_outside_the_photo_have_the_photos_size(face, output, place):
    image, still = np.full((*SIZE, 3), 120, np.uint8), face + np.float32(place)
    portrait = Portrait(image, still, crop_box(still))
    points = np.stack([still, still + np.float32([2, 1])])
    canvas = make_canvas(portrait, points, output)
    pictures = HostFrames.from_canvas(canvas, "warp", (32, 32))
    moving = pictures.moving(canvas.to_canvas(points))
    residuals = [torch.zeros(1, 3, 2, 32, 32)] * 2
    unseen = [np.zeros((2, 32, 32), np.float32)] * 2
    frames = list(pictures.finish(moving, residuals, unseen))
    assert [frame.shape[:2][::-1] for frame in frames] == [canvas.frame_size] * 2
