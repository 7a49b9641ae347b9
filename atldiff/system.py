"""What depends on the operating system: the cores of a process, locks on files, atomic writes, telemetry."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOCKED_BYTE = 2**30  # Windows locks bytes, not files, and nobody reads this one


def usable_cores() -> int:
    """Cores that this process may use; all of the machine where the system does not say, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def disable_telemetry() -> None:
    """Call it before ONNX Runtime is imported, which else reports to Microsoft from the home folder."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextmanager
def atomic_write(path: Path, part: Path | None = None) -> Iterator[Path]:
    """Writes a file whole or not at all.

    The block writes to the path that it gets. That file replaces `path` at the end of the block; an error in
    the block removes it and leaves `path` as it was.

    Args:
        part: where the block writes, in the folder of `path`; None: the name of `path` with ".part" behind.

    Raises:
        OSError: `path` cannot be replaced.
    """
    part = path.with_name(f"{path.name}.part") if part is None else part
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def lock_file(descriptor: int, inherited: bool) -> None:
    """Locks an open file against other processes until it is closed, at the latest by the process's end.

    Args:
        inherited: True: the lock is the open file's, so that forked processes hold it, too. False: it is this
            process's alone, and closing any descriptor of the file ends it (Windows knows the first only).

    Raises:
        BlockingIOError, PermissionError: another one holds the lock.
        OSError: nothing can be locked there.
    """
    if fcntl is not None:
        lock = fcntl.flock if inherited else fcntl.lockf
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        _lock_byte(descriptor)


def _lock_byte(descriptor: int) -> None:
    """Locks an open file as Windows does."""
    import msvcrt

    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        raise BlockingIOError(error.errno, "The file is locked") from error
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
