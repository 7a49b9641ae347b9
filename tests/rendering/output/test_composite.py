"""Full-resolution frames: unchanged pixels, the added residual, and the part that each output shows."""

from dataclasses import replace

import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.landmarks import crop_box
from atldiff.portrait.drawing import draw_landmarks
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.output.composite import composite
from atldiff.rendering.warp.canvas import make_canvas
from atldiff.rendering.warp.prior import WarpedPhoto

S = 128


@pytest.fixture
def portrait() -> Portrait:
    rng = np.random.default_rng(0)
    image = np.repeat(np.repeat(rng.integers(40, 200, (40, 50, 3)), 8, 0), 8, 1).astype(np.uint8)
    landmarks = (rng.random((68, 2)) * 100 + (150, 110)).astype(np.float32)
    alpha = np.zeros(image.shape[:2], np.float32)
    alpha[100:250, 120:300] = 1
    return Portrait(image, landmarks, crop_box(landmarks), alpha)


def still(canvas, residual: float = 0.0) -> np.ndarray:
    """The frame of a face that does not move."""
    moving = next(WarpedPhoto.from_canvas(canvas).frames(canvas.landmarks[None]))
    views = len(canvas.views)
    residuals = np.full((views, S, S, 3), residual, np.float32)
    return composite(canvas, moving, residuals, np.zeros((views, S, S), np.float32))


def test_a_still_face_without_residual_is_the_photo_itself(portrait):
    canvas = make_canvas(portrait, portrait.landmarks[None])
    np.testing.assert_array_equal(still(canvas), portrait.image)


def test_residual_is_added_inside_the_crop_and_nowhere_else(portrait):
    canvas = make_canvas(portrait, portrait.landmarks[None])
    change = still(canvas, 0.2).astype(int) - portrait.image
    x0, y0, x1, y1 = (int(v) for v in portrait.box)
    middle = change[(y0 + y1) // 2, (x0 + x1) // 2]  # a flat residual is all coarse
    np.testing.assert_allclose(middle, 0.2 * 127.5, atol=1)
    change[y0:y1, x0:x1] = 0
    assert not change.any()


@pytest.mark.parametrize(
    ("output", "shape"), [("photo", (320, 400, 3)), ("square", (512, 512, 3)), ("crop", (128, 128, 3))]
)
def test_each_output_has_its_size(portrait, output, shape):
    assert still(make_canvas(portrait, portrait.landmarks[None], output)).shape == shape


def test_crop_output_is_the_networks_crop(portrait):
    frame = still(make_canvas(portrait, portrait.landmarks[None], "crop"))
    assert np.abs(frame.astype(int) - portrait.crop(S)).mean() < 6


def test_backgrounds(portrait):
    green = still(make_canvas(portrait, portrait.landmarks[None], background="green"))
    np.testing.assert_array_equal(green[5, 5], [0, 255, 0])
    np.testing.assert_array_equal(green[150, 200], portrait.image[150, 200])
    matte = still(make_canvas(portrait, portrait.landmarks[None], background="matte"))
    assert matte.shape == (320, 400, 4)
    assert matte[5, 5, 3] == 0 and matte[150, 200, 3] == 255


def test_a_face_at_the_photos_edge_is_rendered(portrait):
    corner = portrait.landmarks - portrait.landmarks.min(axis=0) + 2
    cut = Portrait(portrait.image, corner, crop_box(corner))
    np.testing.assert_array_equal(still(make_canvas(cut, corner[None])), portrait.image)


@pytest.mark.parametrize("wrong", [{"output": "poster"}, {"background": "beach"}])
def test_unknown_choices_are_refused(portrait, wrong):
    with pytest.raises(InputError, match="Choose one of"):
        make_canvas(portrait, portrait.landmarks[None], **wrong)


def test_drawn_landmarks_leave_the_photo_alone(portrait):
    before = portrait.image.copy()
    drawn = draw_landmarks(portrait.image, portrait.landmarks)
    np.testing.assert_array_equal(portrait.image, before)
    x, y = portrait.landmarks[30].round().astype(int)
    assert drawn[y, x].min() > 200


@pytest.mark.parametrize(
    ("output", "shown", "kept"), [("photo", 1, False), ("photo", 0, True), ("crop", 1, True)]
)
def test_fine_residual_is_taken_where_the_photo_shows_nothing_or_is_no_finer(portrait, output, shown, kept):
    canvas = make_canvas(portrait, portrait.landmarks[None], output, mouth=False)
    moving = next(WarpedPhoto.from_canvas(canvas).frames(canvas.landmarks[None]))
    stripes, unseen = np.zeros((1, S, S, 3), np.float32), np.full((1, S, S), 1 - shown, np.float32)
    stripes[:, :, ::2], stripes[:, :, 1::2] = 0.2, -0.2
    plain, fine = (composite(canvas, moving.copy(), r, unseen) for r in (np.zeros_like(stripes), stripes))
    assert (np.abs(fine.astype(int) - plain).max() > 10) == kept


@pytest.mark.parametrize("corner", [(0, 0), (300, 0), (0, 220), (150, 110)])
def test_the_square_shows_nothing_but_the_photo(portrait, corner):
    """A gradient without repeated values: each row and column of the square is another place in the photo."""
    ramp = np.stack(np.meshgrid(np.linspace(0, 250, 400), np.linspace(0, 250, 320)), -1)
    image = np.dstack([ramp, np.zeros(ramp.shape[:2])]).astype(np.uint8)
    landmarks = portrait.landmarks - (150, 110) + corner
    moved = replace(portrait, image=image, landmarks=landmarks, box=crop_box(landmarks))
    square = make_canvas(moved, landmarks[None], "square").image.astype(int)
    assert square.shape == (512, 512, 3)
    assert (np.diff(square[::16, 256, 1]) > 0).all() and (np.diff(square[256, ::16, 0]) > 0).all()
