"""A session without networks."""

import time

import numpy as np

from atldiff.live.session import LiveFrame
from atldiff.live.visit import RATE


class Counting:
    """In place of a session: frame i is grey, and four levels brighter than frame i - 1."""

    stride, seconds = 1, 0.0  # how many frames are made, and how long one takes

    def __init__(self) -> None:
        self.heard, self.next = 0, 0

    def push(self, samples: np.ndarray, rate: int, hurry: bool = False) -> None:
        self.heard += len(samples)

    @property
    def position(self) -> int:
        return self.heard * 30 // RATE

    def pull(self, after: int = -1) -> LiveFrame | None:
        if (self.next + 1) * RATE // 30 > self.heard:
            return None
        time.sleep(self.seconds)
        self.next += 1
        image = np.full((64, 64, 3), min(4 * self.next, 255), np.uint8)
        return LiveFrame(self.next - 1, image, np.zeros((1600, 1), np.float32), RATE, np.zeros((68, 2)))
