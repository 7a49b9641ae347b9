"""What depends on the operating system: cores, signals, locks on files, atomic writes, telemetry."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

GRACE = 10.0  # seconds for a worker to end by itself
_LOCKED_BYTE = 2**30  # Windows locks bytes, not files; this one lies beyond every file's end


def usable_cores() -> int:
    """Counts the cores this process may use; all cores if the system does not tell, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def disable_telemetry() -> None:
    """Stops ONNX Runtime from reporting to Microsoft. Call it before ONNX Runtime is imported."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def end_with_parent() -> None:
    """Makes a worker of `multiprocessing` end with the process that started it, even if that is killed."""
    parent = parent_process()
    assert parent is not None, "not a worker"

    def leave() -> None:
        """Waits for the parent's end, then ends this process as its pool would: by SIGTERM."""
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Lets SIGTERM end the block as Ctrl-C does, so that unfinished files are removed; for the main thread.

    Raises:
        KeyboardInterrupt: the signal came.
    """
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


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
