"""The 68-point layout: inverse pairs and closed forms."""

import numpy as np
import pytest

from atldiff import landmarks as lm


@pytest.fixture
def face() -> np.ndarray:
    return np.random.default_rng(0).random((68, 2)).astype(np.float32) * 100


def test_mirror_is_its_own_inverse(face):
    np.testing.assert_allclose(lm.mirror(lm.mirror(face, 200), 200), face, atol=1e-4)


def test_mirror_keeps_the_parts_in_their_parts():
    for part in (lm.JAW, lm.BROWS, lm.NOSE, slice(36, 48), lm.OUTER_LIPS, lm.INNER_LIPS):
        assert set(lm.MIRROR[part]) == set(range(68)[part])


def test_mirror_swaps_upper_lids_with_upper_lids():
    assert {int(lm.MIRROR[i]) for i in lm.UPPER_LIDS} == set(lm.UPPER_LIDS)
    assert {int(lm.MIRROR[i]) for i in lm.LOWER_INNER_LIP} == set(lm.LOWER_INNER_LIP)


def test_crop_units_and_pixels_are_inverse(face):
    box = lm.crop_box(face)
    side = box[2] - box[0]
    np.testing.assert_allclose(lm.to_crop(face, box) * side + box[:2], face, atol=1e-3)
    assert (box == np.round(box)).all() and box[2] - box[0] == box[3] - box[1]


def test_face_units_undo_rotation_scale_and_shift(face):
    turn = np.array([[np.cos(0.4), np.sin(0.4)], [-np.sin(0.4), np.cos(0.4)]])
    moved = 3.0 * face @ turn + (7, -2)
    mine, theirs = lm.FaceFrame.from_landmarks(face), lm.FaceFrame.from_landmarks(moved)
    np.testing.assert_allclose(mine.to_face(face), theirs.to_face(moved), atol=1e-5)
    np.testing.assert_allclose(theirs.from_face(theirs.to_face(moved)), moved, atol=1e-3)
    assert lm.inter_ocular_distance(mine.to_face(face)) == pytest.approx(1)


def test_align_rigid_recovers_a_similarity(face):
    turn = 1.3 * np.array([[np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), np.cos(0.2)]])
    moved = (face @ turn + (5, 6))[None]
    np.testing.assert_allclose(lm.align_rigid(moved, face)[0], face, atol=1e-3)


def test_openings_and_yaw_of_a_made_face():
    points = np.zeros((68, 2))
    points[36], points[39], points[42], points[45] = (0, 0), (4, 0), (6, 0), (10, 0)
    points[30] = (5, 4)
    points[list(lm.UPPER_INNER_LIP)], points[list(lm.LOWER_INNER_LIP)] = (5, 6), (5, 8)
    points[list(lm.UPPER_LIDS)], points[list(lm.LOWER_LIDS)] = (2, -1), (2, 0)
    assert lm.mouth_opening(points) == pytest.approx(0.2)
    assert lm.eye_opening(points) == pytest.approx(0.25)
    assert lm.yaw(points) == pytest.approx(0)
    points[30] = (7.5, 4)
    assert lm.yaw(points) == pytest.approx(0.5)


def test_mouth_box_holds_every_mouth(face):
    points = np.stack([face, face + 3])
    box = lm.mouth_box(points, lm.crop_box(face))
    mouth = points[:, lm.MOUTH]
    assert (mouth >= box[:2]).all() and (mouth <= box[2:]).all()
