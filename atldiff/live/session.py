"""A live portrait without a clock or a transport: sound goes in, frames with their sound come out.

- `push` hears and moves the face, `pull` renders. Each may have a thread of its own.
- A frame needs `lookahead` frames of the sound after it, and comes with its chunk.
- Nothing is dropped by itself: who has a clock asks for it (`hurry`, `after`). No sound is ever lost.
"""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atldiff.config import FRAME_RATE, SAMPLE_RATE
from atldiff.errors import InputError
from atldiff.live.hearing import STEP, Hearing
from atldiff.live.motion import CLOSE, LiveMotion, MotionStream
from atldiff.live.pictures import LivePictures
from atldiff.live.sound import SoundShares
from atldiff.media.sound import to_float
from atldiff.options import DEFAULTS, Options
from atldiff.portrait.portrait import Portrait
from atldiff.provenance.label import add_badges, label_is_forced
from atldiff.provenance.watermark import Watermark

if TYPE_CHECKING:
    from atldiff.pipeline import ATLDiffPipeline

LOOKAHEAD, CHUNK, PAST = 3, 3, 60  # frames; what each costs the lips' accuracy is in docs/live.md
AMPLE = 6  # frames of future where nobody waits for the picture: lips are then nearly a video's
HURRY = 3 * STEP  # frames of a late session's chunk: together they cost a third less
RATES = 4_000, 192_000  # samples a second


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame of a live portrait.

    Attributes:
        index: its number; frame i shows the moment i / 30 s of the sound.
        image: (H, W, 3 or 4) uint8, with the watermark.
        sound: (n, channels) float32, what was pushed for this frame; and for those dropped before it.
        rate: samples a second of `sound`.
        landmarks: (68, 2) float32 of the unturned head, pixels of the photo.
    """

    index: int
    image: np.ndarray
    sound: np.ndarray
    rate: int
    landmarks: np.ndarray


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Frames that wait for the network: their motion, and their warped parts."""

    motion: LiveMotion
    parts: list[Any]


