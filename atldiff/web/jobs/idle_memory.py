"""Returns freed memory to the system after a few seconds without jobs.

glibc keeps freed memory for later use. The delay spares a job that follows at once from allocating it anew.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atldiff.memory import give_back

IDLE = 5.0  # seconds without a job before memory is returned


class IdleTimer:
    """Runs an action once after a time without jobs, in a thread of its own.

    Args:
        action: to run.
        delay: seconds without jobs.
    """

    def __init__(self, action: Callable[[], None] = give_back, delay: float = IDLE) -> None:
        self._action, self._delay = action, delay
        self._lock, self._jobs, self._timer = threading.Lock(), 0, threading.Timer(delay, action)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Counts a job while the block lasts."""
        with self._lock:
            self._jobs += 1
            self._timer.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._jobs -= 1
                if not self._jobs:
                    self._timer = threading.Timer(self._delay, self._action)
                    self._timer.daemon = True
                    self._timer.start()
