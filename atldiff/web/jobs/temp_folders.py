"""The folder that holds all files of a running server, and those that killed servers left."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from atldiff.system import lock_file

PREFIX = "atldiff-"
MARK = "server.lock"  # locked as long as the server lives: the system lets go of it however that ends
_locks: list[int] = []  # file descriptors that this process holds until its end


def server_folder() -> tempfile.TemporaryDirectory:
    """A folder for the files of this process, gone when it ends; what killed servers left is removed first.

    From then on `tempfile` puts into it whatever libraries write.
    """
    remove_leftovers(Path(tempfile.gettempdir()))
    folder = tempfile.TemporaryDirectory(prefix=PREFIX)
    tempfile.tempdir = folder.name
    _locks.append(claim(Path(folder.name)))
    return folder


def claim(folder: Path) -> int:
    """Marks a folder as this process's.

    Returns:
        The descriptor of the mark, whose lock lasts until it is closed: as a rule by the end of the process.
    """
    fresh = folder / f"{MARK}.new"
    lock = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    lock_file(lock, inherited=True)
    try:
        fresh.rename(folder / MARK)  # never seen unlocked while this process lives
    except PermissionError:  # Windows renames no open file
        os.close(lock)
        fresh.rename(folder / MARK)
        lock = os.open(folder / MARK, os.O_RDWR)
        lock_file(lock, inherited=True)
    return lock


def remove_leftovers(place: Path) -> list[Path]:
    """Removes the folders in `place` that are marked, of this user, and of no process that lives.

    Safe while other servers start, run and stop there: a folder without a mark, or with a locked one, stays.

    Returns:
        The folders that were removed.
    """
    return [folder for folder in sorted(place.glob(f"{PREFIX}*")) if _remove_if_dead(folder)]


def _remove_if_dead(folder: Path) -> bool:
    """Removes a folder if it was left by a server that is dead."""
    try:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or not _is_own(status):
            return False
        lock = os.open(folder / MARK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        lock_file(lock, inherited=True)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # its server lives, or another one is removing it
        return False
    finally:
        os.close(lock)
    shutil.rmtree(folder, ignore_errors=True)  # Windows keeps the open mark
    return not folder.exists()


def _is_own(status: os.stat_result) -> bool:
    """Whether a file is this user's; a temporary folder of Windows is one user's anyway."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
