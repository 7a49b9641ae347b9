"""Landmark sequences: files come back unchanged, and wrong files are refused."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.landmarks import inter_ocular_distance
from atldiff.sequence import REACH, LandmarkSequence

FACE = np.random.default_rng(1).random((68, 2)).astype(np.float32) * 100
FACE[36], FACE[45] = (20, 40), (80, 42)  # the eyes' outer corners


@pytest.fixture
def sequence() -> LandmarkSequence:
    rng = np.random.default_rng(0)
    identity = FACE
    points = identity + rng.normal(0, 1, (5, 68, 2)).astype(np.float32)
    pose = rng.normal(0, 3, (5, 8)).astype(np.float32)
    return LandmarkSequence(points, identity, rng.random(4).astype(np.float32), pose=pose)


NAMES = [("a.npz", 0), ("a.json", 1e-3), ("A.NPZ", 0), ("a.Json", 1e-3), (f"{'n' * 251}.npz", 0)]


@pytest.mark.parametrize(("name", "tolerance"), NAMES)
def test_saved_sequence_comes_back(sequence, tmp_path, name, tolerance):
    again = LandmarkSequence.load(sequence.save(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    np.testing.assert_allclose(again.points, sequence.points, atol=tolerance)
    np.testing.assert_allclose(again.identity, sequence.identity, atol=tolerance)
    np.testing.assert_allclose(again.emotion, sequence.emotion, atol=tolerance)
    np.testing.assert_allclose(again.pose, sequence.pose, atol=tolerance)


@pytest.mark.parametrize("name", ["a.npz", "a.json"])
def test_a_file_without_poses_holds_a_still_head(sequence, tmp_path, name):
    fields = {"points": sequence.points, "identity": FACE, "emotion": sequence.emotion, "fps": 30}
    if name.endswith("npz"):
        np.savez(tmp_path / name, **fields)
    else:
        lists = {key: np.asarray(value).tolist() for key, value in fields.items()}
        (tmp_path / name).write_text(json.dumps(lists))
    np.testing.assert_array_equal(LandmarkSequence.load(tmp_path / name).pose, np.zeros((5, 8)))


def test_a_pose_without_a_glance_looks_at_the_viewer(tmp_path, sequence):
    heads = replace(sequence, pose=sequence.pose[:, :6])
    np.testing.assert_array_equal(heads.pose[:, :6], sequence.pose[:, :6])
    assert heads.pose.shape == (5, 8) and not heads.pose[:, 6:].any()
    arrays = {
        "points": sequence.points,
        "identity": sequence.identity,
        "emotion": sequence.emotion,
        "fps": 30,
    }
    np.savez(tmp_path / "old.npz", **arrays, pose=sequence.pose[:, :6])
    np.testing.assert_array_equal(LandmarkSequence.load(tmp_path / "old.npz").pose, heads.pose)


@pytest.mark.parametrize(
    ("pose", "words"), [([[0.0] * 6], "pose of 6 parts"), ([[np.nan] * 6] * 2, "not numbers"), (3, "pose of")]
)
def test_poses_that_do_not_fit_are_refused(tmp_path, pose, words):
    points = np.stack([FACE, FACE])
    np.savez(tmp_path / "a.npz", points=points, identity=FACE, emotion=np.zeros(4), fps=30, pose=pose)
    with pytest.raises(InputError, match=words):
        LandmarkSequence.load(tmp_path / "a.npz")


def test_resampling_cuts_or_holds_the_last_frame(sequence):
    np.testing.assert_array_equal(sequence.resampled(3).points, sequence.points[:3])
    longer = sequence.resampled(8).points
    np.testing.assert_array_equal(longer[:5], sequence.points)
    np.testing.assert_array_equal(longer[5:], np.repeat(sequence.points[-1:], 3, axis=0))
    np.testing.assert_array_equal(sequence.resampled(8).pose[4:], np.repeat(sequence.pose[-1:], 4, axis=0))


def test_motion_moves_to_another_face_with_its_size_and_turn(sequence):
    turn = 2.0 * np.array([[0.8, 0.6], [-0.6, 0.8]])
    other = sequence.identity @ turn + (10, 20)
    moved = sequence.on_face(other)
    np.testing.assert_allclose(moved.points, sequence.points @ turn + (10, 20), atol=1e-2)
    np.testing.assert_array_equal(moved.pose, sequence.pose)


def test_motion_on_its_own_face_stays(sequence):
    np.testing.assert_allclose(sequence.on_face(sequence.identity).points, sequence.points, atol=1e-3)


def broken(kind: str) -> dict:
    """The fields of a valid file with one fault."""
    identity = FACE.tolist()
    fields = {"points": [identity, identity], "identity": identity, "emotion": [0.0], "fps": 30}
    far, eyes = FACE[None].repeat(2, 0), FACE.copy()
    far[1, 3] += (200_000, 0)
    eyes[45] = eyes[36]
    changes = {
        "no points": {"points": None},
        "67 points": {"points": np.zeros((2, 67, 2)).tolist()},
        "no frames": {"points": np.zeros((0, 68, 2)).tolist()},
        "not a number": {"points": np.full((2, 68, 2), np.nan).tolist()},
        "25 frames a second": {"fps": 25},
        "endless frames a second": {"fps": float("inf")},
        "a point far away": {"points": far.tolist()},
        "coinciding eye corners": {"identity": eyes.tolist()},
        "everything in one place": {"identity": np.zeros((68, 2)).tolist()},
        "an emotion beyond all": {"emotion": [1e30]},
        "an empty emotion": {"emotion": []},
    }
    return fields | changes.get(kind, {})


KINDS = {
    "no points": "68 landmarks", "67 points": "68 landmarks", "no frames": "68 landmarks",
    "not a number": "not numbers", "25 frames a second": "30 frames", "endless frames a second": "landmark",
    "a point far away": "away from the face", "coinciding eye corners": "in one place",
    "everything in one place": "in one place", "an emotion beyond all": "emotion",
    "an empty emotion": "no emotion",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_file_is_refused(kind, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(broken(kind)))
    with pytest.raises(InputError, match=KINDS[kind]):
        LandmarkSequence.load(path)


def test_a_file_at_the_bounds_is_taken_and_stays_within_a_few_faces_on_another_photo(tmp_path):
    points = FACE[None].repeat(2, 0)
    points[1, 3] += (0.99 * REACH * inter_ocular_distance(FACE), 0)
    LandmarkSequence(points, FACE, np.zeros(4, np.float32)).save(tmp_path / "a.npz")
    moved = LandmarkSequence.load(tmp_path / "a.npz").on_face(2 * FACE)
    reach = np.linalg.norm(moved.points - 2 * FACE, axis=-1).max() / inter_ocular_distance(2 * FACE)
    assert 0.98 * REACH < reach < REACH


@pytest.mark.parametrize("depth", [100_000])
def test_nested_json_is_refused(depth, tmp_path):
    (tmp_path / "a.json").write_text("[" * depth)
    with pytest.raises(InputError, match="not a landmark file"):
        LandmarkSequence.load(tmp_path / "a.json")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", bytes(80_000_000))
    with pytest.raises(InputError, match="too large"):
        LandmarkSequence.load(tmp_path / "bomb.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_broken_archive_is_refused(content, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(InputError):
        LandmarkSequence.load(path)


def test_a_missing_file_and_another_ending_are_refused(sequence, tmp_path):
    with pytest.raises(InputError, match="no file"):
        LandmarkSequence.load(tmp_path / "a.npz")
    with pytest.raises(InputError, match="End it in"):
        sequence.save(tmp_path / "a.txt")
    with pytest.raises(InputError, match="cannot be written"):
        sequence.save(tmp_path / "no folder" / "a.npz")
