"""A job: one photo, one recording and the files to write. Checks that these files can be written."""

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
        photo: the portrait's file.
        recording: the speech's file.
        output: the video, or None.
        options: the choices for the video.
        landmarks: files for the landmarks: .npz and .json hold them, .mp4 shows them.
        landmark_file: landmarks to render instead of the prediction, or None.
        poses: a table of the head's angles instead of motion from the voice, or None.
        driving_video: a video whose head, brows and blinks to use instead, or None.
        backdrop: a picture to lay behind the person, or None.
    """

    photo: Path
    recording: Path
    output: Path | None = None
    options: Options = DEFAULTS
    landmarks: tuple[Path, ...] = ()
    landmark_file: Path | None = None
    poses: Path | None = None
    driving_video: Path | None = None
    backdrop: Path | None = None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that the job reads."""
        motion = self.landmark_file, self.poses, self.driving_video
        files = self.photo, self.recording, *motion, self.backdrop
        return tuple(path for path in files if path is not None)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files that the job writes."""
        return (*self.landmarks, *([self.output] if self.output else []))


def check_files(job: Job) -> None:
    """Checks the names of a job's files; endings may be upper-case.

    Raises:
        InputError: there is no output, an ending does not fit, one file has two uses, or an input's name
            is too long.
    """
    if not job.outputs:
        raise InputError(
            "There is nothing to make", "Name the video with -o, or the landmarks with --landmarks"
        )
    matte = job.options.background == "matte"
    allowed = MATTE if matte else VIDEO
    if job.output is not None and job.output.suffix.lower() not in allowed:
        noun = "a matte" if matte else "the video"
        raise InputError(f"{job.output.name} cannot hold {noun}", f"Name it *{' or *'.join(allowed)}")
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
    """Whether two paths lead to one file, which may not exist yet."""
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
def reserve_files(paths: list[Path]) -> Iterator[None]:
    """Checks before the work that the files can be written, and makes their folders.

    If the work fails, new files and folders are removed.

    Raises:
        InputError: a folder cannot be made or written to, or a path is a folder.
    """
    folders: list[Path] = []
    before = {path for path in paths if os.path.exists(path)}
    try:
        for path in paths:
            folders += _make_folders(path)
        yield
    except BaseException:
        for path in set(paths) - before:
            with suppress(OSError):
                path.unlink()
        _remove_folders(folders)
        raise


def _make_folders(path: Path) -> list[Path]:
    """Makes the folders above a file and tries to write there; returns the new ones, outermost first."""
    folders: list[Path] = []
    try:
        missing = [folder for folder in path.parents if not folder.exists()][::-1]
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        for folder in missing:
            folder.mkdir()
            folders.append(folder)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(f"{path} is write-protected")
    except (OSError, ValueError) as error:
        _remove_folders(folders)
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be written ({reason})", "Choose another place for it") from error
    return folders


def _remove_folders(folders: list[Path]) -> None:
    """Removes new folders, innermost first; a folder with files in it stays."""
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()
