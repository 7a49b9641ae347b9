"""A live portrait as a video file, written while it goes on."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.live.tape import Tape
from atldiff.media.video_writer import write_video
from atldiff.provenance.origin import Origin

_WAITING = 2 * FRAME_RATE  # frames that may wait for the encoder; beyond, the last picture stays


class Film:
    """Writes frames and sound in a thread; the file appears with `close`, marked and signed.

    Args:
        path: of the video: .mp4.
        rate: samples a second of the sound, one that an .mp4's sound may have.
        origin: what the portrait was made from.

    Attributes:
        frames: number of frames so far.
        path: of the video.
    """

    def __init__(self, path: str | Path, rate: int, origin: Origin | None = None) -> None:
        self.frames, self._origin = 0, origin
        self.path, self._tape = Path(path), Tape(rate, 1)
        self._problem: Exception | None = None
        self._queue: queue.Queue[tuple[np.ndarray | None, np.ndarray] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def add(self, picture: np.ndarray | None, sound: np.ndarray) -> None:
        """Adds a frame.

        Args:
            picture: (H, W, 3) uint8 without a watermark; None: the last one stays.
            sound: (n,) float32 in [-1, 1], a thirtieth of a second.
        """
        is_late = self._queue.qsize() > _WAITING and self.frames > 0
        if self._problem is None:
            self._queue.put((None if is_late else picture, sound))
        self.frames += 1

    def close(self) -> Path:
        """Completes the file.

        Raises:
            InputError: it cannot be written, or there is no frame.
        """
        self._queue.put(None)
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self.path

    def _write(self) -> None:
        try:
            write_video(self.path, self._pictures(), self._tape, origin=self._origin)
        except Exception as error:  # told by `close`
            self._problem = error

    def _pictures(self) -> Iterator[np.ndarray]:
        last = None
        while (item := self._queue.get()) is not None:
            last = item[0] if item[0] is not None else last
            if last is not None:
                self._tape.append(item[1][:, None])
                yield last
