"""What a server holds of the machine's memory between its jobs.

glibc keeps what was freed for the next use: after a crowd some 300 MiB of a server's 1060 were such. None of
it is anybody's. It is given back when nothing has been going on for a while: a job that follows at once would
only have to ask for it again.
"""

import ctypes
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
IDLE = 5.0  # seconds without a job after which memory is given back
_GLIBC = platform.libc_ver()[0] == "glibc"


def share_memory() -> None:
    """Has all threads take memory from the same two pools, so that what one job freed serves the next.

    glibc's own choice, eight pools a core, keeps what each of a crowd's threads once used. To be called
    before threads are started.
    """
    if _GLIBC:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def give_back() -> None:
    """Gives the system the freed memory that glibc holds, wherever in its pools it lies."""
    if _GLIBC:
        ctypes.CDLL(None).malloc_trim(0)


class Idleness:
    """Tells when nothing has been going on for a while.

    Args:
        then: what is done then, once, in a thread of its own.  after: seconds.
    """

    def __init__(self, then: Callable[[], None] = give_back, after: float = IDLE) -> None:
        self._then, self._after = then, after
        self._lock, self._jobs, self._timer = threading.Lock(), 0, threading.Timer(after, then)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Something is going on while the block lasts."""
        with self._lock:
            self._jobs += 1
            self._timer.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._jobs -= 1
                if not self._jobs:
                    self._timer = threading.Timer(self._after, self._then)
                    self._timer.daemon = True
                    self._timer.start()
