"""Augmentation of speech clips: speed and pitch, room, microphone, noise, silence before and after."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import soxr

from atldiff.config import FRAME_RATE
from atldiff.media.speech import SAMPLE_RATE
from atldiff.training.landmarks.clips import SpeechClip


def augment(clip: SpeechClip, others: Sequence[SpeechClip], rng: np.random.Generator) -> SpeechClip:
    """A random version of a clip; the voices of `others` serve as noise."""
    clip = change_speed(clip, float(rng.uniform(0.86, 1.16)))
    samples = clip.samples / (np.abs(clip.samples).max() + 1e-6)
    if rng.random() < 0.4:
        samples = reverberate(samples, rng)
    samples = equalise(samples, rng)
    if rng.random() < 0.7:
        samples = add_noise(samples, others[int(rng.integers(len(others)))].samples, rng)
    clip = replace(clip, samples=samples.astype(np.float32))
    return surround_with_silence(clip, rng) if rng.random() < 0.4 else clip


def change_speed(clip: SpeechClip, speed: float) -> SpeechClip:
    """Plays the clip `speed` times as fast, like a tape: tempo, pitch and formants change together."""
    samples = soxr.resample(clip.samples, SAMPLE_RATE * speed, SAMPLE_RATE)
    frames = int(len(samples) / SAMPLE_RATE * FRAME_RATE)
    place = np.clip(np.arange(frames) * speed, 0, len(clip.ok) - 1)
    low = place.astype(int)
    high, share = np.minimum(low + 1, len(clip.ok) - 1), (place - low)[:, None, None]
    displacements = (clip.displacements[low] * (1 - share) + clip.displacements[high] * share).astype(
        np.float32
    )
    return replace(clip, samples=samples, displacements=displacements, ok=clip.ok[low] & clip.ok[high])


def reverberate(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds a room's echo: noise that decays within 0.1 to 0.4 s."""
    length = int(SAMPLE_RATE * rng.uniform(0.1, 0.4))
    echo = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    echo *= rng.uniform(0.05, 0.5) / np.linalg.norm(echo)
    echo[0] += 1.0
    size = len(samples) + length
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(echo, size), size)
    return wet[: len(samples)]


def equalise(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Applies a microphone with a random response, about 6 dB over five octaves."""
    spectrum = np.fft.rfft(samples)
    octave = np.log2(np.maximum(np.linspace(0, SAMPLE_RATE / 2, len(spectrum)), 60.0) / 60.0)
    response = np.interp(octave, np.linspace(0, 7.1, 8), rng.normal(0, 4.0, 8))
    return np.fft.irfft(spectrum * 10 ** (response / 20), len(samples))


def add_noise(samples: np.ndarray, babble: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds coloured noise or another voice, 6 to 30 dB below the speech."""
    if rng.random() < 0.3 and len(babble):
        noise = np.resize(np.roll(babble, rng.integers(len(babble))), len(samples)).astype(np.float64)
        decibels = rng.uniform(12, 30)
    else:
        spectrum = np.fft.rfft(rng.standard_normal(len(samples)))
        hertz = np.maximum(np.linspace(0, SAMPLE_RATE / 2, len(spectrum)), 50.0)
        noise = np.fft.irfft(spectrum * hertz ** -rng.uniform(0, 1), len(samples))
        decibels = rng.uniform(6, 30)
    level = np.sqrt((samples**2).mean()) * 10 ** (-decibels / 20)
    return samples + noise * level / (np.sqrt((noise**2).mean()) + 1e-9)


def surround_with_silence(clip: SpeechClip, rng: np.random.Generator) -> SpeechClip:
    """Adds 0.4 to 1.2 s of room noise with closed lips before and after.

    Frames within a quarter second of the speech are not ok: the true lips are unknown there.
    """
    before, after = (int(FRAME_RATE * rng.uniform(0.4, 1.2)) for _ in range(2))
    hop, guard = SAMPLE_RATE // FRAME_RATE, FRAME_RATE // 4
    rms = np.sqrt((clip.samples**2).mean())
    noise = (
        10 ** (-rng.uniform(35, 70) / 20) * rms * rng.standard_normal((before + after) * hop + SAMPLE_RATE)
    )
    samples = np.concatenate([noise[: before * hop], clip.samples, noise[-after * hop :]])
    still = ((before, after), (0, 0), (0, 0))
    ok = np.pad(clip.ok, (before, after), constant_values=True)
    ok[before - guard : before] = ok[len(ok) - after : len(ok) - after + guard] = False
    return replace(
        clip, samples=samples.astype(np.float32), displacements=np.pad(clip.displacements, still), ok=ok
    )
