"""A driving video gives head, brows and blinks, never the mouth; bad videos end in one sentence."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.landmarks import BROWS, MOUTH, eye_opening
from atldiff.media.video_writer import write_video
from atldiff.options import DEFAULTS
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.warp.turn import rotations
from atldiff.sequence import LandmarkSequence
from atldiff.speech.motion.driving_video import DrivingMotion, read_driving_video


@pytest.fixture(scope="module")
def portrait(portrait_path):
    return load_portrait(portrait_path)


@pytest.fixture(scope="module")
def mesh(portrait) -> np.ndarray:
    return portrait.mesh.astype(np.float64)


@pytest.fixture(scope="module")
def still(portrait) -> LandmarkSequence:
    points = np.repeat(portrait.landmarks[None], 90, axis=0)
    return LandmarkSequence(points, portrait.landmarks, np.zeros(4, np.float32))


def turned(mesh: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """(F, 478, 3) of a head that turns by `yaw` (F,) degrees."""
    angles = torch.from_numpy(np.column_stack([yaw, 0 * yaw, 0 * yaw]))
    middle = mesh.mean(axis=0)
    return np.einsum("fij,pj->fpi", rotations(angles).numpy(), mesh - middle) + middle


def closed_eyes(mesh: np.ndarray) -> np.ndarray:
    """The mesh with the upper lids' points on the lower ones."""
    shut = mesh.copy()
    for upper, lower in ((160, 144), (158, 153), (385, 380), (387, 373), (159, 145), (386, 374)):
        shut[upper] = mesh[lower] + 0.15 * (mesh[upper] - mesh[lower])
    return shut


def test_the_head_turns_as_in_the_video(mesh, still):
    yaw = 8 * np.sin(2 * np.pi * np.arange(90) / 60)
    motion = DrivingMotion.from_meshes(turned(mesh, yaw), FRAME_RATE)
    driven = motion.drive(still, DEFAULTS)
    assert np.corrcoef(driven.pose[15:, 0], yaw[15 : len(driven.pose)])[0, 1] > 0.99
    assert driven.pose[15:, 0].std() == pytest.approx(yaw[15:].std(), rel=0.15)
    assert not driven.pose[0, :6].any()
    twice = motion.drive(still, replace(DEFAULTS, sway=2.0))
    np.testing.assert_allclose(twice.pose, 2 * driven.pose, atol=1e-5)
    np.testing.assert_allclose(driven.points[:, MOUTH], still.points[:, MOUTH], atol=1e-3)


def test_a_blink_of_the_video_shuts_the_portraits_eyes_and_brows_rise(mesh, still):
    meshes = np.repeat(mesh[None], 90, axis=0)
    meshes[40:43] = closed_eyes(mesh)
    meshes[60:80, [105, 334, 66, 296]] -= (0, 5, 0)
    motion = DrivingMotion.from_meshes(meshes, FRAME_RATE)
    assert motion.closed[41] == 1 and not motion.closed[:38].any()
    driven = motion.drive(still, DEFAULTS)
    opening = eye_opening(driven.points)
    assert opening[41] < 0.4 * opening[20]
    assert driven.points[70, BROWS, 1].mean() < still.points[70, BROWS, 1].mean() - 0.5
    blind = motion.drive(still, replace(DEFAULTS, blinks=0.0, expression=0.0))
    np.testing.assert_allclose(blind.points, still.points, atol=1e-3)


def test_a_short_video_goes_to_and_fro(mesh, still):
    motion = DrivingMotion.from_meshes(turned(mesh, np.linspace(-4, 4, 40)), FRAME_RATE)
    yaw = motion.drive(still, DEFAULTS).pose[:, 0]
    last = len(motion.poses) - 1
    assert yaw[last + 5] == pytest.approx(yaw[last - 5]) and np.abs(np.diff(yaw[15:])).max() < 1


def test_videos_that_cannot_drive_are_refused(tmp_path):
    grey = write_video(tmp_path / "grey.mp4", (np.full((64, 64, 3), 128, np.uint8) for _ in range(40)), None)
    with pytest.raises(InputError, match="shows a face in 0 of"):
        read_driving_video(grey, 1.0)
    short = write_video(tmp_path / "short.mp4", (np.full((64, 64, 3), 128, np.uint8) for _ in range(9)), None)
    with pytest.raises(InputError, match="shorter than a second"):
        read_driving_video(short, 1.0)
    with pytest.raises(InputError):
        read_driving_video(tmp_path / "none.mp4", 1.0)
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(InputError):
        read_driving_video(text, 1.0)
