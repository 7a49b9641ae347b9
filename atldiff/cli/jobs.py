"""One video to make: a photo, a recording and the files to write; whether these files can be written."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from atldiff.errors import InputError
from atldiff.options import DEFAULTS, Options

VIDEO = (".mp4", ".webm", ".mov")
MATTE = (".webm", ".mov")  # containers whose codecs keep a transparent background
LANDMARKS = (".npz", ".json", ".mp4")


@dataclass(frozen=True)
class Job:
    """One video to make.

    Attributes:
        output: the video, or None.
        landmarks: files to save the landmarks to, or to draw them to.
        given: a landmark file to render instead of predicted landmarks.
        poses: a table of the head's angles instead of motion from the voice.
    """

    photo: Path
    recording: Path
    output: Path | None = None
    options: Options = DEFAULTS
    landmarks: tuple[Path, ...] = ()
    given: Path | None = None
    poses: Path | None = None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that the job reads."""
        files = (self.photo, self.recording, self.given, self.poses)
        return tuple(path for path in files if path is not None)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files that the job writes."""
        return (*self.landmarks, *([self.output] if self.output else []))


def check_files(job: Job) -> None:
    """Checks the names of a job's files; upper-case endings are as good as lower-case ones.

    Raises:
        InputError: there is no output, an ending cannot hold what is asked for, one file has two uses, or
            the name of an input is too long.
    """
    if not job.outputs:
        raise InputError(
            "There is nothing to make", "Name the video with -o, or the landmarks with --landmarks"
        )
    matte = job.options.background == "matte"
    allowed = MATTE if matte else VIDEO
    if job.output is not None and job.output.suffix.lower() not in allowed:
        what = "a matte" if matte else "the video"
        raise InputError(f"{job.output.name} cannot hold {what}", f"Name it *{' or *'.join(allowed)}")
    for path in job.landmarks:
        if path.suffix.lower() not in LANDMARKS:
            raise InputError(f"{path.name} cannot hold landmarks", f"Name it *{' or *'.join(LANDMARKS)}")
    for path in job.inputs:
        _check_length(path)
    for path in job.outputs:
        if any(same_file(path, other) for other in job.inputs):
            raise InputError(f"{path} is also an input and would be overwritten", "Choose another name")
    for path, other in combinations(job.outputs, 2):
        if same_file(path, other):
            raise InputError(f"{path} is named for two outputs", "Give each a name of its own")


def same_file(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file, which need not exist yet."""
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return path.resolve() == other.resolve()


def _check_length(path: Path) -> None:
    """Raises InputError for a path that the file system cannot look up."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"The name {path.name[:40]}... is too long", "Check the path") from error


@contextmanager
def writable(paths: list[Path]) -> Iterator[None]:
    """Makes sure that the files can be written, before any work; makes their folders, and takes away
    what it made, and what was newly written, if the work fails.

    Raises:
        InputError: a folder cannot be made or written to, or a path is a folder.
    """
    made: list[Path] = []
    before = {path for path in paths if os.path.exists(path)}
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
    made: list[Path] = []
    try:
        missing = [folder for folder in path.parents if not folder.exists()][::-1]
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        for folder in missing:
            folder.mkdir()
            made.append(folder)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(f"{path} is write-protected")
    except (OSError, ValueError) as error:
        _remove(made)
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be written ({reason})", "Choose another place for it") from error
    return made


def _remove(folders: list[Path]) -> None:
    """Takes new folders away again, innermost first; one that somebody else used meanwhile stays."""
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()
