"""When a server holds on to nothing of its former jobs.

glibc keeps what was freed for the next use: after a crowd some 300 MiB of a server's 1060 were such. None of
it is anybody's. It is given back when nothing has been going on for a while: a job that follows at once would
only have to ask for it again.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atldiff.memory import give_back

IDLE = 5.0  # seconds without a job after which memory is given back


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
