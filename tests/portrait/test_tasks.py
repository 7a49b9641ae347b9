"""MediaPipe's own runtime as a detector; skipped where the package mediapipe is missing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.portrait import tasks
from atldiff.portrait.face_networks import MESH_SIDE, NEAR, Square, find_meshes
from atldiff.portrait.mesh import track_landmarks
from atldiff.portrait.photo import open_photo
from atldiff.portrait.portrait import load_portrait

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def mediapipe():
    return pytest.importorskip("mediapipe.tasks.python.vision.core.image")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return open_photo(EXAMPLES / "astronaut.jpg")


@pytest.mark.usefixtures("mediapipe")
@pytest.mark.parametrize("name", ["astronaut", "drawn_woman", "drawn_man"])
def test_both_runtimes_find_the_same_faces(name):
    image = open_photo(EXAMPLES / f"{name}.jpg")
    (ours,), (face,) = NEAR(image), tasks.detect(image)
    assert np.abs(face.box - ours.box).max() < 2  # corner and size are cut to whole pixels
    assert np.abs(face.keypoints - ours.keypoints).max() < 1e-3
    assert face.score == pytest.approx(ours.score, abs=1e-5)


@pytest.mark.usefixtures("mediapipe")
def test_the_mesh_moves_by_less_than_the_cut_of_its_box(photo):
    (mesh,), (other,) = find_meshes(photo), find_meshes(photo, detect=tasks.detect)
    assert 0 < np.abs(mesh - other)[:, :2].max() / (Square.from_mesh(mesh).side / MESH_SIDE) < 2


@pytest.mark.usefixtures("mediapipe")
def test_photos_and_clips_can_choose_it(photo):
    usual, portrait = (load_portrait(photo, detector=name) for name in ("mediapipe", "mediapipe-tasks"))
    assert 0 < np.abs(portrait.landmarks - usual.landmarks).max() < 1
    nobody = np.zeros_like(photo)
    points = track_landmarks([nobody, photo, photo], "mediapipe-tasks")
    assert np.isnan(points[0]).all() and np.abs(points[1:] - usual.landmarks).max() < 8


def test_it_trusts_no_server(mediapipe, monkeypatch):
    """Without certificates the report of its use ends before its request."""
    from mediapipe.tasks.python.vision.face_detector import FaceDetector

    made = []
    monkeypatch.setattr(
        FaceDetector, "create_from_options", lambda options: made.append(options) or FaceDetector
    )
    tasks._runtime(-1)
    assert made[0].base_options.to_ctypes().ca_bundle_path == os.devnull.encode()


@pytest.mark.usefixtures("mediapipe")
def test_a_process_that_used_it_ends_quietly():
    use = "print(tasks.detect(numpy.zeros((64, 64, 3), 'uint8')))"
    program = f"import numpy; from atldiff.portrait import tasks; {use}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=EXAMPLES.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "[]\n") and "Traceback" not in done.stderr, done.stderr


def test_a_missing_package_is_told(photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe.tasks.python.vision.core.image", None)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(InputError, match=r"not installed: Install it: pip install 'atldiff\[mediapipe\]'"):
        load_portrait(photo, detector="mediapipe-tasks")
    with pytest.raises(InputError, match="not installed"):
        track_landmarks([], "mediapipe-tasks")
