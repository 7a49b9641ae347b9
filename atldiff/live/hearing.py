"""A live voice at 16 kHz: its last seconds, its level, and where it speaks.

- Sound comes in blocks of any length and rate. What is heard does not depend on the blocks.
- The level and the noise floor have a memory of ten seconds. The last two seconds alone would lift a pause's
  noise to speech.
- The definitions are those of recordings: `media.voice_activity` and `speech.mel`.
"""

from collections import deque
from dataclasses import dataclass

import av
import numpy as np

from atldiff.config import FRAME_RATE, SAMPLE_RATE
from atldiff.media.sound import MAX_GAIN, SPEECH_LEVEL
from atldiff.media.voice_activity import HOP, activity_curve, loudness_curve, speech_threshold
from atldiff.speech.mel import TRAINING_LEVEL

STEP = 3  # frames of 0.1 s; windows begin and end at whole ones, where frames, features and blocks meet
KEPT = 4 * SAMPLE_RATE  # samples to recognise an emotion
_MEMORY = round(10 / HOP)  # values of loudness
_START, _FLOOR = -22.0, -60.0  # dB of speech and noise before any was heard: a usual microphone's
_LEARN, _SETTLE = (
    100,
    30,
)  # values of speech until its level is known; values that the noise floor begins with
_QUIETEST = -40.0  # dB; no speech is quieter, else a room's noise would count as a voice
# The 95th percentile of a voice's loudness over the RMS of its loud parts, dB: 3.7 to 4.3 in examples/.
_PEAKS = 4.0


@dataclass(frozen=True, eq=False)
class Heard:
    """A window of a voice.

    Attributes:
        samples: (n,) float32, 16 kHz mono, as heard, without DC.
        activity: (F,) of each frame, 0 to 1.
        gain: from `samples` to the level that the networks know.
    """

    samples: np.ndarray
    activity: np.ndarray
    gain: float

    @property
    def for_networks(self) -> np.ndarray:
        """The samples (n,) at `speech.mel.TRAINING_LEVEL`."""
        return np.clip(self.samples * np.float32(self.gain), -1, 1)

    @property
    def as_recorded(self) -> np.ndarray:
        """The samples (n,) at the level of `Speech.samples`."""
        peaks = SPEECH_LEVEL * 10 ** (_PEAKS / 20)
        return np.clip(self.samples * np.float32(self.gain * peaks / TRAINING_LEVEL), -1, 1)


class Hearing:
    """Hears a live voice.

    Attributes:
        count: samples heard at 16 kHz since the beginning.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept, self._measured = np.zeros(0, np.float32), 0
        self._resampler, self._rate = None, 0
        self._recent = deque([_FLOOR] * _SETTLE, _MEMORY)
        self._speech: deque[float] = deque(maxlen=_MEMORY)

    @property
    def frames(self) -> int:
        """Whole video frames heard since the beginning."""
        return self.count * FRAME_RATE // SAMPLE_RATE

    @property
    def level(self) -> float:
        """Loudness of the speech of the last ten seconds of speech, dB."""
        if not self._speech:
            return _START
        known = min(len(self._speech) / _LEARN, 1.0)
        return max(_START + known * (float(np.quantile(self._speech, 0.95)) - _START), _QUIETEST)

    def push(self, samples: np.ndarray, rate: int) -> None:
        """Hears samples (n,) float32 in [-1, 1], `rate` a second; the rate may change."""
        if rate != self._rate:  # swresample lags by 1 ms; soxr at a high quality by 20 to 37 ms
            self._keep(self._resample(None))
            self._resampler, self._rate = av.AudioResampler("flt", "mono", SAMPLE_RATE), rate
        if len(samples):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32)[None], "flt", "mono")
            frame.sample_rate = rate
            self._keep(self._resample(frame))

    def pad(self, frames: int) -> None:
        """Hears silence from now on, until `frames` frames since the beginning."""
        self._keep(self._resample(None))
        self._resampler, self._rate = None, 0
        missing = _to_samples(frames) - self.count
        if missing >= 0:
            self._keep(np.zeros(missing, np.float32))
        else:  # the end of the resampler's last sample
            self._kept, self.count = self._kept[:missing], self.count + missing

    def rewind(self, frame: int) -> None:
        """Forgets the sound from a frame on; level and noise floor stay."""
        self._resampler, self._rate = None, 0
        first = self.count - len(self._kept)
        self._kept = self._kept[: max(0, _to_samples(frame) - first)].copy()
        self.count = self._measured = _to_samples(frame)

    def window(self, begin: int, stop: int) -> Heard:
        """The voice of the frames begin..stop, whole multiples of STEP; silence follows what was heard."""
        assert begin % STEP == stop % STEP == 0, (begin, stop)
        samples = self._cut(_to_samples(begin), _to_samples(stop))
        samples = samples - samples.mean()
        decibel = loudness_curve(samples, SAMPLE_RATE)
        self._measure(decibel, _to_samples(begin))
        times = np.arange(stop - begin) / FRAME_RATE
        activity = activity_curve(decibel, self._threshold, times)
        gain = min(TRAINING_LEVEL / 10 ** (self.level / 20), MAX_GAIN)
        return Heard(samples, activity, gain)

    def last_seconds(self) -> np.ndarray:
        """At most the last four seconds (n,) as heard."""
        return self._kept[-KEPT:]

    @property
    def _threshold(self) -> float:
        return speech_threshold(np.array(self._recent), self.level)

    def _measure(self, decibel: np.ndarray, begin: int) -> None:
        """Remembers the loudness (n,) from the sample `begin` on, where it is new and was heard."""
        block = round(HOP * SAMPLE_RATE)
        stop = begin + min(len(decibel), (self.count - begin) // block) * block
        new = decibel[max(0, self._measured - begin) // block : max(0, stop - begin) // block]
        if stop > self._measured:
            self._measured = stop
            self._recent.extend(new)
            self._speech.extend(new[new > self._threshold])

    def _resample(self, frame: "av.AudioFrame | None") -> np.ndarray:
        if self._resampler is None:
            return np.zeros(0, np.float32)
        parts = [part.to_ndarray()[0] for part in self._resampler.resample(frame)]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    def _keep(self, samples: np.ndarray) -> None:
        self._kept = np.concatenate([self._kept, samples])
        self.count += len(samples)
        if len(self._kept) > 3 * KEPT:  # a late caller's frames have yet to be made of it
            self._kept = self._kept[-2 * KEPT :].copy()

    def _cut(self, start: int, stop: int) -> np.ndarray:
        """The samples start..stop; silence before what is kept, and after what was heard."""
        first, samples = self.count - len(self._kept), np.zeros(stop - start, np.float32)
        low, high = max(start, first), min(stop, self.count)
        if low < high:
            samples[low - start : high - start] = self._kept[low - first : high - first]
        return samples


def _to_samples(frame: int) -> int:
    """The sample at which a frame begins."""
    return frame * SAMPLE_RATE // FRAME_RATE