class LiveSession:
    """One portrait that speaks as sound arrives, in constant memory.

    Args:
        pipeline: the networks.
        portrait: the photo.
        options: of the video; `Options(output="square")` is the size that a CPU renders live.
        lookahead: frames of sound that a frame waits for, a multiple of 3.
        chunk: frames that are made together, a multiple of 3.
        past: frames of sound before a frame that the networks hear, a multiple of 3.
        mark: put the watermark into the frames. Leave it to `write_video` for a file.

    Attributes:
        stride: of the frames that move from now on, those come whose index is a multiple of it.

    Raises:
        InputError: the weights do not know the emotion, or a number of frames is no multiple of 3.
    """

    def __init__(
        self,
        pipeline: "ATLDiffPipeline",
        portrait: Portrait,
        options: Options = DEFAULTS,
        lookahead: int = LOOKAHEAD,
        chunk: int = CHUNK,
        past: int = PAST,
        mark: bool = True,
    ) -> None:
        for name, value in (("lookahead", lookahead), ("chunk", chunk), ("past", past)):
            if value % STEP or value < (STEP if name == "chunk" else 0):
                raise InputError(f"{name} cannot be {value}", f"Choose a multiple of {STEP} frames")
        self.stride = 1
        self._lookahead, self._chunk, self._options, self._mark = lookahead, chunk, options, mark
        self._hearing, self._shares = Hearing(), SoundShares()
        self._motion = MotionStream(pipeline, portrait, options, lookahead, past)
        self._pictures = LivePictures(pipeline, portrait, options)
        self._raw: deque[np.ndarray] = deque()
        self._finished = self._finish()
        self._waiting: deque[_Chunk] = deque()
        self._ready: deque[tuple[int, np.ndarray, np.ndarray]] = deque()
        self._next, self._shown = 0, -1  # the next frame to move, and the last one that was pulled
        self._lips: np.ndarray | None = None  # landmarks of the last one that was pulled
        self._heard, self._state, self._turn = threading.Lock(), threading.Lock(), 0

    @property
    def photo(self) -> np.ndarray:
        """The photo as the frames show it, before anybody speaks: (H, W, 3 or 4) uint8."""
        return self._pictures.photo

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame, pixels."""
        return self._pictures.canvas.frame_size

    @property
    def position(self) -> int:
        """Frames for which there was sound: the index of the next one that silence would fill."""
        return self._hearing.frames

    def push(self, samples: np.ndarray, rate: int, hurry: bool = False) -> None:
        """Hears further sound, and moves the face where enough of it is known.

        Args:
            samples: (n,) or (n, 1 or 2), floats in [-1, 1] or integers. NaN counts as silence.
            rate: samples a second; it may change.
            hurry: the caller is late. Frames that wait come in longer chunks; beyond 18 of them, they are
                dropped.

        Raises:
            InputError: this is no sound, or the rate is not from 4000 to 192000.
        """
        sound, turn = _as_sound(samples, rate), self._turn
        for start in range(0, len(sound), max(1, rate // 10)):
            with self._heard:
                if turn != self._turn:
                    return
                part = sound[start : start + max(1, rate // 10)]
                with self._state:
                    self._shares.push(part, rate)
                self._hearing.push(part.mean(axis=1), rate)
                if not hurry:
                    self._advance(self._hearing.frames - self._lookahead, self._chunk)
        if hurry:
            with self._heard:
                stop = self._hearing.frames - self._lookahead
                if (behind := stop - self._next) > 2 * HURRY:
                    with self._state:
                        self._next += (behind - HURRY) // STEP * STEP
                self._advance(stop, HURRY)

    def flush(self) -> None:
        """Ends an utterance: makes the frames of all that was heard, as if silence followed."""
        with self._heard:
            self._silence(-(-self._hearing.count * FRAME_RATE // SAMPLE_RATE))

    def interrupt(self, last: LiveFrame | None = None) -> None:
        """Drops what was heard and not yet shown; the lips come to rest within 5 frames, in silence.

        Sound that is pushed from now on follows. Another thread's `push` at work ends without its rest.

        Args:
            last: the last frame that was seen, of the last 3 seconds; None: the last one that was pulled.
        """
        self._turn += 1
        with self._heard:
            with self._state:
                if last is not None:
                    self._shown, self._lips = last.index, last.landmarks
                frame = self._shown + 1
                self._drop(frame)
                self._motion.interrupt(frame, self._lips)
            self._silence(frame + CLOSE + 1)

    def rewind(self, frame: int) -> None:
        """Drops what was heard for the frames from one on, so that speech follows sooner than silence ends.

        Args:
            frame: a multiple of 3, of the last 3 seconds.
        """
        assert frame % STEP == 0, frame
        self._turn += 1
        with self._heard, self._state:
            self._shown = min(self._shown, frame - 1)
            self._drop(frame)

    def _drop(self, frame: int) -> None:
        """Forgets sound and frames from a frame on."""
        self._turn += 1
        self._ready.clear()
        self._waiting.clear()
        self._hearing.rewind(frame // STEP * STEP)
        self._shares.rewind(frame)
        self._next = frame // STEP * STEP

    def pull(self, after: int = -1) -> LiveFrame | None:
        """The next frame; None if more sound is needed first.

        Args:
            after: the caller's clock: chunks that end before this frame are dropped unrendered.
        """
        while True:
            with self._state:
                if self._ready:
                    index, image, points = self._ready.popleft()
                    self._shown, self._lips = index, points
                    return LiveFrame(index, image, self._shares.take(index + 1), self._shares.rate, points)
                while len(self._waiting) > 1 and self._waiting[1].motion.frames.start <= after:
                    self._waiting.popleft()
                if not self._waiting:
                    return None
                chunk, turn = self._waiting.popleft(), self._turn
            self._render(chunk, turn)

    def frames(self) -> Iterator[LiveFrame]:
        """Pulls all frames that can be made now."""
        while (frame := self.pull()) is not None:
            yield frame

    def _render(self, chunk: _Chunk, turn: int) -> None:
        """Renders a chunk; an interruption meanwhile drops it."""
        motion, images = chunk.motion, []
        for image in self._pictures.render(motion, chunk.parts):
            self._raw.append(image)
            images.append(next(self._finished))
        with self._state:
            if turn == self._turn:
                frames = zip(motion.frames, images, motion.points, strict=True)
                self._ready.extend(frame for frame in frames if frame[0] > self._shown)

    def _finish(self) -> Iterator[np.ndarray]:
        """Yields the frames of `_raw` with badge and watermark."""
        frames, options = self._pop(), self._options
        if options.badge or label_is_forced():
            frames = add_badges(frames, options.badge_text, options.badge_corner, options.badge_size)
        mark = None
        for frame in frames:
            mark = mark or Watermark(frame)
            yield mark.apply(frame) if self._mark else frame

    def _pop(self) -> Iterator[np.ndarray]:
        while True:
            yield self._raw.popleft()

    def _advance(self, stop: int, chunk: int) -> None:
        """Moves the face in whole chunks up to a frame, each with a frame that comes."""
        least = max(self._chunk, -(-self.stride // STEP) * STEP)
        while (count := min(stop - self._next, max(chunk, least)) // STEP * STEP) >= least:
            self._move(count)

    def _move(self, count: int) -> None:
        motion = self._motion.move(self._hearing, self._next, count).every(self.stride)
        chunks = [_Chunk(motion, self._pictures.warp(motion))] if motion.frames else []
        with self._state:
            self._next += count
            self._waiting.extend(chunks)

    def _silence(self, stop: int) -> None:
        """Fills with silence up to a whole chunk behind a frame, and makes all frames."""
        stop = self._next + -(-(stop - self._next) // self._chunk) * self._chunk
        self._hearing.pad(stop)
        with self._state:
            self._shares.pad(stop)
        while self._next < stop:
            self._move(self._chunk)


def _as_sound(samples: np.ndarray, rate: int) -> np.ndarray:
    """Checks sound and converts it to (n, channels) float32; what is no number becomes 0."""
    samples = np.asarray(samples)
    mono = samples.ndim == 1
    if not (mono or (samples.ndim == 2 and samples.shape[1] in (1, 2))) or samples.dtype.kind not in "iuf":
        raise InputError("This is no sound", "Give samples (n,), (n, 1) or (n, 2)")
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"Sound cannot have {rate} samples a second", f"Give {RATES[0]} to {RATES[1]}")
    sound = np.nan_to_num(samples, posinf=0, neginf=0) if samples.dtype.kind == "f" else to_float(samples)
    sound = sound.astype(np.float32)
    return sound[:, None] if mono else sound
