"""The clock of a live portrait: how late its sound and pictures leave.

- Sound leaves in blocks of 20 ms without a gap. Pictures belong to the sound that leaves.
- The delay follows the pictures: it is the 97th percentile of the time that they took in the last 10 s.
- One thread may note pictures while another lets sound leave.
- It changes in quiet blocks alone: one is said twice, or left out. Only a machine that falls a second behind
  with the sound itself leaves out more.
"""

import threading
from collections import deque

import numpy as np

from atldiff.config import FRAME_RATE

BLOCK = 0.02  # seconds of sound that leave together
_MEMORY, _FEW = 10.0, 10  # seconds in which the pictures count; so few tell nothing
_IN_TIME, _MARGIN = 0.97, 0.02  # share of the pictures that shall be in time; seconds beside
_FIRST, _LEAST, _MOST = 0.4, 0.2, 2.0  # seconds of delay: until frames were seen, and its limits
_HOPELESS = 1.0  # seconds by which a delay is so much too long that sound is left out
_SLACK = 3  # blocks by which a delay may be too long


class LiveClock:
    """Decides which block of sound leaves, and which frame belongs to it.

    Time is counted in blocks that were heard. So a microphone that loses sound delays nothing.

    Attributes:
        cursor: the next block of what was heard.
        late: frames that were not there in time.
        slots: frames that were due.
    """

    def __init__(self) -> None:
        self.cursor = self.late = self.slots = 0
        self._lock = threading.Lock()
        self._times: deque[tuple[float, float]] = deque()  # when a picture was ready, and how long it took
        self._starts = True  # nothing left yet, or nothing was there to leave

    def delay(self, heard: int) -> float:
        """Seconds from a sound's arrival to its leaving, after `heard` blocks."""
        return (heard - self.cursor) * BLOCK

    @property
    def wanted(self) -> float:
        """Seconds of delay with which the pictures would be in time."""
        with self._lock:
            times = [took for _, took in self._times]
        if len(times) < _FEW:
            return _FIRST
        slowest = float(np.quantile(times, _IN_TIME)) + _MARGIN
        return min(max(slowest, _LEAST), _MOST)

    @property
    def due(self) -> int:
        """The frame that belongs to the sound that leaves."""
        return int(self.cursor * BLOCK * FRAME_RATE + 1e-6)

    def note_frame(self, index: int, heard: int) -> None:
        """Notes that a frame is ready when `heard` blocks were heard."""
        now = heard * BLOCK
        with self._lock:
            self._times.append((now, now - index / FRAME_RATE))
            while self._times[0][0] < now - _MEMORY:
                self._times.popleft()

    def forget_frames(self) -> None:
        """Waits for further pictures before the delay follows them: the machine works another way now."""
        with self._lock:
            self._times.clear()

    def note_slot(self, is_new: bool) -> None:
        """Notes that a picture left, and whether it is another one than before."""
        self.slots += 1
        self.late += not is_new

    def next_block(self, heard: int, is_quiet: bool) -> int | None:
        """The block that leaves now; None: silence.

        Args:
            heard: number of blocks that were heard.
            is_quiet: whether the block at `cursor` may be said twice or left out.
        """
        excess = self.delay(heard) - self.wanted
        if self.cursor >= heard:
            self._starts = True
            return None
        if excess < -BLOCK / 2 and (is_quiet or self._starts):
            return None
        self._starts = False
        if excess > _HOPELESS:  # the machine does not even send sound in time
            self.cursor += round(excess / BLOCK)
        if is_quiet and excess > _SLACK * BLOCK and self.cursor + 1 < heard:
            self.cursor += 1
        self.cursor += 1
        return self.cursor - 1
