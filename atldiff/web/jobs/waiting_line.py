"""Who is next: one video at a time, or a few, in the order in which they were asked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from atldiff.errors import InputError

MAX_WAITING = 48  # whoever comes when so many wait is told that the queue is full
WAKE_UP = 0.5  # seconds between two looks at the queue, and until one who left is missed


@dataclass(eq=False)
class Place:
    """One request in the queue; `seconds` is what it will still take, as far as is known."""

    queue: "Queue"
    seconds: float = 0.0

    def waiting(self) -> Iterator[tuple[int, float]]:
        """(requests before this one, seconds until its turn), again and again until it is its turn.

        Nothing is locked while the reader has it: each step may be taken by another thread.
        """
        while ahead := self.queue.before(self):
            yield len(ahead), self.queue.seconds_before(self)
            with self.queue.changed:
                if self.queue.before(self) == ahead:
                    self.queue.changed.wait(WAKE_UP)


class Queue:
    """First come, first served; `at_once` have their turn at the same time."""

    def __init__(self, at_once: int = 1) -> None:
        self.changed, self.at_once = threading.Condition(), at_once
        self._places: list[Place] = []

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A place at the end, given up when the block is left.

        Raises:
            InputError: too many wait.
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
        """Those that have to leave before it is this one's turn, if they leave in their order."""
        with self.changed:
            return self._places[: max(0, self._places.index(place) + 1 - self.at_once)]

    def seconds_before(self, place: Place) -> float:
        """About how long until a place's turn: what all before it will still take, `at_once` at a time."""
        with self.changed:
            return sum(each.seconds for each in self._places[: self._places.index(place)]) / self.at_once
