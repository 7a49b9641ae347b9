"""Single photos of a faces.csv -> crops and landmarks in one file; run again to go on."""

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
from atldiff.training.data.corpora import table_rows
from atldiff.training.data.extract import STORED_MARGIN, encode_crops
from atldiff.training.renderer.reopened import FACES_FILE, UNREADABLE
from atldiff.training.runs.checkpoints import writing

MAX_YAW = 0.35
PART = 100  # photos that are written at once: no more are done again where a run was ended
SAVED = ("jpeg", "sizes", "points", "split", "identity")
NO_FACE = "no face from the front is found"


def prepare_faces(data: Path, out: Path) -> tuple[int, int]:
    """Crops and landmarks of every photo of `data/faces.csv`, into `out/faces.npz`.

    Columns used: file, split, identity. `out/skipped.csv` lists the photos that are left out, and why. While
    it runs, `out/parts` holds what is done; the next run goes on from there.

    Returns:
        How many photos were kept, and how many were left out.

    Raises:
        InputError: there is no faces.csv, or no face in its photos; the disk is full (what is done stays).
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
                    _save(part, _prepared(data, group))
                bar.update(len(group))
        _join([out / "parts" / f"{name}.npz" for name in groups], out, key)
    shutil.rmtree(out / "parts", ignore_errors=True)
    with np.load(out / FACES_FILE) as arrays:
        kept = len(arrays["split"])
    return kept, len(rows) - kept


def _key(data: Path, rows: list[dict[str, str]]) -> str:
    """A name for these rows and the photos that they name."""
    files = [data / row["file"] for row in rows]
    stamps = [(file.stat().st_size, file.stat().st_mtime_ns) if file.exists() else None for file in files]
    return hashlib.sha256(json.dumps([rows, stamps]).encode()).hexdigest()[:20]


def _key_of(out: Path) -> str:
    """That of the photos in `out/faces.npz`; empty: there is none, or none that can be read."""
    try:
        with np.load(out / FACES_FILE) as arrays:
            return str(arrays["key"])
    except UNREADABLE:
        return ""


def _prepared(data: Path, rows: list[dict[str, str]]) -> dict[str, np.ndarray]:
    """What is kept of photos: jpeg (n,) uint8, sizes (N,) of each in it, points (N, 68, 2) in crop units,
    split and identity (N,); left_out (M, 2): file, reason.
    """
    from atldiff.portrait.mesh import track_landmarks

    jpegs, points, kept, left_out = [np.zeros(0, np.uint8)], [], [], []
    for row in rows:
        try:
            image = open_photo(data / row["file"])
        except InputError as error:
            left_out.append((row["file"], error.problem))
            continue
        found = track_landmarks([image])
        if not np.isfinite(found).all() or abs(lm.yaw(found[0])) > MAX_YAW:
            left_out.append((row["file"], NO_FACE))
            continue
        box = lm.crop_box(found, lm.CROP_SCALE * STORED_MARGIN)
        jpegs.append(encode_crops([image], box)[0])
        points.append(lm.to_crop(found[0], box))
        kept.append(row)
    told = {name: np.array([row[name] for row in kept], str) for name in ("split", "identity")}
    return told | {
        "jpeg": np.concatenate(jpegs),
        "sizes": np.array([len(jpeg) for jpeg in jpegs[1:]], np.int64),
        "points": np.array(points, np.float32).reshape(-1, lm.NUM_LANDMARKS, 2),
        "left_out": np.array(left_out, str).reshape(-1, 2),
    }


def _join(parts: list[Path], out: Path, key: str) -> None:
    """The parts into `out/faces.npz`, and the list of what is left out.

    Raises:
        InputError: nothing is kept; the disk is full.
    """
    pieces = []
    for part in parts:
        with np.load(part) as arrays:
            pieces.append(dict(arrays))
    if not any(len(piece["sizes"]) for piece in pieces):
        raise InputError("No face from the front is found in any photo", "Use photos of one face each")
    whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in SAVED}
    whole["offsets"] = np.cumsum([0, *whole.pop("sizes")])
    with writing(out), open(out / "skipped.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "reason"))
        writer.writerows(row for piece in pieces for row in piece["left_out"])
    _save(out / FACES_FILE, whole | {"key": np.array(key)})


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes an .npz, whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    packed, part = io.BytesIO(), path.with_suffix(".writing")
    np.savez(packed, allow_pickle=False, **arrays)  # straight to a full disk it leaves an error at its end
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(packed.getbuffer())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
