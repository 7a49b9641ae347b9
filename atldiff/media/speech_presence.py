"""Detects speech in a recording: a voice glides in pitch, music holds its notes, noise has no pitch."""

import numpy as np

from atldiff.config import SAMPLE_RATE

HOP, WINDOW, SPECTRUM = 160, 512, 1024  # samples: 10 ms, 32 ms and the padded transform
SECONDS = 10  # length of the parts, which are classified one by one
SHORTEST = 40  # frames; a shorter sound cannot be classified
PITCH = (70, 440)  # Hz of a voice
VOICED = 0.6  # share of a frame's power that repeats after one period
GLIDE = (0.06, 1.2)  # semitones between two frames; less is a held note, more is a leap
GLIDING = 0.25  # share of a voice's steps that glide
MIN_GLIDES, GLIDES_A_SECOND = 2, 0.25  # enough glides to show a voice in loud noise
SOME_VOICE = 0.2  # share of voiced frames among the loud ones; fewer may be a whisper
STILL, ARTICULATED = 0.75, 3.0  # dB of change in the spectrum's shape in 50 ms: a chord, a whisper
BANDS = (100, 300, 600, 1000, 1600, 2500, 4000, 7000)  # Hz, borders of the bands


def contains_speech(samples: np.ndarray) -> bool:
    """Whether (n,) samples of 16 kHz hold speech at any level; True if they are too few."""
    part = SECONDS * SAMPLE_RATE
    starts = range(0, max(1, len(samples) - SAMPLE_RATE), part)
    return any(_is_speech(samples[start : start + part]) for start in starts)


def _is_speech(samples: np.ndarray) -> bool:
    """`contains_speech` of one part."""
    if len(samples) < WINDOW + 1 + SHORTEST * HOP:
        return True
    loudness, pitch, repeats, bands = _features(samples)
    loud = loudness > np.quantile(loudness, 0.95) - 25
    voiced, change = loud & (repeats > VOICED), _articulation(bands, loud)
    steps = np.abs(np.diff(pitch))[voiced[1:] & voiced[:-1]]
    glides = np.count_nonzero((steps > GLIDE[0]) & (steps < GLIDE[1]))
    enough = max(MIN_GLIDES, GLIDES_A_SECOND * len(samples) / SAMPLE_RATE, GLIDING * len(steps))
    whisper = np.count_nonzero(voiced) < SOME_VOICE * np.count_nonzero(loud)
    return bool(change > STILL and (glides >= enough or (whisper and change > ARTICULATED)))


def _features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features of each frame: loudness in dB, pitch in semitones, periodicity, bands (F, bands) in dB."""
    window = np.hanning(WINDOW).astype(np.float32)
    hertz = np.fft.rfftfreq(SPECTRUM, 1 / SAMPLE_RATE)
    # The difference of neighbours lifts a voice's harmonics above rumble.
    frames = np.lib.stride_tricks.sliding_window_view(np.diff(samples), WINDOW)[::HOP] * window
    power = np.abs(np.fft.rfft(frames, SPECTRUM)) ** 2
    bands = 10 * np.log10(np.add.reduceat(power, np.searchsorted(hertz, BANDS), axis=1)[:, :-1] + 1e-9)
    loudness = 10 * np.log10(power[:, (hertz > 80) & (hertz < 6000)].sum(axis=1) + 1e-9)
    power[:, (hertz < 60) | (hertz > 3000)] = 0
    shortest, longest = (round(SAMPLE_RATE / rate) for rate in reversed(PITCH))
    # The window's own autocorrelation, which damps a frame's at long lags.
    taper = np.fft.irfft(np.abs(np.fft.rfft(window, SPECTRUM)) ** 2)[: longest + 2]
    similar = np.fft.irfft(power)[:, : longest + 2] / np.maximum(taper, 1e-3 * taper[0])
    similar /= np.maximum(similar[:, :1], 1e-12)
    lag = similar[:, shortest : longest + 1].argmax(axis=1) + shortest
    left, middle, right = (similar[np.arange(len(lag)), lag + side] for side in (-1, 0, 1))
    curve = np.minimum(left - 2 * middle + right, -1e-9)  # of the parabola through the peak
    period = lag + np.clip((left - right) / 2 / curve, -0.5, 0.5)
    inside = (lag > shortest) & (lag < longest)
    return loudness, 12 * np.log2(SAMPLE_RATE / period), np.where(inside, middle, 0), bands


def _articulation(bands: np.ndarray, loud: np.ndarray) -> float:
    """Mean change in dB of the spectrum's shape (F, bands) within 50 ms, between loud frames (F,)."""
    kernel = np.hanning(7) / np.hanning(7).sum()
    floored = np.maximum(bands, bands.max(axis=0) - 40)
    smooth = np.stack([np.convolve(band, kernel, "same") for band in floored.T], axis=1)
    shape = smooth - smooth.mean(axis=1, keepdims=True)
    change = np.abs(shape[5:] - shape[:-5]).mean(axis=1)[loud[5:] & loud[:-5]]
    return float(change.mean()) if len(change) else 0.0
