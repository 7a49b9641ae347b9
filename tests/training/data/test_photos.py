"""Single photos -> training data: what is left out is said, and a run that was ended goes on."""

import csv
import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atldiff.cli.parser import main
from atldiff.errors import InputError
from atldiff.portrait.photo import open_photo
from atldiff.training.data import photos as module
from atldiff.training.data.photos import prepare_faces
from atldiff.training.renderer.reopened import load_faces


@pytest.fixture(scope="module")
def photos(tmp_path_factory, portrait_path):
    """Four rows: two of a face, one of a room, one of a file that is half there."""
    root = tmp_path_factory.mktemp("photos")
    picture = Image.fromarray(np.asarray(open_photo(portrait_path))[::2, ::2])
    picture.save(root / "anna.png")
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "benjamin.png")
    Image.new("RGB", (64, 64)).save(root / "room.png")
    whole = (root / "anna.png").read_bytes()
    (root / "half.png").write_bytes(whole[: len(whole) // 2])
    names = {"half": "train", "anna": "train", "room": "val", "benjamin": "val"}
    with open(root / "faces.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "split", "identity"))
        writer.writerows((f"{name}.png", split, name) for name, split in names.items())
    return root


def test_photos_become_clips_of_one_frame_and_what_is_left_out_is_listed(photos, tmp_path, capsys):
    assert main(["prepare-faces", "--data", str(photos), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{tmp_path}: 2 faces"
    assert {path.name for path in tmp_path.iterdir()} == {"faces.npz", "skipped.csv"}
    with open(tmp_path / "skipped.csv", newline="") as file:
        reasons = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert "broken" in reasons.pop("half.png") and reasons == {"room.png": module.NO_FACE}
    (anna,), (ben,) = load_faces(tmp_path, "train"), load_faces(tmp_path, "val")
    assert (anna.identity, ben.identity) == ("anna", "benjamin")
    # A mirrored photo has the mirrored face.
    assert np.abs(anna.points[0, :, 0].mean() + ben.points[0, :, 0].mean() - anna.frame(0).shape[1]) < 6


def test_a_full_disk_is_said_and_the_next_run_goes_on(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART", 2)
    prepare_faces(photos, tmp_path / "whole")
    written, write = [], Path.write_bytes

    def filling(path, data):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return write(path, data)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="cannot be written: Make room"):
        patch.setattr(Path, "write_bytes", filling)
        prepare_faces(photos, tmp_path / "again")
    (part,) = (tmp_path / "again/parts").iterdir()
    seen, prepared = [], module._prepare_rows
    monkeypatch.setattr(module, "_prepare_rows", lambda data, rows: seen.append(rows) or prepared(data, rows))
    assert prepare_faces(photos, tmp_path / "again") == (2, 2)
    assert [[row["file"] for row in rows] for rows in seen] == [["room.png", "benjamin.png"]]
    for name in ("faces.npz", "skipped.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert prepare_faces(photos, tmp_path / "again") == (2, 2) and len(seen) == 1  # nothing was to be done


def test_faces_that_are_not_there_are_said(tmp_path):
    with pytest.raises(InputError, match="prepare-faces"):
        load_faces(tmp_path, "train")
    (tmp_path / "faces.npz").write_bytes(b"")
    with pytest.raises(InputError, match="broken"):
        load_faces(tmp_path, "train")
    (tmp_path / "faces.csv").write_text("file,split\na.png,train\n")
    with pytest.raises(InputError, match="no column identity"):
        prepare_faces(tmp_path, tmp_path)
