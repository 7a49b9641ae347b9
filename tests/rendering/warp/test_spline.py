"""The thin-plate-spline prior: interpolation, identities, borders."""

import numpy as np
import pytest
import torch

from atldiff.landmarks import INNER_LIPS, LOWER_INNER_LIP, UPPER_INNER_LIP, crop_box, to_crop
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.face_parts.lip_outline import round_lips
from atldiff.rendering.warp.guard_points import guard_points, keep_apart
from atldiff.rendering.warp.photo_warp import FinePhoto, warp_image
from atldiff.rendering.warp.spline import (
    GRID,
    REGION,
    _anchors,
    displacement_field,
    evaluate_spline,
    grid_points,
    point_smoothing,
    region_rect,
    spline_points,
)


@pytest.fixture
def still() -> np.ndarray:
    return (0.25 + 0.5 * np.random.default_rng(0).random((68, 2))).astype(np.float32)


def test_anchors_are_sixteen_distinct_points_of_the_border():
    anchors = _anchors()
    assert len({tuple(p) for p in anchors.round(6)}) == 16
    on_border = np.isclose(anchors, REGION[0]) | np.isclose(anchors, REGION[1])
    assert on_border.any(axis=1).all()


def test_a_still_face_moves_nothing(still):
    assert np.abs(displacement_field(still[None], still)).max() < 1e-6


def test_spline_takes_each_landmark_back_to_its_place_in_the_photo(still):
    source = torch.from_numpy(still[::4]).double()
    target = source + 0.02 * torch.randn(2, len(source), 2, generator=torch.Generator().manual_seed(0))
    for frame in target:
        back = frame + evaluate_spline(frame[None], source, frame, torch.zeros(len(source)))[0]
        torch.testing.assert_close(back, source, atol=1e-4, rtol=0)


def test_spline_reproduces_an_affine_map(still):
    source = torch.from_numpy(still).double()
    target = (source * 1.1 + torch.tensor([0.03, -0.02]))[None]
    where = torch.rand(20, 2, dtype=torch.float64)
    expected = (where - torch.tensor([0.03, -0.02])) / 1.1 - where
    shifts = evaluate_spline(target, source, where, point_smoothing(68))[0]
    torch.testing.assert_close(shifts.double(), expected, atol=1e-4, rtol=0)


def test_field_is_zero_at_the_regions_border(still):
    field = displacement_field((still + 0.05)[None], still)[0]
    edge = np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]])
    assert np.abs(edge).max() < 1e-3 < np.abs(field).max()


def test_warp_moves_a_dot_with_its_landmark(still):
    image = np.zeros((200, 200, 3), np.uint8)
    box = np.array([20, 20, 180, 180], np.float32)
    image[98:103, 98:103] = 255
    shift = np.array([8, 0]) / 160
    field = displacement_field((still + shift)[None].astype(np.float32), still)[0]
    moved = warp_image(image, field, box, (0, 0, 200, 200))
    columns = np.average(np.arange(200), weights=moved[..., 0].sum(axis=0, dtype=float))
    assert columns == pytest.approx(100 + 8, abs=0.3)


def test_warp_by_nothing_is_the_picture_itself():
    image = np.random.default_rng(1).integers(0, 255, (60, 50, 3), np.uint8)
    box = np.array([10, 10, 50, 50], np.float32)
    for photo in (FinePhoto(image), FinePhoto.from_photo(image, (5, 6, 45, 46))):
        same = photo.warp(np.zeros((80, 80, 2), np.float32), box, (5, 6, 45, 46))
        np.testing.assert_array_equal(same, image[6:46, 5:45])


def test_beyond_the_photo_its_border_is_repeated():
    image = np.random.default_rng(1).integers(0, 255, (60, 50, 3), np.uint8)
    photo, box = FinePhoto.from_photo(image, (-8, -5, 58, 60)), np.array([10, 10, 50, 50], np.float32)
    wide = photo.warp(np.zeros((80, 80, 2), np.float32), box, (-8, -5, 58, 60))
    np.testing.assert_array_equal(wide, np.pad(image, ((5, 0), (8, 8), (0, 0)), mode="edge"))


