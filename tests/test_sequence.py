"""Landmark sequences: saved and loaded as they were, refused where they are not ours."""

import json

import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.sequence import LandmarkSequence


@pytest.fixture
def sequence() -> LandmarkSequence:
    rng = np.random.default_rng(0)
    identity = rng.random((68, 2)).astype(np.float32) * 100
    points = identity + rng.normal(0, 1, (5, 68, 2)).astype(np.float32)
    return LandmarkSequence(points, identity, rng.random(4).astype(np.float32))


@pytest.mark.parametrize(("name", "tolerance"), [("a.npz", 0), ("a.json", 1e-3)])
def test_saved_sequence_comes_back(sequence, tmp_path, name, tolerance):
    again = LandmarkSequence.load(sequence.save(tmp_path / name))
    np.testing.assert_allclose(again.points, sequence.points, atol=tolerance)
    np.testing.assert_allclose(again.identity, sequence.identity, atol=tolerance)
    np.testing.assert_allclose(again.emotion, sequence.emotion, atol=tolerance)


def test_resampling_cuts_or_holds_the_last_frame(sequence):
    np.testing.assert_array_equal(sequence.resampled(3).points, sequence.points[:3])
    longer = sequence.resampled(8).points
    np.testing.assert_array_equal(longer[:5], sequence.points)
    np.testing.assert_array_equal(longer[5:], np.repeat(sequence.points[-1:], 3, axis=0))


def test_motion_moves_to_another_face_with_its_size_and_turn(sequence):
    turn = 2.0 * np.array([[0.8, 0.6], [-0.6, 0.8]])
    other = sequence.identity @ turn + (10, 20)
    moved = sequence.on_face(other)
    np.testing.assert_allclose(moved.points, sequence.points @ turn + (10, 20), atol=1e-2)


def test_motion_on_its_own_face_stays(sequence):
    np.testing.assert_allclose(sequence.on_face(sequence.identity).points, sequence.points, atol=1e-3)


def broken(kind: str) -> dict:
    fields = {
        "points": np.zeros((2, 68, 2)).tolist(),
        "identity": np.zeros((68, 2)).tolist(),
        "emotion": [0.0],
        "fps": 30,
    }
    changes = {
        "no points": {"points": None},
        "67 points": {"points": np.zeros((2, 67, 2)).tolist()},
        "no frames": {"points": np.zeros((0, 68, 2)).tolist()},
        "not a number": {"points": np.full((2, 68, 2), np.nan).tolist()},
        "25 frames a second": {"fps": 25},
    }
    return fields | changes[kind]


@pytest.mark.parametrize(
    "kind", ["no points", "67 points", "no frames", "not a number", "25 frames a second"]
)
def test_a_wrong_file_is_refused(kind, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(broken(kind)))
    with pytest.raises(InputError):
        LandmarkSequence.load(path)


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
