"""The jobs of a batch, from a table or a folder of pairs. Each video gets a file of its own."""

import mimetypes
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count, product
from pathlib import Path
from typing import Literal

import pi_heif
from PIL import Image

from atldiff.cli.jobs import VIDEO, Job, same_file
from atldiff.cli.table import read_table
from atldiff.errors import InputError
from atldiff.media.decoding import open_media
from atldiff.options import DEFAULTS, Options

MAX_NAME = 255  # bytes of a file's name, on all common file systems
MADE_BY = "ATL-Diff"  # a word in the tags of this program's videos
# The content decides a file's kind. For an unreadable file the ending decides, and its job reports the fault.
RECORDINGS = (
    "3g2 3gp aac ac3 aif aifc aiff amr ape asf au avi caf eac3 f4v flac flv m2ts m4a m4b m4v mka mkv mov"
    " mp2 mp3 mp4 mpeg mpg mts oga ogg ogv opus spx ts tta w64 wav webm wma wmv wv"
)

Kind = Literal["photo", "recording", "own", "other", "folder"]
_REASONS: dict[Kind, str] = {
    "photo": "no recording of this name",
    "recording": "no photo of this name",
    "other": "neither a photo nor a recording",
    "folder": "folders are not searched",
}

pi_heif.register_heif_opener()


@dataclass(frozen=True)
class Batch:
    """The jobs of a table or folder.

    Attributes:
        jobs: in the order of the table, or of the files' names.
        notes: one sentence for each kind of file that no job uses.
    """

    jobs: list[Job]
    notes: tuple[str, ...] = ()


def read_jobs(source: Path, out: Path, options: Options = DEFAULTS) -> Batch:
    """Reads the jobs of a table or a folder.

    Args:
        source: a table (see `table.read_table`), or a folder. In a folder a photo and a recording of the
            same name make a pair.
        out: folder of the videos.
        options: the defaults of the table's rows.

    Raises:
        InputError: the source is missing or unreadable, the table is wrong, or there is no job.
    """
    try:
        if source.is_dir():
            batch = _read_folder(source, out, options)
        elif source.is_file():
            batch = Batch(_table_jobs(source, out, options))
        else:
            raise InputError(
                f"{source} does not exist", "Name a .csv with columns photo,recording or a folder"
            )
    except OSError as error:
        raise InputError(
            f"{source} cannot be read ({error.strerror})", "Check path and permissions"
        ) from error
    if not batch.jobs:
        notes = f" ({'; '.join(batch.notes)})" if batch.notes else ""
        remedy = "Give each photo and its recording the same name, or a row"
        raise InputError(f"{source} holds no jobs{notes}", remedy)
    return batch


def kind_of(path: Path) -> Kind:
    """Classifies a path by its content: a recording includes a video with sound, "own" is our video."""
    if path.is_dir():
        return "folder"
    if not path.is_file():  # a pipe, or a link to nowhere
        return "other"
    try:
        with open_media(path, "recording") as container:
            if container.streams.audio:
                own = any(MADE_BY in str(value) for value in container.metadata.values())
                return "own" if own else "recording"
    except InputError:
        pass
    try:
        with warnings.catch_warnings():  # the job reports damaged tags and too many pixels
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path):
                return "photo"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass
    ending = path.suffix.lower()
    if ending[1:] in RECORDINGS.split():
        return "recording"
    return "photo" if ending in Image.registered_extensions() else "other"


def _read_folder(source: Path, out: Path, options: Options) -> Batch:
    """Pairs every photo with every recording of its name, in the order of their names."""
    in_place = same_file(source, out)
    files = [path for path in sorted(source.iterdir()) if not path.name.startswith(".")]
    kinds = {path: kind_of(path) for path in files if not same_file(path, out)}
    photos, sounds = (_group_by_stem(kinds, kind) for kind in ("photo", "recording"))
    own_videos = _group_by_stem(kinds, "own")
    jobs: list[Job] = []
    rivals: set[Path] = set()
    for stem, pictures in photos.items():
        recordings = sounds.get(stem) or own_videos.get(stem, [])
        others = [path for path in recordings if not in_place or path.suffix != _ending(options)]
        if others:  # a video at the job's place is no recording beside another one
            rivals |= set(recordings) - set(others)
        jobs += [Job(*pair, options=options) for pair in product(pictures, others or recordings)]
    inputs = {path for job in jobs for path in job.inputs}
    names = _Names(out, inputs.union(path for path, kind in kinds.items() if kind != "own"))
    jobs = [replace(job, output=names.next_free(job.photo.stem, options)) for job in jobs]
    return Batch(jobs, tuple(_notes(kinds, inputs, rivals)))


