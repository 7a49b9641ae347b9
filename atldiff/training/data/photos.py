"""Single photos of a faces.csv -> crops and landmarks in one file; a second run resumes."""

import csv
import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atldiff import landmarks as lm
from atldiff.errors import InputError
from atldiff.portrait.photo import open_photo
from atldiff.system import atomic_write
from atldiff.training.data.corpora import table_rows
from atldiff.training.data.extract import STORED_MARGIN, encode_crops
from atldiff.training.renderer.reopened import FACES_FILE, UNREADABLE
from atldiff.training.runs.checkpoints import report_write_errors

MAX_YAW = 0.35
PART = 100  # photos a part file; an interrupted run repeats at most as many
SAVED = ("jpeg", "sizes", "points", "split", "identity")
NO_FACE = "no face from the front is found"


def prepare_faces(data: Path, out: Path) -> tuple[int, int]:
    """Writes crops and landmarks of every photo of `data/faces.csv` to `out/faces.npz`.

    It reads the columns file, split and identity. `out/skipped.csv` lists the skipped photos with reasons.
    `out/parts` holds finished parts during a run; the next run resumes from them.

    Returns:
        Number of photos written, number of photos skipped.

    Raises:
        InputError: there is no faces.csv, or no face in its photos; the disk is full (finished parts stay).
    """
    if not (data / "faces.csv").is_file():
        raise InputError(f"There is no faces.csv in {data}", "Name the folder that holds it")
    rows = list(table_rows(data / "faces.csv", ("file", "split", "identity")))
    groups = {_key(data, rows[i : i + PART]): rows[i : i + PART] for i in range(0, len(rows), PART)}
    key = hashlib.sha256("".join(groups).encode()).hexdigest()
    if _key_of(out) != key:
        with tqdm(total=len(rows), desc="faces") as bar:
            for name, group in groups.items():
                part = out / "parts" / f"{name}.npz"
                if not part.exists():
                    _save(part, _prepare_rows(data, group))
                bar.update(len(group))
        _join([out / "parts" / f"{name}.npz" for name in groups], out, key)
    shutil.rmtree(out / "parts", ignore_errors=True)
    with np.load(out / FACES_FILE) as arrays:
        count = len(arrays["split"])
    return count, len(rows) - count


def _key(data: Path, rows: list[dict[str, str]]) -> str:
    """A hash of the rows and of their photos' sizes and times."""
    files = [data / row["file"] for row in rows]
    stamps = [(file.stat().st_size, file.stat().st_mtime_ns) if file.exists() else None for file in files]
    return hashlib.sha256(json.dumps([rows, stamps]).encode()).hexdigest()[:20]


def _key_of(out: Path) -> str:
    """The key stored in `out/faces.npz`; empty if the file is missing or broken."""
    try:
        with np.load(out / FACES_FILE) as arrays:
            return str(arrays["key"])
    except UNREADABLE:
        return ""


def _prepare_rows(data: Path, rows: list[dict[str, str]]) -> dict[str, np.ndarray]:
    """Crops the photos of some rows.

    Returns:
        jpeg: (n,) uint8, the crops in a row; sizes: (N,) bytes of each;
        points: (N, 68, 2) in crop units; split, identity: (N,) str;
        left_out: (M, 2) str, file and reason.
    """
    from atldiff.portrait.mesh import track_landmarks

    jpegs, points, usable, left_out = [np.zeros(0, np.uint8)], [], [], []
    for row in rows:
        try:
            image = open_photo(data / row["file"])
        except InputError as error:
            left_out.append((row["file"], error.problem))
            continue
        marks = track_landmarks([image])
        if not np.isfinite(marks).all() or abs(lm.yaw(marks[0])) > MAX_YAW:
            left_out.append((row["file"], NO_FACE))
            continue
        box = lm.crop_box(marks, lm.CROP_SCALE * STORED_MARGIN)
        jpegs.append(encode_crops([image], box)[0])
        points.append(lm.to_crop(marks[0], box))
        usable.append(row)
    columns = {name: np.array([row[name] for row in usable], str) for name in ("split", "identity")}
    return columns | {
        "jpeg": np.concatenate(jpegs),
        "sizes": np.array([len(jpeg) for jpeg in jpegs[1:]], np.int64),
        "points": np.array(points, np.float32).reshape(-1, lm.NUM_LANDMARKS, 2),
        "left_out": np.array(left_out, str).reshape(-1, 2),
    }


def _join(parts: list[Path], out: Path, key: str) -> None:
    """Joins the parts into `out/faces.npz`, and writes the list of skipped photos.

    Raises:
        InputError: no photo is usable; the disk is full.
    """
    pieces = []
    for part in parts:
        with np.load(part) as arrays:
            pieces.append(dict(arrays))
    if not any(len(piece["sizes"]) for piece in pieces):
        raise InputError("No face from the front is found in any photo", "Use photos of one face each")
    columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in SAVED}
    columns["offsets"] = np.cumsum([0, *columns.pop("sizes")])
    with report_write_errors(out), open(out / "skipped.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "reason"))
        writer.writerows(row for piece in pieces for row in piece["left_out"])
    _save(out / FACES_FILE, columns | {"key": np.array(key)})


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes an .npz, whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()  # on a full disk, savez to a file raises again when the file is collected
    np.savez(buffer, allow_pickle=False, **arrays)
    with report_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            part.write_bytes(buffer.getbuffer())
