"""Keeps the start-up notes of MediaPipe's C++ side off the terminal."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# It writes them to descriptor 2 before its logger exists, so no log level reaches them.
# Only these go: absl's information and warning lines, and two fixed sentences; errors stay.
_NOTES = re.compile(
    rb"[IW]\d{4} \d\d:\d\d:|INFO: Created TensorFlow Lite|WARNING: All log messages before absl"
)
_LOCK = threading.Lock()  # two threads that swap the descriptor at once would lose it


@contextmanager
def quiet_start() -> Iterator[None]:
    """Holds back what is written to descriptor 2 in this block; at its end all but the notes is written."""
    with _LOCK, tempfile.TemporaryFile() as held:
        try:
            stderr = os.dup(2)
        except OSError:  # a process without a standard error: nothing to keep clean
            yield
            return
        try:
            os.dup2(held.fileno(), 2)
            yield
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not _NOTES.match(line):
                    os.write(2, line)
