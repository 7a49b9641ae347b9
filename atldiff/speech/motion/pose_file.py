"""Head poses that replace those from the voice: a file with one line a video frame, or a hand's path."""

import csv
import math
from pathlib import Path

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.media.speech import MAX_SECONDS
from atldiff.sequence import HEAD_PARTS
from atldiff.smoothstep import smoothstep

ANGLES = ("yaw", "pitch", "roll")
MAX_ANGLE = 90.0  # degrees
MAX_FRAMES = round(MAX_SECONDS * FRAME_RATE)
MAX_LINE = 1000  # characters
HAND = (15.0, 10.0)  # yaw and pitch in degrees at the border of what a hand may reach
REST = 0.5  # seconds in which the head comes back when the hand lets go

_REMEDY = "Write yaw, pitch and roll in degrees on each line, such as 3.5,-1,0"


def poses_from_csv(path: str | Path) -> np.ndarray:
    """Reads a table of angles; a first line with the names yaw, pitch and roll sets the order of the columns.

    Args:
        path: a .csv file of angles in degrees, one line a frame at 30 fps.

    Returns:
        (F, 6) float64: yaw, pitch and roll in degrees; shift and size are 0.

    Raises:
        InputError: the file is missing, a folder, empty, not text or too long; a line lacks three finite
            angles of at most 90 degrees.
    """
    path = Path(path)
    rows = [row for row in _rows(path) if any(field.strip() for field in row[1])]
    columns: list[int] | range = range(len(ANGLES))
    if rows and not _is_number(rows[0][1][0]):
        columns = _named_columns(rows.pop(0)[1], path.name)
    if not rows:
        raise InputError(f"{path.name} holds no poses", _REMEDY)
    if len(rows) > MAX_FRAMES:
        raise InputError(f"{path.name} holds more than {MAX_FRAMES} poses", "Cut it to ten minutes")
    poses = np.zeros((len(rows), HEAD_PARTS))
    for pose, (line, row) in zip(poses, rows, strict=True):
        pose[: len(ANGLES)] = _angles(row, columns, f"Line {line} of {path.name}")
    return poses


def write_hand_poses(file: str | Path, path: np.ndarray, num_frames: int) -> Path:
    """Writes the table of a head that a hand drags; `poses_from_csv` reads it.

    Args:
        file: the .csv file.
        path: (N, 3) seconds, increasing; then the place to the right and down of the start, in [-1, 1].
        num_frames: of the video; the head comes to rest after the path's end.

    Returns:
        The file.
    """
    times, places = path[:, 0], np.clip(path[:, 1:], -1, 1)
    frames = np.arange(num_frames) / FRAME_RATE
    angles = np.stack([np.interp(frames, times, place) for place in places.T], axis=1) * HAND
    angles *= 1 - smoothstep(0, REST, frames - times[-1])[:, None]
    lines = [",".join(ANGLES), *(f"{yaw:.2f},{pitch:.2f},0" for yaw, pitch in angles)]
    Path(file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Path(file)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Reads the lines of a file: (number of the line, fields) each."""
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"The file of poses {path.name} {problem}", "Check its path")
    try:
        if path.stat().st_size > MAX_LINE * (MAX_FRAMES + 1):
            raise InputError(f"{path.name} is too large for a file of poses", _REMEDY)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        return list(enumerate(csv.reader(lines), start=1))
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not a text file", _REMEDY) from error
    except (OSError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read", _REMEDY) from error


def _named_columns(header: list[str], name: str) -> list[int]:
    names = [field.strip().lower() for field in header]
    missing = [angle for angle in ANGLES if angle not in names]
    if missing:
        raise InputError(f"The first line of {name} does not name {' and '.join(missing)}", _REMEDY)
    return [names.index(angle) for angle in ANGLES]


def _angles(row: list[str], columns: list[int] | range, where: str) -> list[float]:
    if len(row) <= max(columns):
        raise InputError(f"{where} does not hold three angles", _REMEDY)
    fields = [row[column].strip() for column in columns]
    for field in fields:
        if not _is_number(field):
            raise InputError(f"{where} holds {field[:20]!r}, which is no number", _REMEDY)
        if abs(float(field)) > MAX_ANGLE:
            raise InputError(f"{where} turns the head by more than {MAX_ANGLE:g} degrees", _REMEDY)
    return [float(field) for field in fields]


def _is_number(field: str) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False
