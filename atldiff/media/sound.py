"""Pure functions on sound: mixing, resampling, level, and where somebody speaks."""

import numpy as np
import soxr

SPEECH_LEVEL = 10 ** (-23 / 20)  # RMS of the loud parts of what the networks hear
MAX_GAIN = 10 ** (40 / 20)  # the noise of a nearly silent recording is lifted no further than this
SILENCE = 10 ** (-60 / 20)  # a recording whose loudest 20 ms lie below -60 dBFS is silent


def to_float(samples: np.ndarray) -> np.ndarray:
    """Integer samples of any width, or floats, -> float32 in [-1, 1]; floats beyond are scaled down."""
    if samples.dtype.kind in "iu":
        info = np.iinfo(samples.dtype)
        middle = (info.max + 1) // 2 if info.min == 0 else 0
        samples = (samples.astype(np.float64) - middle) / (info.max - middle + 1)
    return limit_to_full_scale(samples).astype(np.float32)


def limit_to_full_scale(sound: np.ndarray) -> np.ndarray:
    """Floats of any shape, divided by their peak where it lies above 1: a player would clip it."""
    peak = max(sound.max(initial=0), -sound.min(initial=0))
    return sound / peak if 1 < peak < np.inf else sound


def append_block(buffer: np.ndarray, used: int, block: np.ndarray) -> np.ndarray:
    """The buffer (capacity, channels) with a block after its first `used` rows; a full one is doubled."""
    if used + len(block) > len(buffer):
        larger = np.empty((2 * (used + len(block)), buffer.shape[1]), buffer.dtype)
        larger[:used] = buffer[:used]
        buffer = larger
    buffer[used : used + len(block)] = block
    return buffer


def mix_to_mono(sound: np.ndarray) -> np.ndarray:
    """(m, channels) -> (m,) without DC; the louder channel where the two cancel each other."""
    mixed = sound.mean(axis=1)
    mixed -= mixed.mean()
    if sound.shape[1] == 2 and len(sound):
        power = [np.dot(channel, channel) - len(sound) * channel.mean() ** 2 for channel in sound.T]
        if np.dot(mixed, mixed) < 0.01 * max(power):
            mixed = sound[:, int(np.argmax(power))]
            mixed = mixed - mixed.mean()
    return mixed


def resample(sound: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """(m,) or (m, channels) at `rate` samples a second -> float32 at `new_rate` (soxr)."""
    return sound if rate == new_rate else soxr.resample(sound, rate, new_rate).astype(np.float32)


def rms(samples: np.ndarray, block: int) -> np.ndarray:
    """RMS of consecutive blocks of (n,) samples; the last, incomplete one is padded with silence."""
    whole = samples[: len(samples) // block * block].reshape(-1, block)
    rest = samples[whole.size :]
    power = np.einsum("ij,ij->i", whole, whole)  # no copy: a recording may be long
    return np.sqrt((np.append(power, np.dot(rest, rest)) if len(rest) else power) / block)


def is_silent(sound: np.ndarray, rate: int) -> bool:
    """Whether nothing is heard in (m, channels) of any length."""
    return not len(sound) or bool(rms(mix_to_mono(sound), max(1, round(0.02 * rate))).max() < SILENCE)


def normalise_level(samples: np.ndarray, rate: int) -> np.ndarray:
    """Brings (n,) samples to SPEECH_LEVEL: the RMS of the blocks within 20 dB of the loudest ones."""
    if not len(samples):
        return samples.astype(np.float32)
    blocks = rms(samples, rate // 20)
    loud = blocks[blocks >= 0.1 * np.quantile(blocks, 0.95)]
    gain = min(SPEECH_LEVEL / max(np.sqrt((loud**2).mean()), 1e-9), MAX_GAIN)
    return np.clip(samples * np.float32(gain), -1, 1).astype(np.float32)