def test_region_is_wider_than_the_crop(still):
    box = crop_box(still * 100)
    x0, y0, x1, y1 = region_rect(box)
    assert x0 < box[0] and y0 < box[1] and x1 > box[2] and y1 > box[3]
    assert to_crop(np.array([[x0, y0]]), box).min() == pytest.approx(REGION[0], abs=0.02)


def mouth_with_gap(still: np.ndarray, gap: float) -> np.ndarray:
    points = still.copy()
    points[list(UPPER_INNER_LIP)] = [(0.4, 0.6), (0.5, 0.6), (0.6, 0.6)]
    points[list(LOWER_INNER_LIP)] = points[list(UPPER_INNER_LIP)] + (0, gap)
    return points


def test_shown_inside_of_the_mouth_hangs_from_the_upper_lip_unstretched(still):
    photo, wide = mouth_with_gap(still, 0.05), mouth_with_gap(still, 0.15)
    in_mouth = guard_points(np.stack([photo, wide]), photo)[:, -3:]
    np.testing.assert_allclose(in_mouth[0], in_mouth[1], atol=1e-6)


def test_guards_follow_a_turned_and_scaled_face(still):
    turn = 1.2 * np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    moved = (still @ turn + 0.1)[None]
    np.testing.assert_allclose(
        guard_points(moved, still)[0], guard_points(still[None], still)[0] @ turn + 0.1, atol=1e-5
    )


