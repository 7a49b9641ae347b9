"""Poses of a head from its meshes: angles in closed form, shifts without those of a turn, any frame rate."""

import numpy as np
import torch

from atldiff.config import FRAME_RATE
from atldiff.rendering.warp.turn import pose_shifts, rotations
from atldiff.speech.motion.head_track import head_track


def meshes(angles: np.ndarray) -> np.ndarray:
    """(F, 478, 3) of a face that turns by angles (F, 3) degrees round the middle of its eyes."""
    points = np.random.default_rng(0).normal(size=(478, 3)) * 30
    points[[33, 263]] = [[-50, 0, 0], [50, 0, 0]]
    turns = rotations(torch.from_numpy(angles)).numpy()
    return np.einsum("fij,pj->fpi", turns, points) + (200, 200, 0)


def wave(frames: int, size: float, hertz: float = 0.3) -> np.ndarray:
    return size * np.sin(2 * np.pi * hertz * np.arange(frames) / FRAME_RATE)


def test_a_track_has_the_angles_of_the_turn():
    angles = np.stack([wave(150, 8), wave(150, 5, 0.2), wave(150, 4, 0.5)], axis=1)
    found = head_track(meshes(angles), FRAME_RATE)
    assert found.shape == (150, 7)
    still = angles[np.argmin(np.abs(found[:, :3]).sum(axis=1))]
    assert np.abs(found[:, 0] - (angles[:, 0] - still[0])).max() < 0.6
    assert np.abs(found[:, 2] - (angles[:, 2] - still[2])).max() < 0.6


def test_the_shift_is_what_the_turn_does_not_explain():
    angles = np.zeros((120, 3))
    angles[:, 0] = wave(120, 6)
    poses = np.zeros((120, 6))
    poses[:, :3] = angles
    moving = meshes(angles)
    eyes = pose_shifts(torch.zeros(3, 1, dtype=torch.float64), torch.from_numpy(poses))[..., 0].numpy()
    moving[..., :2] += 100 * eyes[:, None]  # now it turns about its own pivot
    assert np.abs(head_track(moving, FRAME_RATE)[:, 3:5]).max() < 0.02


def test_other_frame_rates_become_ours():
    angles = np.stack([wave(100, 5), np.zeros(100), np.zeros(100)], axis=1)
    assert len(head_track(meshes(angles), 25.0)) == 120
