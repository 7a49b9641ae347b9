"""Talking-head corpora as their authors publish them -> clip records; nothing is decoded here.

A reader yields a `ClipRecord` for each clip and a `Skipped` for each file that cannot be one, folder by
folder: memory does not grow with the corpus. A download that is not finished is no error: what is missing or
half there is left out, and found by the next run.
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


@dataclass(frozen=True)
class ClipRecord:
    """One clip of a corpus.

    Attributes:
        key: its name in the training data: the path below the corpus's folder without ending.
        video: its pictures.  audio: its sound, where that is a file of its own.
        identity: who is seen.  sentence, emotion, level: what is said and how; "" = unknown.
        split: train, val or test, where the corpus says so; "" = to be decided.
        kind: speech or silent.  use: both, frames or landmarks: what it may be trained on.
        details: what else the corpus tells, such as age and sex.
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
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A file that is left out, by its path below the corpus's folder, and why."""

    file: str
    reason: str


Listing = Iterator[ClipRecord | Skipped]


def read_corpus(root: Path, corpus: str = "auto") -> Listing:
    """The clips of a corpus.

    Args:
        corpus: a key of CORPORA, or "auto": by what lies in the folder.

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
    found = [key for key, p in patterns.items() if any(re.fullmatch(p, folder) for folder in folders)]
    return found[0] if found else "folder"


def _crema_d(root: Path) -> Listing:
    """The sound from AudioWAV where it is there, else the video's own; age and sex of the actors."""
    people, table = {}, root / "VideoDemographics.csv"
    if table.is_file():
        people = {row["ActorID"]: row for row in table_rows(table, ("ActorID",))}
    for told in _named(root, names.crema_d, names.CREMA_D_EXAMPLE):
        if isinstance(told, Skipped):
            yield told
            continue
        person = people.get(told["identity"], {})
        details = {key.lower(): person[key].lower() for key in ("Age", "Sex") if person.get(key)}
        sound = _sound(root / "AudioWAV" / told["video"].stem)
        yield ClipRecord(**told, audio=sound, details=details)


def _mead(root: Path) -> Listing:
    """Frontal views, with the separately recorded sound."""
    for actor in sorted(entry.name for entry in os.scandir(root) if entry.is_dir()):
        if (root / actor / "video.tar").exists() and not (root / actor / "video").is_dir():
            yield Skipped(f"{actor}/video.tar", "not unpacked")
    for told in _named(root, names.mead, names.MEAD_EXAMPLE):
        if isinstance(told, Skipped):
            yield told
            continue
        actor, _, view, emotion, level, take = told["key"].split("/")
        sound = _sound(root / actor / "audio" / emotion / level / take)
        if view != "front":
            yield _left_out(root, told["video"], "not the frontal view")
        elif sound is None:
            yield _left_out(root, told["video"], NO_SOUND)
        else:
            yield ClipRecord(**told, audio=sound)


def _ravdess(root: Path) -> Listing:
    """The files with sound and pictures; those with pictures alone show the same takes."""
    for told in _named(root, names.ravdess, names.RAVDESS_EXAMPLE):
        if isinstance(told, Skipped):
            yield told
        elif told["details"]["modality"] == "audio-video":
            yield ClipRecord(**told)
        else:
            yield _left_out(root, told["video"], "a video-only file")


def _grid(root: Path) -> Listing:
    """The sound from audio_25k or the speaker's own audio folder where it is there, else the video's own."""
    for told in _named(root, names.grid, names.GRID_EXAMPLE):
        if isinstance(told, Skipped):
            yield told
            continue
        speaker, stem = told["identity"], told["video"].stem
        sounds = (root / "audio_25k" / speaker / stem, root / speaker / "audio" / stem)
        yield ClipRecord(**told, audio=next(filter(None, map(_sound, sounds)), None))


def _folder(root: Path) -> Listing:
    """Any videos: each folder below `root` is one person; a video directly in `root` is a person too."""
    for path in _videos(root):
        if isinstance(path, Skipped):
            yield path
            continue
        person = path.relative_to(root).with_suffix("").parts[0]
        yield ClipRecord(_key(root, path), path, person, _sound(path.with_suffix("")))


def _clips_csv(root: Path) -> Listing:
    """clips.csv: file and identity, and any other field of a ClipRecord."""
    known = {f.name for f in fields(ClipRecord)} - {"key", "video", "audio", "details"}
    for row in table_rows(root / "clips.csv", ("file", "identity")):
        path = root / row["file"]
        problem = _unfit(path) if path.is_file() else "does not exist"
        if problem:
            yield Skipped(row["file"], problem)
            continue
        given: dict[str, Any] = {name: row[name] for name in known if row.get(name)}
        sound = root / row["audio"] if row.get("audio") else None
        yield ClipRecord(_key(root, path), path, audio=sound, **given)


CORPORA = {
    "crema-d": _crema_d,
    "mead": _mead,
    "ravdess": _ravdess,
    "grid": _grid,
    "clips.csv": _clips_csv,
    "folder": _folder,
}


def _videos(root: Path, folder: Path | None = None) -> Iterator[Path | Skipped]:
    """Every video below `root` (of `folder`) in alphabetical order, or why it is none."""
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
    """What is wrong with a file that one look at its head shows, or None."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(LFS_POINTER))
    except OSError as error:  # a link to what was not fetched, no permission, a disk that fails
        return f"cannot be read ({error.strerror})"
    if not head:
        return "is empty (0 bytes)"
    return "is a Git LFS pointer: run `git lfs pull`" if head == LFS_POINTER else None


def _named(
    root: Path, grammar: Callable[[tuple[str, ...]], dict | None], example: str
) -> Iterator[dict | Skipped]:
    """The fields of a ClipRecord that the path of each video tells, or why there are none."""
    for path in _videos(root):
        if isinstance(path, Skipped):
            yield path
            continue
        told = grammar(path.relative_to(root).with_suffix("").parts)
        if told is None:
            yield _left_out(root, path, f"its name is not like {example}")
        else:
            yield {"key": _key(root, path), "video": path} | told


def _left_out(root: Path, path: Path, reason: str) -> Skipped:
    return Skipped(path.relative_to(root).as_posix(), reason)


def _key(root: Path, path: Path) -> str:
    """The path below `root` without ending; WebDataset cuts names at their first dot, so it has none."""
    return path.relative_to(root).with_suffix("").as_posix().replace(".", "_")


def _sound(base: Path) -> Path | None:
    """The sound file `base`.* if it is there and holds something."""
    found = (base.with_name(base.name + ending) for ending in AUDIO_ENDINGS)
    return next((path for path in found if path.is_file() and _unfit(path) is None), None)


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
