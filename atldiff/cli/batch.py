"""Many jobs at once: from a table, or from a folder of pairs; each video gets a file of its own."""

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
MADE_BY = "ATL-Diff"  # stands in the tags of the videos that this program makes
# Files are told by what they hold. A file that cannot be read is told by its ending: then its job says why.
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
    """The jobs of a table or folder, and one sentence for each kind of file that no job uses."""

    jobs: list[Job]
    notes: tuple[str, ...] = ()


def read_jobs(source: Path, out: Path, options: Options = DEFAULTS) -> Batch:
    """The jobs of a table or a folder.

    Args:
        source: a table (see `table.read_table`), or a folder in which a photo and a recording of the same
            name make a pair.
        out: folder of the videos.
        options: for what the table says nothing about.

    Raises:
        InputError: no such file, one that cannot be read, a table that cannot be used, or no job.
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
        left = f" ({'; '.join(batch.notes)})" if batch.notes else ""
        remedy = "Give each photo and its recording the same name, or a row"
        raise InputError(f"{source} holds no jobs{left}", remedy)
    return batch


def kind_of(path: Path) -> Kind:
    """What a path is: a photo, a recording (or a video with sound), a video that this program made, a folder,
    or none of these.
    """
    if path.is_dir():
        return "folder"
    if not path.is_file():  # a pipe, or a link to nowhere
        return "other"
    try:
        with open_media(path, "recording") as container:
            if container.streams.audio:
                made = any(MADE_BY in str(value) for value in container.metadata.values())
                return "own" if made else "recording"
    except InputError:
        pass
    try:
        with warnings.catch_warnings():  # of damaged tags and many pixels, which are the job's matter
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
    seen = [path for path in sorted(source.iterdir()) if not path.name.startswith(".")]
    kinds = {path: kind_of(path) for path in seen if not same_file(path, out)}
    photos, sounds = (_group_by_stem(kinds, kind) for kind in ("photo", "recording"))
    made = _group_by_stem(kinds, "own")
    jobs: list[Job] = []
    replaced: set[Path] = set()
    for stem, pictures in photos.items():
        heard = sounds.get(stem) or made.get(stem, [])
        others = [path for path in heard if not in_place or path.suffix != _ending(options)]
        if others:  # a video where the job's goes is no recording beside another one
            replaced |= set(heard) - set(others)
        jobs += [Job(*pair, options=options) for pair in product(pictures, others or heard)]
    used = {path for job in jobs for path in job.inputs}
    kept = used.union(path for path, kind in kinds.items() if kind != "own")
    names = _Names(out, kept)
    jobs = [replace(job, output=names.free(job.photo.stem, options)) for job in jobs]
    return Batch(jobs, tuple(_notes(kinds, used, replaced)))


def _group_by_stem(kinds: dict[Path, Kind], wanted: Kind) -> dict[str, list[Path]]:
    """Name without ending -> the files of that kind; systems spell an accented letter in two ways."""
    stems: dict[str, list[Path]] = {}
    for path, kind in kinds.items():
        if kind == wanted:
            stems.setdefault(unicodedata.normalize("NFC", path.stem), []).append(path)
    return stems


def _notes(kinds: dict[Path, Kind], used: set[Path], replaced: set[Path]) -> Iterator[str]:
    """One sentence for each kind of file that no job uses, but for videos that this program made."""
    for kind, reason in _REASONS.items():
        files = [path.name for path, its in kinds.items() if its == kind and path not in used | replaced]
        if files:
            yield f"{reason}: {', '.join(files)}"
    if replaced:
        names = ", ".join(sorted(path.name for path in replaced))
        yield f"another recording of this name is used: {names}"


def _table_jobs(source: Path, out: Path, options: Options) -> list[Job]:
    """The jobs of a table's rows, in their order.

    Raises:
        InputError: two rows name one video, or a row names a video that is another row's input.
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
            outputs.get(row.line) or names.free(f"{row.photo.stem}-{row.recording.stem}", row.options),
            row.options,
        )
        for row in rows
    ]


def _with_ending(name: str, options: Options) -> str:
    """A video's name with an ending: its own where it is a file's, so that a wrong one can be told."""
    known = name.lower().endswith(VIDEO) or mimetypes.guess_type(name)[0]
    return name if known else f"{name}{_ending(options)}"


def _ending(options: Options) -> str:
    """The kind of video that holds what the options ask for."""
    return ".webm" if options.background == "matte" else ".mp4"


class _Names:
    """The names of the videos in a folder; no two are alike, not even where the case of letters is ignored.

    Args:
        kept: files that no video may replace.
    """

    def __init__(self, out: Path, kept: Iterable[Path]) -> None:
        self._out = out
        self._taken: dict[str, str] = {}  # by whom
        self._kept = {_key(path) for path in kept}

    def claim(self, name: str, place: str) -> Path:
        """The path of that name.

        Raises:
            InputError: another video has it, or it is an input; `place` says who asks.
        """
        path = self._out / name
        key = _key(path)
        if key in self._kept:
            raise InputError(
                f"{place}: {name} is also an input and would be overwritten", "Choose another name"
            )
        if key in self._taken:
            raise InputError(f"{place}: {self._taken[key]} has the video {name}, too", "Name each video once")
        self._taken[key] = place
        return path

    def free(self, stem: str, options: Options) -> Path:
        """The first free path of: stem.mp4, stem-2.mp4, stem-3.mp4, ...; a long stem is cut."""
        for number in count(1):
            end = (f"-{number}" if number > 1 else "") + _ending(options)
            room = MAX_NAME - len(end.encode())
            path = self._out / (stem.encode(errors="surrogateescape")[:room].decode(errors="ignore") + end)
            if _key(path) not in self._kept and _key(path) not in self._taken:
                self._taken[_key(path)] = stem
                return path
        raise AssertionError("numbers do not end")


def _key(path: Path) -> str:
    """The same for paths that some file system takes for one."""
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()
