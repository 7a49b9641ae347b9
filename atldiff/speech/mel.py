"""Log-mel spectrum of speech, at the loudness of the training data."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.config import SAMPLE_RATE
from atldiff.media.sound import MAX_GAIN

HOP, WINDOW = 160, 400  # samples: 10 ms and 25 ms
MEL_BANDS = 80
FEATURE_RATE = 50  # features a second; the stem halves the mel's 100 Hz
FEATURE_HOP = SAMPLE_RATE // FEATURE_RATE  # samples a feature
# Windows of a long recording: seconds of the core, and seconds of context on each side.
WINDOW_SECONDS, MARGIN_SECONDS = 12, 1
TRAINING_LEVEL = 10 ** (-20 / 20)  # RMS of a recording's loud parts in training


def to_training_level(samples: Tensor) -> Tensor:
    """Scales recordings (B, n): their loud parts (95th percentile of 20 ms RMS) get TRAINING_LEVEL."""
    blocks = F.pad(samples, (0, -samples.shape[-1] % FEATURE_HOP)).unflatten(-1, (-1, FEATURE_HOP))
    loud = blocks.square().mean(-1).sqrt().quantile(0.95, dim=-1, keepdim=True)
    return samples * (TRAINING_LEVEL / loud.clamp_min(1e-8)).clamp_max(MAX_GAIN)


def cut_windows(count: int) -> Iterator[tuple[slice, slice]]:
    """Cuts a recording of `count` samples into overlapping windows.

    Yields:
        The window's samples in the recording, and its core among the window's features. The cores join
        without gap or overlap to count // FEATURE_HOP + 1 features.
    """
    step, margin = WINDOW_SECONDS * SAMPLE_RATE, MARGIN_SECONDS * SAMPLE_RATE
    for start in range(0, count, step):
        last = start + step >= count - margin  # the window takes a short rest, too
        stop = count if last else start + step
        span = slice(max(0, start - margin), min(count, stop + margin))
        first = (start - span.start) // FEATURE_HOP
        yield span, slice(first, None if last else first + (stop - start) // FEATURE_HOP)
        if last:
            return


def mel_bank() -> Tensor:
    """Triangular filters (MEL_BANDS, 201) on the HTK mel scale up to 8 kHz, each of area 1 (Slaney)."""
    top = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, MEL_BANDS + 2) / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    low, centre, high = (edges[i : i + MEL_BANDS, None] for i in range(3))
    triangles = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp_min(0)
    return triangles * 2 / (high - low)


class LogMel(nn.Module):
    """Samples (B, n) at 16 kHz -> natural-log mel power (B, MEL_BANDS, n // 160 + 1) at 100 Hz.

    Column i is centred on sample 160 i. The filterbank is saved with the weights.
    """

    bank: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bank", mel_bank())
        self.register_buffer("window", torch.hann_window(WINDOW))

    def forward(self, samples: Tensor) -> Tensor:
        """Samples (B, n) -> log-mel (B, MEL_BANDS, n // 160 + 1)."""
        if samples.shape[-1] <= WINDOW // 2:  # a reflection needs more samples than its padding has
            samples = F.pad(samples, (0, WINDOW // 2 + 1 - samples.shape[-1]))
        spectrum = torch.stft(
            samples, WINDOW, HOP, window=self.window, pad_mode="reflect", return_complex=True
        )
        return torch.log((self.bank @ spectrum.abs().square()).clamp_min(1e-10))
