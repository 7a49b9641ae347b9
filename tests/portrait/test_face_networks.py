"""The face networks equal MediaPipe's, alone, in batches, in threads and after a fork."""

import hashlib
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from atldiff.portrait.face_networks import (
    FAR,
    FOLDER,
    MESH_SIDE,
    NEAR,
    Square,
    find_meshes,
    fit_crops,
    fit_meshes,
    person_mask,
)
from atldiff.portrait.photo import open_photo

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("astronaut", "drawn_woman", "drawn_man")
REFERENCE = np.load(Path(__file__).parent / "mediapipe_0_10_21.npz")  # results of its graphs for the examples


def photo(name: str) -> np.ndarray:
    return open_photo(EXAMPLES / f"{name}.jpg")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("detector", [NEAR, FAR], ids=["near", "far"])
def test_detectors_find_what_mediapipe_finds(name, detector):
    (face,) = detector(photo(name))
    *box, score = REFERENCE[f"{name}_{detector.name.removeprefix('detector_')}"]
    assert np.abs(face.box - box).max() < 0.01 and face.score == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_meshes_are_mediapipes(name):
    (mesh,) = find_meshes(photo(name))
    wanted = REFERENCE[f"{name}_mesh"]
    pixel = 1.5 * np.ptp(wanted[:, :2], axis=0).max() / MESH_SIDE  # of the network's crop
    assert np.abs(mesh - wanted).max() / pixel < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_mediapipes(name):
    assert np.abs(person_mask(photo(name))[8::32, 8::32] - REFERENCE[f"{name}_mask"]).max() < 0.01


def test_a_batch_of_crops_gives_what_each_gives_alone():
    image = photo("astronaut")
    (face,) = NEAR(image)
    square = Square.from_detection(face)
    squares = [Square(square.x + 3 * i, square.y - i, square.side, 0.02 * i) for i in range(5)]
    alone = [fit_meshes(image, [each])[0] for each in squares]
    for one, other in zip(fit_meshes(image, squares), alone, strict=True):
        assert np.abs(one - other).max() < 1e-2
    noise = np.random.default_rng(0).integers(0, 256, (2, MESH_SIDE, MESH_SIDE, 3), np.uint8)
    assert fit_crops(noise) == [None, None]


def test_a_turned_square_gives_the_turned_mesh():
    image, turned = photo("astronaut"), np.ascontiguousarray(np.rot90(photo("astronaut"), 2))
    height, width = image.shape[:2]
    (mesh,) = find_meshes(image)
    square = Square.from_mesh(mesh)
    opposite = Square(width - square.x, height - square.y, square.side, square.angle + np.pi)
    (one,), (other,) = fit_meshes(image, [square]), fit_meshes(turned, [opposite])
    back = np.array([width, height]) - other[:, :2]
    assert np.linalg.norm(back - one[:, :2], axis=1).mean() < 1.5  # the crop begins a pixel later


def test_nobody_is_found_where_nobody_is():
    nothing = np.full((120, 200, 3), 127, np.uint8)
    assert NEAR(nothing) == FAR(nothing) == find_meshes(nothing) == fit_meshes(nothing, []) == []
    assert person_mask(nothing).shape == (120, 200)


def test_squares_overlap_with_themselves_alone():
    square = Square(10.0, 20.0, 4.0, 0.5)
    assert square.overlap(square) == 1 and square.overlap(Square(20.0, 20.0, 4.0, 0.0)) == 0
    assert square.overlap(Square(12.0, 20.0, 4.0, 0.0)) == pytest.approx(1 / 3)


def test_threads_share_the_networks():
    image = photo("astronaut")
    with ThreadPoolExecutor(4) as pool:
        meshes = list(pool.map(lambda _: find_meshes(image)[0], range(8)))
    assert all(np.array_equal(mesh, meshes[0]) for mesh in meshes)


def test_a_forked_process_finds_faces():
    (mesh,) = find_meshes(photo("astronaut"))  # the parent loads its networks
    with multiprocessing.get_context("fork").Pool(1) as pool:
        (other,) = pool.apply(find_meshes, (photo("astronaut"),))
    assert np.array_equal(mesh, other)


def test_the_files_are_those_of_the_list():
    listed = {line.split()[1]: line.split()[0] for line in (FOLDER / "SHA256SUMS").read_text().splitlines()}
    assert listed == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.glob("*.onnx")
    }
