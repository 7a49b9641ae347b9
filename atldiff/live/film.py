"""A live portrait that leaves as a video, written or sent while it goes on."""

import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.live.devices.broadcast import broadcast
from atldiff.live.tape import Tape
from atldiff.media.video_writer import write_video
from atldiff.provenance.origin import Origin

_WAITING = 2 * FRAME_RATE  # frames that may wait for the encoder; beyond, the last picture stays


class Footage:
    """Gives frames and sound to an encoder, in a thread.

    Args:
        rate: samples a second of the sound.
        encode: takes the pictures (H, W, 3) uint8 without a watermark, and their sound; both grow.
        first: the picture until another comes; None: the film begins with its first picture.

    Attributes:
        frames: number of frames so far.
        problem: what ended the encoder, or None.
    """

    def __init__(
        self,
        rate: int,
        encode: Callable[[Iterator[np.ndarray], Tape], object],
        first: np.ndarray | None = None,
    ) -> None:
        self.frames, self._encode, self._first, self._tape = 0, encode, first, Tape(rate, 1)
        self.problem: Exception | None = None
        self._queue: queue.Queue[tuple[np.ndarray | None, np.ndarray] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, picture: np.ndarray | None, sound: np.ndarray) -> None:
        """Adds a frame.

        Args:
            picture: (H, W, 3) uint8 without a watermark; None: the last one stays.
            sound: (n,) float32 in [-1, 1], a thirtieth of a second.
        """
        is_late = self._queue.qsize() > _WAITING and self.frames > 0
        if self.problem is None:
            self._queue.put((None if is_late else picture, sound))
        self.frames += 1

    def close(self) -> None:
        """Waits until all is encoded.

        Raises:
            InputError: it cannot be written or sent, or there is no frame.
        """
        self._queue.put(None)
        self._thread.join()
        if self.problem is not None:
            raise self.problem

    def _run(self) -> None:
        try:
            self._encode(self._pictures(), self._tape)
        except Exception as error:  # told by `close`
            self.problem = error

    def _pictures(self) -> Iterator[np.ndarray]:
        last = self._first
        while (item := self._queue.get()) is not None:
            last = item[0] if item[0] is not None else last
            if last is not None:
                self._tape.append(item[1][:, None])
                yield last


class Film(Footage):
    """A video file; it appears with `close`, marked and signed.

    Args:
        path: of the video: .mp4.
        rate: samples a second of the sound, one that an .mp4's sound may have.
        origin: what the portrait was made from.

    Attributes:
        path: of the video.
    """

    def __init__(self, path: str | Path, rate: int, origin: Origin | None = None) -> None:
        self.path = Path(path)
        super().__init__(rate, partial(write_video, self.path, origin=origin))


class Transmission(Footage):
    """A video that is sent to an address, marked and not signed.

    Args:
        address: rtmp://... or rtmps://...
        rate: samples a second of the sound.
        photo: (H, W, 3) uint8, sent until the first picture comes.
    """

    def __init__(self, address: str, rate: int, photo: np.ndarray) -> None:
        super().__init__(rate, partial(broadcast, address), photo)
