"""One live visit: sound in, sound and pictures out, with a thread that hears and one that draws.

- The pictures that leave carry the watermark. A film gets them without: it marks and signs by itself.
"""

import math
import queue
import threading
import time
from collections import deque
from typing import Any

import av
import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.live.clock import BLOCK, LiveClock
from atldiff.live.film import Footage
from atldiff.live.pace import Pace
from atldiff.live.session import HURRY, LOOKAHEAD, LiveSession
from atldiff.live.threads import limit_to_one_thread
from atldiff.media.sound import mix_to_mono, resample
from atldiff.media.speech import Speech
from atldiff.provenance.watermark import Watermark

RATE = 48_000  # samples a second of WebRTC's sound
SAMPLES = round(BLOCK * RATE)
_QUIET = 10 ** (-50 / 20)  # RMS of a block that may be said twice or left out
_LATE = 6  # blocks that wait; more, and longer chunks are made
_KEPT = 4 * FRAME_RATE  # most frames that wait to leave


class Visit:
    """A visitor's portrait.

    Args:
        session: the portrait; its frames have no watermark.

    Attributes:
        clock: of all that leaves.
        begin: `time.perf_counter` of the first sound; None before it.
        problem: what ended the visit, or None.
    """

    def __init__(self, session: LiveSession) -> None:
        self.clock = LiveClock()
        self.begin: float | None = None
        self.problem: Exception | None = None
        self._session, self._heard, self._paces = session, 0, (Pace(), Pace())
        self._inbox: queue.Queue[np.ndarray | None] = queue.Queue()
        self._sound: deque[np.ndarray] = deque()  # blocks that have not left yet
        self._said: deque[np.ndarray] = deque()  # blocks of a voice that speaks instead of the microphone
        self._frames: dict[int, av.VideoFrame] = {}
        self._last: av.VideoFrame | None = None
        self._film: Footage | None = None
        self._images: dict[int, np.ndarray] = {}  # of the frames that wait to leave, for the film
        self._longest = math.inf  # frames of the film
        self._filmed: np.ndarray | None = None  # the picture that left last
        self._left = np.zeros(0, np.float32)  # sound that left since the film's last frame
        self._wake, self._open = threading.Event(), True
        self._threads = [
            threading.Thread(target=self._run, args=(work,)) for work in (self._hear, self._draw)
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def hear(self, block: np.ndarray | None) -> None:
        """Takes the next 20 ms (SAMPLES,) float32; what is said, or silence, replaces a None."""
        if self._said:
            block = self._said.popleft()
        elif block is None:
            block = np.zeros(SAMPLES, np.float32)
        if self.begin is None:
            self.begin = time.perf_counter() - BLOCK
        self._heard += 1
        self._sound.append(block)
        self._inbox.put(block)

    def say(self, speech: Speech) -> None:
        """Speaks instead of the microphone, from now on."""
        sound = resample(mix_to_mono(speech.sound), speech.sound_rate, RATE)
        padded = np.pad(sound, (0, -len(sound) % SAMPLES)).astype(np.float32)
        self._said = deque(padded.reshape(-1, SAMPLES))

    @property
    def delay(self) -> float:
        """Seconds from a sound's arrival to its leaving, now."""
        return self.clock.delay(self._heard)

    @property
    def is_speaking(self) -> bool:
        """Whether a text is being said."""
        return bool(self._said)

    def hush(self) -> None:
        """Stops what is being said. Its sound that already was heard leaves with its pictures."""
        self._said.clear()

    def next_sound(self) -> np.ndarray:
        """The block (SAMPLES,) float32 that leaves now."""
        block = self._sound[0] if self._sound else None
        is_quiet = block is not None and float(np.sqrt(block @ block / SAMPLES)) < _QUIET
        before = self.clock.cursor
        number = self.clock.next_block(self._heard, is_quiet)
        blocks = [self._sound.popleft() for _ in range(self.clock.cursor - before)]
        block = np.zeros(SAMPLES, np.float32) if number is None else blocks[-1]
        self._add_to_film(block)
        return block

    def next_picture(self) -> av.VideoFrame | None:
        """The picture that leaves now; None before the first one."""
        due = [index for index in tuple(self._frames) if index <= self.clock.due]
        if self._last is None and not due and self._frames:
            due = [min(self._frames)]
        newest = self._frames[max(due)] if due else None
        for index in due:
            del self._frames[index]
            self._filmed = self._images.pop(index, self._filmed)
        if self._last is not None:
            self.clock.note_slot(newest is not None)
        self._last = newest or self._last
        return self._last

    def state(self) -> dict[str, Any]:
        """What the page shows: the delay in seconds, and the share of pictures that are late."""
        clock, stride = self.clock, self._session.stride
        share = max(0.0, 1 - stride * (clock.slots - clock.late) / clock.slots) if clock.slots else 0.0
        clock.late = clock.slots = 0
        return {
            "delay": round(self.delay, 2),
            "late": round(share, 2),
            "stride": stride,
            "speaking": self.is_speaking,
            "films": self._film is not None,
        }

    def record(self, film: Footage | None, longest: float = math.inf) -> None:
        """Films what leaves from now on, beginning with the picture that is seen.

        Args:
            film: gets it; None: no more.
            longest: seconds after which it gets no more.
        """
        seen = self._last if film is not None else None
        self._filmed = None if seen is None else seen.to_ndarray(format="rgb24")
        self._film, self._left, self._images = film, self._left[:0], {}
        self._longest = longest * FRAME_RATE

    def _add_to_film(self, block: np.ndarray) -> None:
        """Each thirtieth of a second of sound is a frame, with the picture that left last."""
        film = self._film
        if film is None:
            return
        self._left, size = np.concatenate([self._left, block]), RATE // FRAME_RATE
        while len(self._left) >= size:
            film.add(self._filmed, self._left[:size])
            self._left = self._left[size:]
        if film.frames > self._longest:
            self.record(None)

    def close(self) -> None:
        """Ends both threads and forgets the portrait."""
        self._open = False
        self._inbox.put(None)
        self._wake.set()

    def fail(self, error: Exception) -> None:
        """Ends the visit by an error."""
        self.problem = self.problem or error
        self.close()

    def join(self, seconds: float) -> None:
        """Waits until both threads have ended, each so long at most."""
        for thread in self._threads:
            thread.join(seconds)

    def _run(self, work: Any) -> None:
        """Runs one of the threads; a failure ends the visit."""
        limit_to_one_thread()
        try:
            work()
        except Exception as error:  # the page tells any error
            self.fail(error)

    def _hear(self) -> None:
        end = time.perf_counter()
        while self._open and (block := self._inbox.get()) is not None:
            blocks = [block]
            while not self._inbox.empty() and (block := self._inbox.get()) is not None:
                blocks.append(block)
            begin = time.perf_counter()
            self._session.push(np.concatenate(blocks), RATE, hurry=len(blocks) > _LATE)
            end = self._keep_up(self._paces[0], begin, end)
            self._wake.set()

    def _draw(self) -> None:
        mark: Watermark | None = None
        ahead, end = 0, time.perf_counter()  # frames that pass while some are made
        while self._open and self._wake.wait():
            self._wake.clear()
            begin = time.perf_counter()
            while self._open and (frame := self._session.pull(self._worth(ahead))) is not None:
                mark = mark or Watermark(frame.image)
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(mark.apply(frame.image)), "rgb24")
                if self._film is not None:
                    self._images[frame.index] = frame.image
                self._frames[frame.index] = picture.reformat(format="yuv420p")
                self.clock.note_frame(frame.index, self._heard)
                while len(self._frames) > _KEPT:
                    self._images.pop(min(self._frames), None)
                    self._frames.pop(min(self._frames))
                ahead = max(round((time.perf_counter() - begin) * FRAME_RATE), ahead * 4 // 5)
                begin = end = self._keep_up(self._paces[1], begin, end)

    def _worth(self, ahead: int) -> int:
        """The first frame that is worth making: it will be in time, and the newest do not wait for it."""
        return max(self.clock.due + ahead, self._session.position - LOOKAHEAD - HURRY - ahead)

    def _keep_up(self, pace: Pace, begin: float, before: float) -> float:
        """Notes a thread's work from `begin` to now, the end that it returns; `before` is the one before."""
        end = time.perf_counter()
        pace.note(end - begin, end - before)
        stride = max(each.stride for each in self._paces)
        if stride != self._session.stride:
            self._session.stride = stride
            self.clock.forget_frames()
        return end
