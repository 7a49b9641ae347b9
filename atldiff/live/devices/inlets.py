"""Where a live portrait's sound comes from: a recording, raw PCM on a stream, a microphone.

Each gives blocks of 20 ms for a `Visit`, as they arrive.
"""

import io
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import av
import numpy as np

from atldiff.errors import InputError
from atldiff.live.visit import RATE, SAMPLES
from atldiff.media.sound import mix_to_mono, resample
from atldiff.media.speech import Speech

_WAITING = 50  # blocks that may wait; a stream waits, a microphone's oldest are dropped
_PART = 0.02  # seconds of a stream that are read together
_INSTALL = "Install it: pip install atldiff[microphone]"


class Inlet(Protocol):
    """A source of sound."""

    def next_block(self) -> np.ndarray | None:
        """The next block (SAMPLES,) float32; None: none has arrived."""

    @property
    def is_over(self) -> bool:
        """Whether no block will come any more."""


class Recording:
    """A recording; all of it is there.

    Args:
        speech: its original sound is heard.
    """

    def __init__(self, speech: Speech) -> None:
        sound = resample(mix_to_mono(speech.sound), speech.sound_rate, RATE)
        padded = np.pad(sound, (0, -len(sound) % SAMPLES)).astype(np.float32)
        self._blocks, self._next = padded.reshape(-1, SAMPLES), 0

    def next_block(self) -> np.ndarray | None:
        """See `Inlet`."""
        if self.is_over:
            return None
        self._next += 1
        return self._blocks[self._next - 1]

    @property
    def is_over(self) -> bool:
        """See `Inlet`."""
        return self._next == len(self._blocks)


class Arriving:
    """Sound that arrives in another thread.

    Args:
        rate: samples a second.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler = av.AudioResampler("flt", "mono", RATE, SAMPLES)
        self._blocks: queue.Queue[np.ndarray] = queue.Queue(_WAITING)
        self._has_ended = threading.Event()

    def next_block(self) -> np.ndarray | None:
        """See `Inlet`."""
        try:
            return self._blocks.get_nowait()
        except queue.Empty:
            return None

    @property
    def is_over(self) -> bool:
        """See `Inlet`."""
        return self._has_ended.is_set() and self._blocks.empty()

    def put(self, samples: np.ndarray, waits: bool) -> None:
        """Takes samples (n,) float32; if too many wait, this call waits, or the oldest are dropped."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32)[None], "flt", "mono")
        frame.sample_rate = self._rate
        for part in self._resampler.resample(frame):
            while not waits and self._blocks.full():
                self.next_block()
            self._blocks.put(part.to_ndarray()[0])

    def end(self) -> None:
        """Tells that no sound will come any more; the last, shorter block is filled with silence."""
        rest = [part.to_ndarray()[0] for part in self._resampler.resample(None)]
        for block in rest:
            self._blocks.put(np.pad(block, (0, SAMPLES - len(block))))
        self._has_ended.set()


def read_pcm(stream: io.RawIOBase | io.BytesIO, rate: int, channels: int) -> Arriving:
    """Reads raw PCM in a thread: 16 bits, little endian.

    Args:
        stream: without a buffer; Python cannot end while a thread waits in one. It is read as it is heard.
        rate: samples a second.
        channels: 1 or 2.
    """
    inlet, size = Arriving(rate), 2 * channels

    def read() -> None:
        """Passes whole samples on until the stream ends."""
        rest = b""
        while data := stream.read(max(1, round(_PART * rate)) * size):
            data = rest + data
            whole = len(data) // size * size
            samples, rest = np.frombuffer(data[:whole], "<i2").reshape(-1, channels), data[whole:]
            if len(samples):
                inlet.put(samples.mean(axis=1, dtype=np.float32) / 32768, waits=True)
        inlet.end()

    threading.Thread(target=read, daemon=True, name="pcm").start()
    return inlet


@contextmanager
def open_microphone() -> Iterator[Arriving]:
    """Listens to the machine's usual microphone until the block ends.

    Raises:
        InputError: sounddevice or its library PortAudio is not installed, or there is no microphone.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise InputError("The package sounddevice is not installed", _INSTALL) from error
    except OSError as error:  # it looks for its library when it is imported
        remedy = "Install it, on Debian or Ubuntu: sudo apt-get install libportaudio2"
        raise InputError("The library PortAudio is not installed", remedy) from error
    try:
        rate = round(sounddevice.query_devices(kind="input")["default_samplerate"])
        inlet = Arriving(rate)

        def hear(samples: np.ndarray, *_: Any) -> None:
            """Takes samples (n, 1), in PortAudio's thread."""
            inlet.put(samples[:, 0], waits=False)

        stream = sounddevice.InputStream(rate, round(_PART * rate), channels=1, callback=hear)
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        remedy = "Plug one in, or pipe sound in with --input -"
        raise InputError("No microphone works here", remedy) from error
    try:
        yield inlet
    finally:
        stream.close()