def _group_by_stem(kinds: dict[Path, Kind], kind: Kind) -> dict[str, list[Path]]:
    """Groups files of a kind by name without ending; NFC unites two spellings of an accented letter."""
    stems: dict[str, list[Path]] = {}
    for path, its_kind in kinds.items():
        if its_kind == kind:
            stems.setdefault(unicodedata.normalize("NFC", path.stem), []).append(path)
    return stems


def _notes(kinds: dict[Path, Kind], inputs: set[Path], rivals: set[Path]) -> Iterator[str]:
    """One sentence for each kind of file that no job uses, except our own videos."""
    for kind, reason in _REASONS.items():
        files = [
            path.name for path, its_kind in kinds.items() if its_kind == kind and path not in inputs | rivals
        ]
        if files:
            yield f"{reason}: {', '.join(files)}"
    if rivals:
        names = ", ".join(sorted(path.name for path in rivals))
        yield f"another recording of this name is used: {names}"


def _table_jobs(source: Path, out: Path, options: Options) -> list[Job]:
    """Reads the jobs of a table's rows, in their order.

    Raises:
        InputError: two rows have the same video, or a row's video is an input.
    """
    rows = read_table(source, options)
    names = _Names(out, (path for row in rows for path in (row.photo, row.recording)))
    outputs: dict[int, Path] = {}
    for row in rows:
        if row.video:
            outputs[row.line] = names.claim(
                _with_ending(row.video, row.options), f"{source.name}, line {row.line}"
            )
    return [
        Job(
            row.photo,
            row.recording,
            outputs.get(row.line) or names.next_free(f"{row.photo.stem}-{row.recording.stem}", row.options),
            row.options,
        )
        for row in rows
    ]


def _with_ending(name: str, options: Options) -> str:
    """Adds an ending to a video's name; keeps any file ending, so that the job can report a wrong one."""
    known = name.lower().endswith(VIDEO) or mimetypes.guess_type(name)[0]
    return name if known else f"{name}{_ending(options)}"


def _ending(options: Options) -> str:
    """The ending of a video with these options."""
    return ".webm" if options.background == "matte" else ".mp4"


class _Names:
    """The names of the videos in a folder; they differ even where letter case does not count.

    Args:
        out: folder of the videos.
        protected: files that no video may replace.
    """

    def __init__(self, out: Path, protected: Iterable[Path]) -> None:
        self._out = out
        self._owners: dict[str, str] = {}
        self._protected = {_key(path) for path in protected}

    def claim(self, name: str, place: str) -> Path:
        """Claims a name for the video of a row; returns its path.

        Args:
            name: file name in the folder.
            place: the row's place, for the messages.

        Raises:
            InputError: another video has the name, or it is an input's.
        """
        path = self._out / name
        key = _key(path)
        if key in self._protected:
            raise InputError(
                f"{place}: {name} is also an input and would be overwritten", "Choose another name"
            )
        if key in self._owners:
            raise InputError(
                f"{place}: {self._owners[key]} has the video {name}, too", "Name each video once"
            )
        self._owners[key] = place
        return path

    def next_free(self, stem: str, options: Options) -> Path:
        """Claims the first free name of stem.mp4, stem-2.mp4, stem-3.mp4, ...; cuts a long stem."""
        for number in count(1):
            end = (f"-{number}" if number > 1 else "") + _ending(options)
            room = MAX_NAME - len(end.encode())
            path = self._out / (stem.encode(errors="surrogateescape")[:room].decode(errors="ignore") + end)
            if _key(path) not in self._protected and _key(path) not in self._owners:
                self._owners[_key(path)] = stem
                return path
        raise AssertionError("numbers do not end")


def _key(path: Path) -> str:
    """A key that is the same for paths that are one file on some file system."""
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()
