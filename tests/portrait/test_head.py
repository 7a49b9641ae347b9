"""Depth and share of a head: the mesh inside the face, an ellipse to the outline, nothing far away."""

import numpy as np
import pytest

from atldiff.landmarks import crop_box, mesh_to_landmarks
from atldiff.portrait.head import RIM, STEEPEST, Head, limit_slope
from atldiff.rendering.warp.spline import GRID, REGION, grid_points

SIZE = (480, 480)


def dome(yaw: float = 0.0) -> np.ndarray:
    """A mesh (478, 3), pixels, on an ellipsoid round (240, 240), with eyes and chin in place."""
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, 478), np.sqrt(rng.uniform(0, 1, 478))
    flat = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    rim = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    flat[400:436] = np.stack([np.cos(rim), np.sin(rim)], 1)
    flat[[33, 263]], flat[152], flat[[234, 454]] = (
        [[-0.65, -0.25], [0.65, -0.25]],
        [0, 1],
        [[-1, -0.1], [1, -0.1]],
    )
    depth = np.sqrt(np.maximum(1 - (flat**2).sum(1), 0))
    points = np.column_stack([flat * (75, 100), 60 * depth])
    turn, x, z = np.deg2rad(yaw), points[:, 0].copy(), points[:, 2].copy()
    points[:, 0], points[:, 2] = x * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - x * np.sin(turn)
    return points + (240, 240, 0)


def head(mesh: np.ndarray, alpha: np.ndarray | None = None) -> tuple[Head, np.ndarray]:
    landmarks = mesh_to_landmarks(mesh[:, :2])
    landmarks[[36, 45]] = mesh[[33, 263], :2]
    box = crop_box(landmarks)
    return Head.from_mesh(mesh, landmarks, box, SIZE, alpha), box


def at(head: Head, box: np.ndarray, values: np.ndarray, x: float, y: float) -> float:
    """The value of the cell at a pixel."""
    cell = ((np.array([x, y]) - box[:2]) / (box[2] - box[0]) - REGION[0]) / (REGION[1] - REGION[0]) * GRID
    column, row = np.clip(cell.astype(int), 0, GRID - 1)
    return float(values[row, column])


def test_inside_the_face_depth_is_the_meshs():
    mesh = dome()
    one, box = head(mesh)
    unit = np.linalg.norm(mesh[263, :2] - mesh[33, :2])
    eyes = mesh[[33, 263], 2].mean()
    for x, y in ((240, 240), (220, 260), (260, 210)):
        z = 60 * np.sqrt(1 - ((x - 240) / 75) ** 2 - ((y - 240) / 100) ** 2)
        assert at(one, box, one.depth, x, y) == pytest.approx((z - eyes) / unit, abs=0.05)


def test_the_outline_is_as_deep_as_the_rim_and_nothing_is_steeper_than_allowed():
    one, box = head(dome())
    assert one.depth.min() >= RIM - 0.01 and at(one, box, one.depth, 240, 20) == pytest.approx(RIM, abs=0.05)
    cell = float(np.abs(one.places[0, 1, 0] - one.places[0, 0, 0]))
    for axis in (0, 1):
        assert np.abs(np.diff(one.depth, axis=axis)).max() <= STEEPEST * cell * 1.01


def test_the_share_is_whole_on_the_face_and_nothing_far_away():
    one, box = head(dome())
    assert at(one, box, one.share, 240, 240) > 0.97
    assert one.share.min() >= 0 and one.share.max() <= 1
    assert np.abs(one.share[[0, -1]]).max() < 1e-3 and np.abs(one.share[:, [0, -1]]).max() < 1e-3


def test_the_matte_tells_hair_from_background():
    mesh, wide = dome(), np.zeros(SIZE, np.float32)
    wide[60:, 130:350] = 1
    narrow = np.zeros(SIZE, np.float32)
    narrow[100:, 165:315] = 1
    hair, bare = (head(mesh, alpha) for alpha in (wide, narrow))
    assert at(*hair, hair[0].share, 340, 200) > at(*bare, bare[0].share, 340, 200) + 0.1
    assert head(mesh)[0].share.max() > 0.97  # without a matte, too


def test_what_the_pictures_border_cuts_is_held():
    mesh = dome()
    landmarks = mesh_to_landmarks(mesh[:, :2])
    landmarks[[36, 45]] = mesh[[33, 263], :2]
    box = crop_box(landmarks)
    whole = Head.from_mesh(mesh, landmarks, box, SIZE)
    cut = Head.from_mesh(mesh, landmarks, box, (480, 320))
    assert at(cut, box, cut.share, 315, 240) < 0.4 * at(whole, box, whole.share, 315, 240)


@pytest.mark.parametrize("yaw", [-20.0, 0.0, 15.0])
def test_the_photos_own_turn(yaw):
    assert head(dome(yaw))[0].yaw == pytest.approx(yaw, abs=0.5)


def test_places_are_face_units():
    mesh = dome()
    one, box = head(mesh)
    pixels = grid_points().numpy() * (box[2] - box[0]) + box[:2]
    eyes = mesh[[33, 263], :2]
    expected = (pixels - eyes.mean(axis=0)) / np.linalg.norm(eyes[1] - eyes[0])
    np.testing.assert_allclose(one.places, expected, atol=1e-5)


def test_gentle_keeps_what_is_gentle_and_slopes_the_rest():
    slope = np.add.outer(np.arange(20), np.arange(20)) * 0.1
    np.testing.assert_allclose(limit_slope(slope, 0.2), slope, atol=1e-6)
    step = np.zeros((20, 20))
    step[:, 10:] = 5
    eased = limit_slope(step, 0.5)
    assert np.abs(np.diff(eased, axis=1)).max() <= 0.5 + 1e-6 and eased[:, 9:11].mean() == pytest.approx(2.5)
