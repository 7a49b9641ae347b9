"""Any recording -> Speech: the original sound, and 16 kHz mono samples for the networks."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from atldiff.config import FRAME_RATE, SAMPLE_RATE
from atldiff.errors import InputError
from atldiff.media.decoding import (
    MAX_SECONDS,
    REMEDY,
    UnknownMedia,
    read_other_sound,
    read_sound,
    too_long_error,
)
from atldiff.media.sound import is_silent, mix_to_mono, normalise_level, resample, to_float
from atldiff.media.speech_presence import contains_speech
from atldiff.media.voice_activity import speech_activity
from atldiff.memory import map_to_disk, release_pages
from atldiff.provenance.origin import fingerprint

MAX_SOUND_RATE = 48_000  # the highest rate of a video's sound
MIN_SECONDS = 0.1


@dataclass(frozen=True, eq=False)
class Speech:
    """One recording of speech. Large arrays lie on disk (`memory.map_to_disk`).

    Attributes:
        samples: (n,) float32 in [-1, 1], 16 kHz mono, without DC, at a normal speech level.
        sound: (m, channels) float32, 1 or 2 channels, the original recording for the video.
        sound_rate: samples a second of `sound`, at most 48000.
        fingerprint: SHA-256 of the recording's file, or of its samples where there was no file.
    """

    samples: np.ndarray
    sound: np.ndarray
    sound_rate: int
    fingerprint: str = ""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def num_frames(self) -> int:
        """Length in video frames, at least 1."""
        return max(1, round(self.seconds * FRAME_RATE))

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each property that makes the video worse."""
        has_speech = contains_speech(self.samples)
        release_pages(self.samples)
        return () if has_speech else ("No speech is heard in the recording. Check that it is the right one.",)

    @classmethod
    def from_samples(cls, samples: np.ndarray, rate: int = SAMPLE_RATE) -> "Speech":
        """Builds an unchecked Speech from floats (n,) or (n, channels) in [-1, 1], `rate` a second."""
        sound = np.asarray(samples, np.float32)
        sound = sound[:, None] if sound.ndim == 1 else sound
        sound = sound if sound.shape[1] <= 2 else sound.mean(axis=1, keepdims=True)
        sound_rate = min(rate, MAX_SOUND_RATE)
        speech = normalise_level(resample(mix_to_mono(sound), rate, SAMPLE_RATE), SAMPLE_RATE)
        return cls(map_to_disk(speech), map_to_disk(resample(sound, rate, sound_rate)), sound_rate)

    def cut(self, start: float, end: float) -> "Speech":
        """The part between two times in seconds, at the same level; silence follows the sound's end."""

        def part(sound: np.ndarray, rate: int) -> np.ndarray:
            first, last = round(start * rate), round(end * rate)
            missing = max(0, last - max(first, len(sound)))
            return np.pad(sound[first:last], ((0, missing), *[(0, 0)] * (sound.ndim - 1)))

        samples, sound = part(self.samples, SAMPLE_RATE), part(self.sound, self.sound_rate)
        return replace(self, samples=samples, sound=sound)


def load_speech(
    source: str | Path | tuple[int, np.ndarray] | Speech, max_seconds: float = MAX_SECONDS
) -> Speech:
    """Reads a recording of speech, with the silence at its ends.

    Args:
        source: path of a sound or video file, gradio's pair, or a Speech. A video's sound stays on the
            video's clock. The pair is (rate, array (n,) or (n, channels), integer or float).
        max_seconds: the longest recording accepted; a longer one is not decoded to its end.

    Raises:
        InputError: the recording is missing, empty, no audio, too short, too long or silent, or has no
            sound track, or holds NaN.
    """
    if isinstance(source, Speech):
        sound, rate = source.sound, source.sound_rate
    elif isinstance(source, tuple):
        sound, rate = _from_array(*source)
    elif isinstance(source, (str, Path)):
        sound, rate = _read_file(Path(source), max_seconds)
    else:
        raise InputError("This is not a recording", REMEDY)
    _check(sound, rate, max_seconds)
    release_pages(sound)
    if isinstance(source, Speech):
        return source
    return replace(Speech.from_samples(sound, rate), fingerprint=fingerprint(source))


def voice_activity(speech: Speech) -> np.ndarray:
    """Probability of speech in each video frame; frame f is at f / FRAME_RATE seconds.

    Returns:
        (num_frames,) float32 in [0, 1], smooth. Steady background noise counts as silence.
    """
    times = np.arange(speech.num_frames) / FRAME_RATE
    return speech_activity(speech.samples, SAMPLE_RATE, times)


def _read_file(path: Path, max_seconds: float) -> tuple[np.ndarray, int]:
    """Reads a file: sound (m, 1 or 2) and its rate."""
    try:
        track = read_sound(path, "recording", max_seconds=max_seconds)
    except UnknownMedia:
        track = read_other_sound(path, max_seconds)
        if track is None:
            raise
    if track is None:
        raise InputError(f"The video {path.name} has no sound track", "Use a recording with speech")
    if not len(track[0]):
        raise InputError(f"No sound can be read from {path.name}", REMEDY)
    return track


def _from_array(rate: int, samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Converts gradio's pair to float32 (n, channels) in [-1, 1] and the rate."""
    samples = np.asarray(samples)
    if samples.ndim == 2 and samples.shape[0] <= 8 < samples.shape[1]:
        samples = samples.T
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf" or not 1000 <= rate <= 768_000:
        raise InputError("This is not a recording", "Give (rate, samples) with samples (n,) or (n, channels)")
    samples = to_float(samples)
    return samples[:, None] if samples.ndim == 1 else samples, int(rate)


def _check(sound: np.ndarray, rate: int, max_seconds: float) -> None:
    """Raises InputError for a recording (m, channels) that cannot be used."""
    if len(sound) < MIN_SECONDS * rate:
        raise InputError(f"The recording is shorter than {MIN_SECONDS} s", "Record at least one word")
    if len(sound) > (max_seconds + 0.1) * rate:
        raise too_long_error(max_seconds)
    if not np.isfinite(sound.sum()):
        raise InputError("The recording holds values that are not numbers", "Export it again, as 16-bit WAV")
    if is_silent(sound, rate):
        raise InputError("The recording is silent throughout", "Check the microphone and record again")
