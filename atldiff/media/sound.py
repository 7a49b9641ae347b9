"""Pure functions on sound: mixing, resampling and level."""

import numpy as np
import soxr

SPEECH_LEVEL = 10 ** (-23 / 20)  # RMS of the loud parts of the networks' input
MAX_GAIN = 10 ** (40 / 20)  # limits the noise of a nearly silent recording
SILENCE = 10 ** (-60 / 20)  # a recording whose loudest 20 ms lie below -60 dBFS is silent


def to_float(samples: np.ndarray) -> np.ndarray:
    """Converts integers of any width, or floats, to float32 in [-1, 1]; scales louder floats down."""
    if samples.dtype.kind in "iu":
        info = np.iinfo(samples.dtype)
        middle = (info.max + 1) // 2 if info.min == 0 else 0
        samples = (samples.astype(np.float64) - middle) / (info.max - middle + 1)
    return limit_to_full_scale(samples).astype(np.float32)


def limit_to_full_scale(sound: np.ndarray) -> np.ndarray:
    """Divides floats of any shape by their peak if it lies above 1, where a player would clip."""
    peak = max(sound.max(initial=0), -sound.min(initial=0))
    return sound / peak if 1 < peak < np.inf else sound


def append_block(buffer: np.ndarray, used: int, block: np.ndarray) -> np.ndarray:
    """Writes a block behind the first `used` rows of a buffer (capacity, channels).

    Returns:
        The same buffer, or a larger copy if the block does not fit.
    """
    if used + len(block) > len(buffer):
        larger = np.empty((2 * (used + len(block)), buffer.shape[1]), buffer.dtype)
        larger[:used] = buffer[:used]
        buffer = larger
    buffer[used : used + len(block)] = block
    return buffer


def mix_to_mono(sound: np.ndarray) -> np.ndarray:
    """Mixes (m, channels) to (m,) without DC; takes the louder channel if the two cancel each other."""
    mixed = sound.mean(axis=1)
    mixed -= mixed.mean()
    if sound.shape[1] == 2 and len(sound):
        power = [np.dot(channel, channel) - len(sound) * channel.mean() ** 2 for channel in sound.T]
        if np.dot(mixed, mixed) < 0.01 * max(power):
            mixed = sound[:, int(np.argmax(power))]
            mixed = mixed - mixed.mean()
    return mixed


def resample(sound: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Converts (m,) or (m, channels) from `rate` to `new_rate` samples a second, float32 (soxr)."""
    return sound if rate == new_rate else soxr.resample(sound, rate, new_rate).astype(np.float32)


def rms(samples: np.ndarray, block: int) -> np.ndarray:
    """RMS of consecutive blocks of (n,) samples; silence pads the last, incomplete one."""
    blocks = samples[: len(samples) // block * block].reshape(-1, block)
    rest = samples[blocks.size :]
    power = np.einsum("ij,ij->i", blocks, blocks)  # no copy: a recording may be long
    return np.sqrt((np.append(power, np.dot(rest, rest)) if len(rest) else power) / block)


def is_silent(sound: np.ndarray, rate: int) -> bool:
    """Whether (m, channels) of any length is silent."""
    return not len(sound) or bool(rms(mix_to_mono(sound), max(1, round(0.02 * rate))).max() < SILENCE)


def normalise_level(samples: np.ndarray, rate: int) -> np.ndarray:
    """Scales (n,) samples to SPEECH_LEVEL, measured in the blocks within 20 dB of the loudest ones."""
    if not len(samples):
        return samples.astype(np.float32)
    blocks = rms(samples, rate // 20)
    loud = blocks[blocks >= 0.1 * np.quantile(blocks, 0.95)]
    gain = min(SPEECH_LEVEL / max(np.sqrt((loud**2).mean()), 1e-9), MAX_GAIN)
    return np.clip(samples * np.float32(gain), -1, 1).astype(np.float32)
