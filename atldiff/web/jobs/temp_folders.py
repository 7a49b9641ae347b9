"""The temporary folder of a running server, and the leftovers of killed servers."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from atldiff.system import lock_file

PREFIX = "atldiff-"
MARK = "server.lock"  # the server holds its lock; the system releases it at any end of the process
_locks: list[int] = []  # file descriptors, open until the process ends


def server_folder() -> tempfile.TemporaryDirectory:
    """Makes a folder for the files of this process, which goes with it; removes leftovers first.

    From then on `tempfile` writes to this folder, also for libraries.
    """
    remove_leftovers(Path(tempfile.gettempdir()))
    folder = tempfile.TemporaryDirectory(prefix=PREFIX)
    tempfile.tempdir = folder.name
    _locks.append(claim(Path(folder.name)))
    return folder


def claim(folder: Path) -> int:
    """Marks a folder as this process's.

    Returns:
        The descriptor of the mark. Closing it, or the process's end, releases the lock.
    """
    new = folder / f"{MARK}.new"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    lock_file(lock, inherited=True)
    try:
        new.rename(folder / MARK)  # the mark is locked from its first moment
    except PermissionError:  # Windows renames no open file
        os.close(lock)
        new.rename(folder / MARK)
        lock = os.open(folder / MARK, os.O_RDWR)
        lock_file(lock, inherited=True)
    return lock


def remove_leftovers(place: Path) -> list[Path]:
    """Removes this user's marked folders of dead processes in `place`.

    A folder without a mark, or with a locked one, stays. So other servers may start, run and stop there.

    Returns:
        The removed folders.
    """
    return [folder for folder in sorted(place.glob(f"{PREFIX}*")) if _remove_if_dead(folder)]


def _remove_if_dead(folder: Path) -> bool:
    """Removes the folder of a dead server; returns whether it is gone."""
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
    """Whether a file is this user's; on Windows each user has a temporary folder."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
