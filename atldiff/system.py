"""Differences between operating systems: cores of a process, file locks, telemetry."""

import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOCKED_BYTE = 2**30  # Windows locks bytes, not files; this one lies beyond every file's end


def usable_cores() -> int:
    """Counts the cores this process may use; all cores if the system does not tell, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def disable_telemetry() -> None:
    """Stops ONNX Runtime from reporting to Microsoft. Call it before ONNX Runtime is imported."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def lock_file(descriptor: int, inherited: bool) -> None:
    """Locks an open file against other processes until it is closed or the process ends.

    Args:
        descriptor: of the open file.
        inherited: True: forked processes hold the lock, too. False: this process alone holds it, and closing
            any descriptor of the file ends it. Windows always does the first.

    Raises:
        BlockingIOError, PermissionError: another process holds the lock.
        OSError: the file system has no locks.
    """
    if fcntl is not None:
        lock = fcntl.flock if inherited else fcntl.lockf
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        _lock_byte(descriptor)


def _lock_byte(descriptor: int) -> None:
    """Locks an open file on Windows."""
    import msvcrt

    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        raise BlockingIOError(error.errno, "The file is locked") from error
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
