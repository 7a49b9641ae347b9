"""A live source's own sound, cut into the shares of its frames."""

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.media.sound import resample


class SoundShares:
    """Keeps what was pushed until its frames are taken; nothing is changed while the rate stays.

    Attributes:
        rate: samples a second of what is taken next; 0 before the first sound.
    """

    def __init__(self) -> None:
        self.rate, self._kept = 0, np.zeros((0, 1), np.float32)
        self._frame = self._base = 0  # the next frame, and the one at which this rate begins

    def push(self, sound: np.ndarray, rate: int) -> None:
        """Appends sound (n, channels); at another rate or number of channels it converts what waits."""
        channels = sound.shape[1]
        if rate != self.rate:
            self._kept = resample(self._kept, self.rate, rate) if len(self._kept) else self._kept
            self.rate, self._base = rate, self._frame
        if channels != self._kept.shape[1]:
            self._kept = np.repeat(self._kept.mean(axis=1, keepdims=True), channels, axis=1)
        self._kept = np.concatenate([self._kept, sound])

    def pad(self, frame: int) -> None:
        """Appends silence up to a frame, and cuts what lies beyond it."""
        count = self._place(frame) - self._place(self._frame)
        missing = max(0, count - len(self._kept))
        self._kept = np.pad(self._kept[:count], ((0, missing), (0, 0)))

    def rewind(self, frame: int) -> None:
        """Forgets all sound that was not taken; what comes next is that of `frame`."""
        self._kept, self._frame = self._kept[:0], frame

    def take(self, frame: int) -> np.ndarray:
        """Takes the sound (n, channels) of all frames before `frame`."""
        count = max(0, self._place(frame) - self._place(self._frame))
        part = self._kept[:count]
        self._kept, self._frame = self._kept[count:], max(frame, self._frame)
        return np.pad(part, ((0, count - len(part)), (0, 0)))

    def _place(self, frame: int) -> int:
        """The sample at which a frame begins, counted from where this rate begins."""
        return (frame - self._base) * self.rate // FRAME_RATE
