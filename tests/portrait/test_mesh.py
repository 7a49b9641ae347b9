"""The face mesh of a photo and of frames lies on the landmarks and gives a head."""

import numpy as np
import pytest

from atldiff.landmarks import inter_ocular_distance, mesh_to_landmarks
from atldiff.portrait.face_networks import MESH_POINTS
from atldiff.portrait.head import Head
from atldiff.portrait.mesh import photo_mesh, track_meshes
from atldiff.portrait.portrait import Portrait, load_portrait


@pytest.fixture(scope="module")
def portrait(request) -> Portrait:
    return load_portrait(request.getfixturevalue("portrait_path"))


@pytest.fixture(scope="module")
def mesh(portrait) -> np.ndarray:
    found = photo_mesh(portrait.image, portrait.landmarks)
    assert found is not None
    return found


def test_a_photos_mesh_lies_on_its_landmarks(portrait, mesh):
    assert mesh.shape == (MESH_POINTS, 3)
    off = np.linalg.norm(mesh_to_landmarks(mesh[:468, :2]) - portrait.landmarks, axis=1)
    assert off.mean() < 0.03 * inter_ocular_distance(portrait.landmarks)


def test_the_nose_is_nearest(mesh):
    assert mesh[[1, 4], 2].min() > mesh[[234, 454, 10, 152], 2].max()


def test_a_frontal_photos_head_is_frontal(portrait, mesh):
    head = Head.from_mesh(mesh, portrait.landmarks, portrait.box, portrait.image.shape[:2])
    assert abs(head.yaw) < 5
    assert np.isfinite(head.depth).all() and 0.95 < head.share.max() <= 1


def test_frames_without_a_face_have_no_mesh(portrait, mesh):
    frames = [portrait.image, portrait.image, np.zeros_like(portrait.image)]
    tracked = [mesh for _, mesh in track_meshes(frames)]
    assert tracked[0] is not None and tracked[2] is None
    assert np.abs(tracked[1][:468, :2] - mesh[:468, :2]).mean() < 6


def test_a_photo_without_a_face_has_no_mesh():
    marks = np.random.default_rng(0).uniform(100, 200, (68, 2))
    assert photo_mesh(np.zeros((300, 300, 3), np.uint8), marks) is None
