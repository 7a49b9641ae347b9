"""The queue of requests: one video at a time, or a few, in the order of arrival."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from atldiff.errors import InputError

MAX_WAITING = 48  # requests in a full queue
WAKE_UP = 0.5  # seconds between two checks of the queue, and until it notices a visitor's leaving


@dataclass(eq=False)
class Place:
    """One request's place in the queue; `seconds` is the estimated rest of its time."""

    queue: "Queue"
    seconds: float = 0.0

    def waiting(self) -> Iterator[tuple[int, float]]:
        """Yields (requests before this one, seconds until its turn), again and again until its turn.

        It holds no lock at a yield, so each step may run in another thread.
        """
        while ahead := self.queue.before(self):
            yield len(ahead), self.queue.seconds_before(self)
            with self.queue.changed:
                if self.queue.before(self) == ahead:
                    self.queue.changed.wait(WAKE_UP)


class Queue:
    """First come, first served; the first `at_once` requests have their turn together."""

    def __init__(self, at_once: int = 1) -> None:
        self.changed, self.at_once = threading.Condition(), at_once
        self._places: list[Place] = []

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Takes a place at the end, until the block ends.

        Raises:
            InputError: the queue is full.
        """
        place = Place(self)
        with self.changed:
            if len(self._places) >= MAX_WAITING + self.at_once:
                raise InputError(f"{MAX_WAITING} videos are waiting already", "Try again in a few minutes")
            self._places.append(place)
        try:
            yield place
        finally:
            with self.changed:
                self._places.remove(place)
                self.changed.notify_all()

    def before(self, place: Place) -> list[Place]:
        """The places that must leave before a place's turn, if they leave in their order."""
        with self.changed:
            return self._places[: max(0, self._places.index(place) + 1 - self.at_once)]

    def seconds_before(self, place: Place) -> float:
        """Estimates the seconds until a place's turn, with `at_once` requests at a time."""
        with self.changed:
            return sum(each.seconds for each in self._places[: self._places.index(place)]) / self.at_once
