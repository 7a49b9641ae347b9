"""Talking-head corpora as their authors publish them -> clip records; nothing is decoded here.

- A reader yields a `ClipRecord` for each clip and a `Skipped` for each unusable file, folder by folder.
- Memory does not grow with the corpus.
- An unfinished download is no error: incomplete files are skipped, and a later run takes them.
"""

import csv
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from atldiff.errors import InputError
from atldiff.training.data import corpus_names as names

VIDEO_ENDINGS = (".mp4", ".flv", ".mpg", ".mpeg", ".mov", ".avi", ".mkv", ".webm", ".m4v")
AUDIO_ENDINGS = (".wav", ".m4a", ".flac", ".mp3", ".aac", ".ogg")
PARTIAL_ENDINGS = (".part", ".partial", ".crdownload", ".download", ".aria2", ".tmp")
LFS_POINTER = b"version https://git-lfs"
NO_SOUND = "its sound is missing"
LAGS = "clip_sync.csv"  # measured lags of the files of a clips.csv


@dataclass(frozen=True)
class ClipRecord:
    """One clip of a corpus.

    Attributes:
        key: name in the training data: the path below the corpus's folder without ending.
        video: file with the pictures.
        audio: file with the sound; None: the sound is in `video`.
        identity: name of the person.
        sentence: spoken text; "" = unknown.
        emotion: name of the emotion; "" = unknown.
        level: strength of the emotion; "" = unknown.
        split: train, val or test, where the corpus has splits; "" = to be decided.
        kind: speech or silent.
        use: both, frames or landmarks: the training that may use the clip.
        lag: seconds by which the pictures come after their sound; 0 = in step, or unknown.
        details: other fields of the corpus, such as age and sex.
    """

    key: str
    video: Path
    identity: str
    audio: Path | None = None
    sentence: str = ""
    emotion: str = ""
    level: str = ""
    split: str = ""
    kind: str = "speech"
    use: str = "both"
    lag: float = 0.0
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A file that is left out.

    Attributes:
        file: path below the corpus's folder.
        reason: why, in words.
    """

    file: str
    reason: str


Listing = Iterator[ClipRecord | Skipped]


def read_corpus(root: Path, corpus: str = "auto") -> Listing:
    """The clips of a corpus.

    Args:
        root: the corpus's folder.
        corpus: a key of CORPORA, or "auto" to recognise it by its folder.

    Raises:
        InputError: no such folder, no such corpus, or its table is broken.
    """
    if not root.is_dir():
        raise InputError(f"The folder {root} does not exist", "Check --data")
    corpus = recognise(root) if corpus == "auto" else corpus
    if corpus not in CORPORA:
        raise InputError(f"There is no corpus {corpus!r}", f"Choose one of auto, {', '.join(CORPORA)}")
    return CORPORA[corpus](root)


def recognise(root: Path) -> str:
    """The key of CORPORA that a folder looks like."""
    folders = [entry.name for entry in os.scandir(root) if entry.is_dir()]
    if (root / "clips.csv").is_file():
        return "clips.csv"
    if {"VideoFlash", "AudioWAV"} & set(folders):
        return "crema-d"
    patterns = {"mead": r"[MW]\d{3}", "ravdess": r"((Video|Audio)_\w+_)?Actor_\d\d", "grid": r"s\d{1,2}"}
    matches = [key for key, p in patterns.items() if any(re.fullmatch(p, folder) for folder in folders)]
    return matches[0] if matches else "folder"


def _crema_d(root: Path) -> Listing:
    """CREMA-D: sound from AudioWAV where it exists, else from the video; age and sex of the actors."""
    people, table = {}, root / "VideoDemographics.csv"
    if table.is_file():
        people = {row["ActorID"]: row for row in table_rows(table, ("ActorID",))}
    for entry in _parse_names(root, names.parse_crema_d, names.CREMA_D_EXAMPLE):
        if isinstance(entry, Skipped):
            yield entry
            continue
        person = people.get(entry["identity"], {})
        details = {key.lower(): person[key].lower() for key in ("Age", "Sex") if person.get(key)}
        sound = _sound(root / "AudioWAV" / entry["video"].stem)
        yield ClipRecord(**entry, audio=sound, details=details)


def _mead(root: Path) -> Listing:
    """MEAD: frontal views, with the separately recorded sound."""
    for actor in sorted(entry.name for entry in os.scandir(root) if entry.is_dir()):
        if (root / actor / "video.tar").exists() and not (root / actor / "video").is_dir():
            yield Skipped(f"{actor}/video.tar", "not unpacked")
    for entry in _parse_names(root, names.parse_mead, names.MEAD_EXAMPLE):
        if isinstance(entry, Skipped):
            yield entry
            continue
        actor, _, view, emotion, level, take = entry["key"].split("/")
        sound = _sound(root / actor / "audio" / emotion / level / take)
        if view != "front":
            yield _left_out(root, entry["video"], "not the frontal view")
        elif sound is None:
            yield _left_out(root, entry["video"], NO_SOUND)
        else:
            yield ClipRecord(**entry, audio=sound)


def _ravdess(root: Path) -> Listing:
    """RAVDESS: files with sound and pictures. Files with pictures alone show the same takes."""
    for entry in _parse_names(root, names.parse_ravdess, names.RAVDESS_EXAMPLE):
        if isinstance(entry, Skipped):
            yield entry
        elif entry["details"]["modality"] == "audio-video":
            yield ClipRecord(**entry)
        else:
            yield _left_out(root, entry["video"], "a video-only file")


def _grid(root: Path) -> Listing:
    """GRID: sound from audio_25k or the speaker's audio folder where it exists, else from the video."""
    for entry in _parse_names(root, names.parse_grid, names.GRID_EXAMPLE):
        if isinstance(entry, Skipped):
            yield entry
            continue
        speaker, stem = entry["identity"], entry["video"].stem
        sounds = (root / "audio_25k" / speaker / stem, root / speaker / "audio" / stem)
        yield ClipRecord(**entry, audio=next(filter(None, map(_sound, sounds)), None))


