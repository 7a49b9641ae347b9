"""Keeps the notes of MediaPipe's C++ side off the terminal.

It writes them to descriptor 2 whatever the log level, at the start of every graph. A filter in a process of
its own takes them out: several threads may find faces at once, and what a crash writes still comes through,
because the filter outlives this process.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Only these go: absl's information and warning lines, and two fixed sentences; errors stay.
_NOTES = r"^([IW][0-9]{4} [0-9:]{5}|INFO: Created TensorFlow Lite|WARNING: All log messages before absl)"
_PATIENCE = 1.0  # seconds for the last lines; a process started meanwhile may hold the pipe open for longer
_LOCK = threading.Lock()  # held to start a filter and to swap the descriptor, never while anybody waits


class _Filter:
    """Descriptor 2 by way of the filter, while anybody needs it."""

    users = 0
    stderr = -1
    process: subprocess.Popen | None = None


@contextmanager
def quiet_start() -> Iterator[None]:
    """What this process writes to descriptor 2 in this block arrives without the notes; nothing else changes.

    Where there is no standard error or no filter program (grep), the notes are shown.
    """
    with _LOCK:
        if _Filter.users == 0:
            _start()
        _Filter.users += 1
    try:
        yield
    finally:
        with _LOCK:
            _Filter.users -= 1
            process = _swap_back() if _Filter.users == 0 else None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)


def _start() -> None:
    command = ["grep", "--line-buffered", "--text", "--invert-match", "--extended-regexp", _NOTES]
    with suppress(OSError):
        stderr = os.dup(2)
        try:
            _Filter.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stderr)
        except OSError:
            os.close(stderr)
            raise
        assert _Filter.process.stdin is not None
        os.dup2(_Filter.process.stdin.fileno(), 2)
        _Filter.process.stdin.close()
        _Filter.stderr = stderr


def _swap_back() -> subprocess.Popen | None:
    """Descriptor 2 as it was; the filter, which ends when its last lines are through."""
    process, _Filter.process = _Filter.process, None
    if process is None:
        return None
    if sys.stderr is not None:
        sys.stderr.flush()
    os.dup2(_Filter.stderr, 2)
    os.close(_Filter.stderr)
    return process
