"""A file of poses: what it may hold, and one clear sentence for each fault."""

import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.speech.motion import pose_file
from atldiff.speech.motion.pose_file import poses_from_csv


def written(tmp_path, text: str | bytes):
    path = tmp_path / "poses.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_angles_of_each_line(tmp_path):
    poses = poses_from_csv(written(tmp_path, "1,2,3\n-4, 5.5 ,6\n"))
    np.testing.assert_array_equal(poses, [[1, 2, 3, 0, 0, 0], [-4, 5.5, 6, 0, 0, 0]])


def test_names_give_the_order(tmp_path):
    poses = poses_from_csv(written(tmp_path, "\ufefftime,Roll,yaw,pitch\r\n0,3,1,2\r\n\r\n"))
    np.testing.assert_array_equal(poses, [[1, 2, 3, 0, 0, 0]])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no poses"),
        ("yaw,pitch,roll\n", "holds no poses"),
        ("yaw,pitch\n1,2\n", "does not name roll"),
        ("1,2,3\n1,2\n", "Line 2 of poses.csv does not hold three angles"),
        ("1,2,3\n1,two,3\n", "Line 2 of poses.csv holds 'two'"),
        ("1,2,3\n1,nan,3\n", "which is no number"),
        ("1,2,inf\n", "which is no number"),
        ("1,2,91\n", "more than 90 degrees"),
        (b"\xff\xfe\x00\x01", "is not a text file"),
    ],
)
def test_each_fault_is_told(tmp_path, text, problem):
    with pytest.raises(InputError) as caught:
        poses_from_csv(written(tmp_path, text))
    assert problem in caught.value.problem and caught.value.remedy


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        poses_from_csv(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        poses_from_csv(tmp_path)


def test_too_many_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(pose_file, "MAX_FRAMES", 2)
    with pytest.raises(InputError, match="more than 2 poses"):
        poses_from_csv(written(tmp_path, "1,2,3\n" * 3))
