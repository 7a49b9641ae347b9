"""A lock that lets one command at a time write to a run's folder."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from accelerate.utils import get_int_from_env

from atldiff.errors import InputError
from atldiff.system import lock_file

LOCK = ".lock"
RANKS = ["RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"]  # as Accelerate reads them
_LOCKLESS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # errors of file systems without locks


@contextmanager
def lock_folder(out: Path) -> Iterator[None]:
    """Keeps other commands from writing to the folder `out` inside the block; creates the folder.

    The first process of a command holds the lock for all. Its workers do not inherit the lock, so the
    system releases it when that process ends in any way.

    Raises:
        InputError: another process holds the folder; the folder cannot be made.
    """
    if get_int_from_env(RANKS, 0) > 0:
        yield
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = _lock(out)
    except OSError as error:
        remedy = "Make room, or give another --out"
        raise InputError(f"{out} cannot be written ({error.strerror})", remedy) from error
    try:
        yield
    finally:
        _release(lock, out / LOCK)


def _lock(out: Path) -> int:
    """Locks the folder; returns the descriptor, which holds the lock until it is closed."""
    while True:
        lock = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock_file(lock, inherited=False)
            if _is_file(lock, out / LOCK):  # else the last holder has just removed it
                os.ftruncate(lock, 0)
                os.write(lock, f"{os.getpid()} on {socket.gethostname()}".encode())
                return lock
        except (BlockingIOError, PermissionError) as error:
            user = os.read(lock, 200).decode(errors="replace")
            os.close(lock)
            remedy = "Wait until it has ended, or give another --out"
            raise InputError(f"Another process ({user}) is writing to {out}", remedy) from error
        except OSError as error:
            if error.errno in _LOCKLESS:
                return lock
            os.close(lock)
            raise
        os.close(lock)


def _release(lock: int, path: Path) -> None:
    """Removes the lock's file and releases the lock; Windows has to close the file before it removes it."""
    try:
        path.unlink(missing_ok=True)
        os.close(lock)
    except PermissionError:
        os.close(lock)
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _is_file(lock: int, path: Path) -> bool:
    """Whether the open file is the one at that path."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False