def _folder(root: Path) -> Listing:
    """Any videos: each folder in `root` is one person, and so is each video directly in `root`."""
    for path in _videos(root):
        if isinstance(path, Skipped):
            yield path
            continue
        person = path.relative_to(root).with_suffix("").parts[0]
        yield ClipRecord(_key(root, path), path, person, _sound(path.with_suffix("")))


def _clips_csv(root: Path) -> Listing:
    """clips.csv: file and identity, and any other field of a ClipRecord; clip_sync.csv: measured lags."""
    names = {f.name for f in fields(ClipRecord)} - {"key", "video", "audio", "lag", "details"}
    lags = _measured_lags(root / LAGS)
    for row in table_rows(root / "clips.csv", ("file", "identity")):
        path = root / row["file"]
        problem = _unfit(path) if path.is_file() else "does not exist"
        if problem:
            yield Skipped(row["file"], problem)
            continue
        columns: dict[str, Any] = {name: row[name] for name in names if row.get(name)}
        sound = root / row["audio"] if row.get("audio") else None
        yield ClipRecord(_key(root, path), path, audio=sound, lag=lags.get(row["file"], 0.0), **columns)


def _measured_lags(table: Path) -> dict[str, float]:
    """The lags in seconds of a table with the columns file and lag_ms; empty without the table.

    Files without a lag are left out, and so are those with 0 in the column `sure`.

    Raises:
        InputError: a column is missing, or a lag is no number.
    """
    lags: dict[str, float] = {}
    for row in table_rows(table, ("file", "lag_ms")) if table.is_file() else ():
        if not row["lag_ms"] or row.get("sure") == "0":
            continue
        try:
            lags[row["file"]] = float(row["lag_ms"]) / 1000
        except ValueError as error:
            problem = f"The lag of {row['file']} in {table} is {row['lag_ms']!r}"
            raise InputError(problem, "Write it in milliseconds, such as -157") from error
    return lags


CORPORA = {
    "crema-d": _crema_d,
    "mead": _mead,
    "ravdess": _ravdess,
    "grid": _grid,
    "clips.csv": _clips_csv,
    "folder": _folder,
}


def _videos(root: Path, folder: Path | None = None) -> Iterator[Path | Skipped]:
    """Every video below `root` (or `folder` in it) in alphabetical order; unusable ones as `Skipped`."""
    for entry in sorted(os.scandir(folder or root), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_dir():
            yield from _videos(root, path)
        elif path.suffix.lower() in PARTIAL_ENDINGS and path.with_suffix("").suffix.lower() in VIDEO_ENDINGS:
            yield _left_out(root, path, "its download is not finished")
        elif path.suffix.lower() in VIDEO_ENDINGS:
            problem = _unfit(path)
            yield _left_out(root, path, problem) if problem else path


def _unfit(path: Path) -> str | None:
    """The fault that a file's first bytes show; None if there is none."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(LFS_POINTER))
    except OSError as error:  # a link to what was not fetched, no permission, a disk that fails
        return f"cannot be read ({error.strerror})"
    if not head:
        return "is empty (0 bytes)"
    return "is a Git LFS pointer: run `git lfs pull`" if head == LFS_POINTER else None


def _parse_names(
    root: Path, grammar: Callable[[tuple[str, ...]], dict | None], example: str
) -> Iterator[dict | Skipped]:
    """The fields of a ClipRecord from the path of each video; `Skipped` for names outside the grammar."""
    for path in _videos(root):
        if isinstance(path, Skipped):
            yield path
            continue
        entry = grammar(path.relative_to(root).with_suffix("").parts)
        if entry is None:
            yield _left_out(root, path, f"its name is not like {example}")
        else:
            yield {"key": _key(root, path), "video": path} | entry


def _left_out(root: Path, path: Path, reason: str) -> Skipped:
    return Skipped(path.relative_to(root).as_posix(), reason)


def _key(root: Path, path: Path) -> str:
    """The path below `root` without ending and dots: WebDataset cuts names at their first dot."""
    return path.relative_to(root).with_suffix("").as_posix().replace(".", "_")


def _sound(base: Path) -> Path | None:
    """The sound file `base`.* if it exists and can be used."""
    candidates = (base.with_name(base.name + ending) for ending in AUDIO_ENDINGS)
    return next((path for path in candidates if path.is_file() and _unfit(path) is None), None)


def table_rows(table: Path, needed: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file with a header.

    Raises:
        InputError: a needed column is missing.
    """
    with open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{table} has no column {missing[0]}", f"Give it {', '.join(needed)}")
        yield from reader
