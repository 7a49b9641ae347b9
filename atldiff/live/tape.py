"""Sound that is written to a file while it arrives, in the form that `media.video_writer` reads."""

import hashlib

import numpy as np

from atldiff.media.sound import append_block


class Tape:
    """The sound of a live video; what was read once is forgotten.

    Args:
        rate: samples a second.
        channels: 1 or 2.

    Attributes:
        sound: this tape; it has a length, a shape, and slices that go forward.
        sound_rate: samples a second.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.sound, self.sound_rate = self, rate
        self._kept, self._used, self._first = np.zeros((rate, channels), np.float32), 0, 0
        self._hash = hashlib.sha256()

    @property
    def shape(self) -> tuple[int, int]:
        """Samples so far, and channels."""
        return len(self), self._kept.shape[1]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the samples so far."""
        return self._hash.hexdigest()

    def append(self, sound: np.ndarray) -> None:
        """Appends sound (n, channels) float32."""
        self._hash.update(np.ascontiguousarray(sound).tobytes())
        self._kept = append_block(self._kept, self._used, sound)
        self._used += len(sound)

    def __len__(self) -> int:
        return self._first + self._used

    def __getitem__(self, part: slice) -> np.ndarray:
        """The sound of a part; it begins where the part before ended, or later."""
        done = part.start - self._first
        assert done >= 0, "a tape does not run backwards"
        self._kept[: self._used - done] = self._kept[done : self._used].copy()
        self._first, self._used = part.start, self._used - done
        return self._kept[: part.stop - part.start].copy()
