"""Voice activity: the times of speech in a recording."""

import numpy as np

from atldiff.media.sound import rms

HOP = 0.01  # seconds between two values of the loudness
NEVER_SPEECH = 35.0  # dB below the loudest speech; the quietest consonants are louder
ABOVE_NOISE = 6.0  # dB; a sound that rises less above the noise floor is noise
PAUSE, BURST, RAMP = 0.2, 0.04, 0.16  # seconds: shortest pause, shortest sound, length of a fade


def speech_activity(samples: np.ndarray, rate: int, times: np.ndarray) -> np.ndarray:
    """Probability of speech at some times, by a threshold on the loudness.

    The threshold lies between the recording's noise floor and its speech level: the 10th and the 95th
    percentile of the loudness. So steady noise counts as silence.

    Args:
        samples: (n,) at `rate` samples a second.
        times: (t,) seconds.

    Returns:
        (t,) float32 in [0, 1]; it rises and falls over about 0.16 s.
    """
    decibel = loudness_curve(samples, rate)
    return activity_curve(decibel, speech_threshold(decibel), times)


def loudness_curve(samples: np.ndarray, rate: int) -> np.ndarray:
    """The loudness of samples (n,) in dB, one value every HOP seconds, each over three of them."""
    power = rms(samples, round(HOP * rate)) ** 2
    return 10 * np.log10(np.convolve(power, np.ones(3) / 3, "same") + 1e-10)


def speech_threshold(decibel: np.ndarray, loudest: float = -np.inf) -> float:
    """The least loudness of speech, in dB.

    Args:
        decibel: (n,) of `loudness_curve`.
        loudest: level of the speech, in dB, where `decibel` may hold none; the loudest of both counts.
    """
    floor, peak = np.quantile(decibel, (0.1, 0.95))
    peak = max(peak, loudest)
    return float(max(floor + ABOVE_NOISE, floor + 0.4 * (peak - floor), peak - NEVER_SPEECH))


def activity_curve(decibel: np.ndarray, threshold: float, times: np.ndarray) -> np.ndarray:
    """`speech_activity` from the loudness (n,) in dB and the least loudness of speech."""
    speaks = decibel > threshold
    bridge, burst, ramp = (max(1, round(span / HOP / 2)) for span in (PAUSE, BURST, RAMP))
    speaks = _dilate(~_dilate(~speaks, burst), burst)  # opening removes short clicks
    speaks = ~_dilate(~_dilate(speaks, bridge), bridge)  # closing fills stops and short pauses
    window = np.hanning(2 * ramp + 1)
    smooth = np.convolve(np.pad(speaks.astype(float), ramp, mode="edge"), window / window.sum(), "valid")
    return np.interp(times, (np.arange(len(smooth)) + 0.5) * HOP, smooth).astype(np.float32)


def _dilate(mask: np.ndarray, reach: int) -> np.ndarray:
    """Grows the True parts of a mask (n,) by `reach` places; its ends continue with their values."""
    padded = np.pad(mask, reach, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).any(axis=1))
