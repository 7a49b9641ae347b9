"""What is to be made: a photo, a recording, the files to write, and many of them from a table or folder."""

import csv
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atldiff.errors import InputError
from atldiff.options import DEFAULTS, OPTIONS, Options

VIDEO = (".mp4", ".webm", ".mov")
MATTE = (".webm", ".mov")  # containers whose codecs keep a transparent background
LANDMARKS = (".npz", ".json", ".mp4")
PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_COLUMNS = ("photo", "recording", "video")  # of a table, beside the options
RECORDINGS = (".wav", ".mp3", ".m4a", ".flac", ".ogg", ".opus", ".webm", ".mp4", ".aac")


@dataclass(frozen=True)
class Job:
    """One video to make. `landmarks` are files to save or draw the landmarks to, `given` one to render."""

    photo: Path
    recording: Path
    output: Path | None = None
    options: Options = DEFAULTS
    landmarks: tuple[Path, ...] = ()
    given: Path | None = None


def check_outputs(job: Job) -> None:
    """Raises InputError for a file name whose kind cannot hold what is asked for, or that is an input."""
    if job.output is None and not job.landmarks:
        raise InputError(
            "There is nothing to make", "Name the video with -o, or the landmarks with --landmarks"
        )
    matte = job.options.background == "matte"
    allowed = MATTE if matte else VIDEO
    if job.output is not None and job.output.suffix not in allowed:
        what = "a matte" if matte else "the video"
        raise InputError(f"{job.output.name} cannot hold {what}", f"Name it *{' or *'.join(allowed)}")
    for path in job.landmarks:
        if path.suffix not in LANDMARKS:
            raise InputError(f"{path.name} cannot hold landmarks", f"Name it *{' or *'.join(LANDMARKS)}")
    inputs = {p.resolve() for p in (job.photo, job.recording, job.given) if p is not None}
    for path in (*job.landmarks, *([job.output] if job.output else [])):
        if path.resolve() in inputs:
            raise InputError(f"{path} is also an input and would be overwritten", "Choose another name")


@contextmanager
def writable(paths: list[Path]) -> Iterator[None]:
    """Makes sure that the files can be written, before any work; makes their folders, and takes away
    what it made, and what was newly written, if the work fails.

    Raises:
        InputError: a folder cannot be made or written to, or a path is a folder.
    """
    made, before = [], {path for path in paths if path.exists()}
    try:
        for path in paths:
            made += _folders_for(path)
        yield
    except BaseException:
        for path in set(paths) - before:
            with suppress(OSError):
                path.unlink()
        _remove(made)
        raise


def _folders_for(path: Path) -> list[Path]:
    """Makes the folders above a file and tries to write there; returns the new ones, outermost first."""
    missing = [folder for folder in path.parents if not folder.exists()][::-1]
    made = []
    try:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        for folder in missing:
            folder.mkdir()
            made.append(folder)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(f"{path} is write-protected")
    except OSError as error:
        _remove(made)
        reason = error.strerror or str(error)
        raise InputError(f"{path} cannot be written ({reason})", "Choose another place for it") from error
    return made


def _remove(folders: list[Path]) -> None:
    """Takes new folders away again, innermost first; one that somebody else used meanwhile stays."""
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()


def read_jobs(source: Path, out: Path, options: Options = DEFAULTS) -> list[Job]:
    """The jobs of a table or a folder.

    Args:
        source: a .csv with the columns photo and recording (paths beside the .csv), maybe video (its file
            name), and any of `Options` by name; or a folder in which a photo and a recording of the same
            name make a pair.
        options: for what the table says nothing about.

    Raises:
        InputError: no such file, a column is missing or unknown, a value is wrong, or there is no pair.
    """
    if source.is_dir():
        files = sorted(source.iterdir())
        sounds = {f.stem: f for f in files if f.suffix.lower() in RECORDINGS}
        pairs = [(f, sounds[f.stem]) for f in files if f.suffix.lower() in PHOTOS and f.stem in sounds]
        jobs = [Job(photo, sound, out / f"{photo.stem}.mp4", options) for photo, sound in pairs]
    elif source.is_file():
        jobs = _read_table(source, out, options)
    else:
        raise InputError(f"{source} does not exist", "Name a .csv with columns photo,recording or a folder")
    if not jobs:
        raise InputError(
            f"{source} holds no jobs", "Give each photo and its recording the same name, or a row"
        )
    return jobs


def _read_table(source: Path, out: Path, options: Options) -> list[Job]:
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            unknown = set(table.fieldnames or ()) - {*_COLUMNS, *OPTIONS}
            jobs = [_read_row(row, source.parent, out, options) for row in table] if not unknown else []
    except (KeyError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{source.name} is not a table of jobs", "Its first line is: photo,recording"
        ) from error
    if unknown:
        columns = ", ".join((*_COLUMNS, *OPTIONS))
        raise InputError(f"{source.name} has an unknown column: {min(unknown)}", f"Columns are {columns}")
    return jobs


def _read_row(row: dict[str, str], folder: Path, out: Path, options: Options) -> Job:
    """One line of a table; an empty cell leaves the option as it is."""
    photo, recording = folder / row["photo"], folder / row["recording"]
    name = row.get("video") or f"{photo.stem}-{recording.stem}"
    output = out / (name if Path(name).suffix else f"{name}.mp4")
    given: dict[str, Any] = {name: row[name] for name in OPTIONS if row.get(name)}
    return Job(photo, recording, output, replace(options, **given))