@pytest.fixture(scope="module")
def moving_face(portrait_path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Landmarks of frames (3, 68, 2) and of the photo (68, 2), crop units, and the photo's crop box (4,)."""
    portrait = load_portrait(portrait_path)
    still = to_crop(portrait.landmarks, portrait.box)
    moved = np.repeat(still[None], 3, axis=0)
    moved[1:, 48:] += np.where(still[48:, 1:] > still[62, 1], [0, 0.04], [0, -0.005])  # the mouth opens
    moved[1:, 5:12] += [0, 0.03]
    moved[2] = (moved[2] - 0.5) @ [[0.998, 0.06], [-0.06, 0.998]] + (0.51, 0.49)
    return moved.astype(np.float32), still, portrait.box


def test_the_jaw_follows_an_opening_mouth_but_not_a_trackers_noise(moving_face):
    (_, opened, _), still, _ = moving_face
    shaken = still.copy()
    shaken[:17] += 0.02 * np.array([1, -1])[np.arange(17) % 2, None]
    target, source = spline_points(np.stack([opened, shaken]), still)
    fields = evaluate_spline(target, source, source[:17], point_smoothing(len(source))).numpy()
    assert fields[0, 8, 1] == pytest.approx(-0.03, abs=0.008)  # the photo's chin lies above its new place
    assert np.abs(fields[1]).max() < 0.5 * 0.02


def test_the_field_far_from_the_features_is_interpolated_within_a_tenth_of_a_pixel(moving_face):
    moved, still, _ = moving_face
    anchors = _anchors()
    source = np.concatenate([still, guard_points(still[None], still)[0], anchors])
    target = [np.concatenate([points, guard_points(points[None], still)[0], anchors]) for points in moved]
    target, source = torch.from_numpy(np.stack(target)).double(), torch.from_numpy(source).double()
    exact = evaluate_spline(target, source, grid_points().view(-1, 2), point_smoothing(len(source)))
    exact = exact.view(-1, GRID, GRID, 2).numpy()
    field = displacement_field(moved, still)
    inside = ((grid_points() > -0.2) & (grid_points() < 1.2)).all(-1).numpy()  # where nothing fades
    error = np.linalg.norm(field - exact, axis=-1)[:, inside] * 138  # pixels of this photo's crop
    assert error.max() < 0.1 and np.percentile(error, 99) < 0.04


def test_an_enlarged_photo_is_as_sharp_as_cubic_interpolation(moving_face, portrait_path):
    (*_, moved), still, box = moving_face
    image = load_portrait(portrait_path).image
    field, rect = displacement_field(moved[None], still)[0], region_rect(box)
    fine = FinePhoto.from_photo(image, rect)
    difference = fine.warp(field, box, rect).astype(float) - warp_image(image, field, box, rect)
    assert fine.factor == 3 and 10 * np.log10(255**2 / (difference**2).mean()) > 48


def test_a_large_photo_is_enlarged_less():
    image = np.zeros((3000, 3000, 1), np.uint8)
    assert FinePhoto.from_photo(image, (0, 0, 3000, 3000)).factor == 2
    assert FinePhoto.from_photo(np.dstack([image] * 3), (0, 0, 3000, 3000)).factor == 1


def test_a_smile_that_closes_does_not_draw_out_the_nose(request):
    """The photo's pixels right below the nose stay there, however far the upper lip comes down."""
    still = load_portrait(request.getfixturevalue("portrait_path").parent / "drawn.jpg").landmarks
    box, moved = crop_box(still), still.copy()
    lip = [*range(49, 54), *range(60, 65)]
    way = still[33, 1] - still[51, 1]
    moved[lip, 1] -= 0.5 * way  # half as far again from the nose as in the photo
    field = displacement_field(to_crop(moved[None], box), to_crop(still, box))[0]
    below = to_crop(still[33] - (0, 0.1 * way), box)
    x, y = ((below - REGION[0]) * (len(field) / (REGION[1] - REGION[0])) - 0.5).round().astype(int)
    assert abs(field[y, x, 1]) < 0.05 * abs(way) / (box[3] - box[1])


def test_lips_that_close_over_teeth_take_what_is_next_to_their_corners_along(request):
    """A point on the round part of the closed lips maps to the round part of the photo's open lips."""
    closed = load_portrait(request.getfixturevalue("portrait_path").parent / "drawn.jpg").landmarks
    smile, box = closed.copy(), crop_box(closed)
    smile[[65, 66, 67, *range(55, 60)], 1] += 16
    smile[[61, 62, 63, *range(49, 54)], 1] -= 10
    apart = keep_apart(closed[None], smile)[0]
    then, now = (round_lips(points[INNER_LIPS])[[2, 8, 12, 18]] for points in (smile, apart))
    target, source = spline_points(to_crop(apart[None], box), to_crop(smile, box))
    places = torch.from_numpy(to_crop(now, box)).double()
    positions = places + evaluate_spline(target, source, places, point_smoothing(len(source)))[0]
    np.testing.assert_allclose(positions, to_crop(then, box), atol=0.004)


def test_lips_that_are_kept_apart_keep_their_thickness(still):
    """A lip pinched between its two edges grows hooks at the mouth's corners."""
    shut = still.copy()
    shut[[67, 66, 65]] = shut[[61, 62, 63]]
    wide = shut.copy()
    wide[[65, 66, 67, *range(55, 60)], 1] += 0.1
    apart = keep_apart(shut[None], wide)[0]
    assert np.linalg.norm(apart[66] - apart[62]) > 0.01
    for outer, inner in ((50, 61), (51, 62), (52, 63), (58, 67), (57, 66), (56, 65)):
        np.testing.assert_allclose(apart[outer] - apart[inner], shut[outer] - shut[inner], atol=1e-6)


def test_teeth_next_to_the_corners_are_not_stretched_when_a_smile_opens(still):
    """The guard points there stay as far apart as in the photo, whatever the jaw's position."""
    smile = still.copy()
    angles = np.pi + 2 * np.pi * np.arange(8) / 8
    smile[INNER_LIPS] = np.stack([0.5 + 0.15 * np.cos(angles), 0.6 + 0.06 * np.sin(angles)], axis=1)
    wide = smile.copy()
    wide[[65, 66, 67], 1] += 0.1
    smiling, opened = guard_points(np.stack([smile, wide]), smile)[:, 15:19]
    np.testing.assert_allclose(opened[:2], smiling[:2], atol=1e-6)
    lengths = [np.linalg.norm(points[2:] - points[:2], axis=1) for points in (smiling, opened)]
    np.testing.assert_allclose(lengths[1], lengths[0], atol=1e-6)
