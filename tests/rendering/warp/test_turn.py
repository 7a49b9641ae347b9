"""A pose moves a head by its depth; the field is inverted and composed, the points go along."""

import numpy as np
import pytest
import torch

from atldiff.landmarks import FaceFrame
from atldiff.portrait.head import Head
from atldiff.rendering.warp.spline import GRID, REGION, border_fade, grid_points
from atldiff.rendering.warp.turn import (
    CAMERA,
    MOST,
    PIVOT,
    _look_up,
    compose_fields,
    limit_poses,
    pose_shifts,
    rotations,
    turn_fields,
    turn_points,
)


def bump(share: np.ndarray | None = None, yaw: float = 0.0) -> Head:
    """A smooth bump round the eyes, of which less and less moves towards the region's border."""
    frame = FaceFrame(np.array([0.5, 0.4]), np.array([[0.36, 0.0], [0.0, 0.36]]))
    places = frame.to_face(grid_points().numpy())
    squared = (places**2).sum(-1)
    depth = 1.25 * np.exp(-squared / 0.8) - 0.95
    share = border_fade(grid_points())[..., 0] * np.exp(-squared / 4) if share is None else share
    return Head(frame, places.astype(np.float32), depth.astype(np.float32), share.astype(np.float32), yaw)


def random_poses(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 6)) * (12, 8, 6, 0.1, 0.05, 0.05)


def smooth_fields(count: int) -> torch.Tensor:
    x, y = grid_points().float().unbind(-1)
    field = torch.stack([torch.sin(3 * x) * torch.cos(2 * y), torch.cos(4 * x + y)]) * 0.01
    return field[None].repeat(count, 1, 1, 1)


def follow(points: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
    """Points (F, N, 2) moved by fields (F, 2, GRID, GRID)."""
    cells = (points - REGION[0]) * GRID / (REGION[1] - REGION[0]) - 0.5
    return points + _look_up(fields, cells.mT[:, :, None])[:, :, 0].mT


def test_a_pose_of_zeros_changes_nothing_at_all():
    turns, fields = turn_fields(bump(), np.zeros((2, 6))), smooth_fields(2)
    assert torch.count_nonzero(turns) == 0
    assert torch.equal(compose_fields(fields, turns), fields)
    points = np.random.default_rng(0).random((2, 68, 2), np.float32)
    np.testing.assert_array_equal(turn_points(bump(), points, np.zeros((2, 6))), points)


def test_rotations_are_rotations():
    turn = rotations(torch.tensor([[10.0, -7, 5]]))[0]
    torch.testing.assert_close(turn @ turn.T, torch.eye(3))
    assert float(torch.linalg.det(turn)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("pose", "to"),
    [
        ((20, 0, 0, 0, 0, 0), (1, 0)),
        ((0, 20, 0, 0, 0, 0), (0, 1)),
        ((0, 0, 0, 0.1, 0, 0), (1, 0)),
        ((0, 0, 0, 0, 0.1, 0), (0, 1)),
    ],
)
def test_the_nose_goes_where_the_pose_says(pose, to):
    nose = torch.tensor([[0.0], [0.35], [0.4]])
    move = pose_shifts(nose, torch.tensor([pose], dtype=torch.float32))[0]
    assert float(move[:, 0] @ torch.tensor(to, dtype=torch.float32)) > 0.09


def test_a_turn_in_closed_form():
    point = torch.tensor([[0.3], [0.1], [0.2]], dtype=torch.float64)
    move = pose_shifts(point, torch.tensor([[15.0, 0, 0, 0, 0, 0]], dtype=torch.float64))[0, :, 0]
    a, x, z = np.deg2rad(15), 0.3 - PIVOT[0], 0.2 - PIVOT[2]
    across, near = x * np.cos(a) + z * np.sin(a) + PIVOT[0], z * np.cos(a) - x * np.sin(a) + PIVOT[2]
    scale = (CAMERA - 0.2) / (CAMERA - near)
    np.testing.assert_allclose(move, [across * scale - 0.3, 0.1 * scale - 0.1], atol=1e-12)


def test_size_scales_the_plane_of_the_eyes():
    point = torch.tensor([[0.5], [-0.25], [0.0]], dtype=torch.float64)
    move = pose_shifts(point, torch.tensor([[0.0, 0, 0, 0, 0, 0.1]], dtype=torch.float64))[0]
    np.testing.assert_allclose(move, point[:2] * np.expm1(0.1), atol=1e-9)


def test_the_composed_field_leads_back_to_the_photo():
    turns = turn_fields(bump(), random_poses(4))
    back = compose_fields(torch.zeros_like(turns), turns)
    # going back and then forward again ends where it began
    places = grid_points().float()[None].repeat(4, 1, 1, 1) + back.permute(0, 2, 3, 1)
    again = follow(places.flatten(1, 2), turns).view(4, GRID, GRID, 2)
    inner = slice(8, -8)
    error = (again - grid_points().float())[:, inner, inner].abs().max()
    assert float(error) < 1.5e-3  # crop units: a fifth of a pixel of the network's crop


def test_points_and_pictures_go_the_same_way():
    head, poses = bump(), random_poses(3)
    turns = turn_fields(head, poses)
    back = compose_fields(torch.zeros_like(turns), turns)
    points = np.random.default_rng(1).uniform(0.2, 0.8, (3, 68, 2)).astype(np.float32)
    there = torch.from_numpy(turn_points(head, points, poses))
    torch.testing.assert_close(there, follow(torch.from_numpy(points), turns), atol=2e-4, rtol=0)
    torch.testing.assert_close(follow(there, back), torch.from_numpy(points), atol=1e-3, rtol=0)


def test_what_has_no_share_stays():
    share = np.zeros((GRID, GRID), np.float32)
    share[20:60, 20:60] = 1
    turns = turn_fields(bump(share), random_poses(1))
    assert torch.count_nonzero(turns[..., :20]) == 0
    assert torch.count_nonzero(turns[..., 30:50, 30:50]) > 0


def test_no_place_of_a_turned_head_folds():
    turns = turn_fields(bump(), np.array([[15.0, 10, 8, 0, 0, 0], [-15, -10, -8, 0, 0, 0]]))
    moved = grid_points().float() + turns.permute(0, 2, 3, 1)
    assert float((moved[:, :, 1:, 0] - moved[:, :, :-1, 0]).min()) > 0
    assert float((moved[:, 1:, :, 1] - moved[:, :-1, :, 1]).min()) > 0


def test_poses_are_limited_softly_and_small_ones_hardly():
    wild = limit_poses(np.array([[90.0, -90, 90, 9, -9, 9]]))
    assert (np.abs(wild) <= np.array(MOST)).all()
    np.testing.assert_allclose(limit_poses(np.full((1, 6), 1e-3))[0], 1e-3, rtol=1e-3)


def test_a_photo_that_is_turned_already_turns_less_that_way():
    poses = np.array([[12.0, 0, 0, 0, 0, 0], [-12.0, 0, 0, 0, 0, 0]])
    right, left = limit_poses(poses, photo_yaw=20)[:, 0]
    assert 0 < right < 5.01 and left < -9
    assert 0 < limit_poses(poses, photo_yaw=40)[0, 0] <= 3
