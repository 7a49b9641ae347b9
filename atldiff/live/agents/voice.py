"""An agent's voice on its way: sound that came in advance, and the marks between it."""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

_PATIENCE = 0.3  # seconds without further sound, after which an utterance is over without a mark


class Voice:
    """Keeps what an agent will say, and cuts it into blocks.

    Args:
        block: samples of a block.
        clock: seconds of a steady clock.
    """

    def __init__(self, block: int, clock: Callable[[], float]) -> None:
        self._block, self._clock = block, clock
        self._samples = np.zeros(0, np.int16)
        self._taken, self._ends_at, self._pushed_at = 0, -1, -1.0
        self._marks: deque[tuple[int, Any]] = deque()

    def push(self, samples: np.ndarray) -> None:
        """Appends sound (n,) int16."""
        self._samples = np.concatenate([self._samples, samples])
        self._pushed_at = self._clock()

    def mark(self, thing: Any, ends: bool) -> None:
        """Appends a thing that shall leave after the sound before it; `ends`: the utterance is over."""
        stop = self._taken + len(self._samples)
        self._marks.append((stop, thing))
        if ends:
            self._ends_at = stop

    def clear(self) -> list[Any]:
        """Forgets everything; gives the marks."""
        marks = [thing for _, thing in self._marks]
        self._taken += len(self._samples)
        self._samples = self._samples[:0]
        self._marks.clear()
        return marks

    def __bool__(self) -> bool:
        """Whether anything is on its way."""
        return bool(len(self._samples) or self._marks)

    def has(self, blocks: int) -> bool:
        """Whether so many blocks are there, or the rest of an utterance that is over."""
        count = len(self._samples)
        is_over = self._ends_at == self._taken + count or self._clock() > self._pushed_at + _PATIENCE
        return count >= blocks * self._block or count > 0 and is_over

    def take(self) -> tuple[np.ndarray, list[Any]]:
        """The next block (block,) int16, silence at its end if the voice is over, and the marks before it."""
        marks = self.take_marks()
        part, self._samples = self._samples[: self._block], self._samples[self._block :]
        self._taken += len(part)
        return np.pad(part, (0, self._block - len(part))), marks

    def take_marks(self) -> list[Any]:
        """The marks before which no sound is left."""
        marks = []
        while self._marks and self._marks[0][0] <= self._taken:
            marks.append(self._marks.popleft()[1])
        return marks
