"""Log-mel spectrum of speech, at the level that the networks are trained with."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.config import SAMPLE_RATE
from atldiff.media.sound import MAX_GAIN

HOP, WINDOW = 160, 400  # samples: 10 ms and 25 ms
MEL_BANDS = 80
FEATURE_RATE = 50  # features a second: the mel's 100 Hz, halved by the stem
FEATURE_HOP = SAMPLE_RATE // FEATURE_RATE  # samples a feature
# Long recordings are heard in windows: seconds that are kept, and seconds more on each side.
WINDOW_SECONDS, MARGIN_SECONDS = 12, 1
TRAINING_LEVEL = 10 ** (-20 / 20)  # RMS of the loud parts of every recording in training


def to_training_level(samples: Tensor) -> Tensor:
    """Scales recordings (B, n): their loud parts (95th percentile of 20 ms RMS) lie at TRAINING_LEVEL."""
    whole = F.pad(samples, (0, -samples.shape[-1] % FEATURE_HOP)).unflatten(-1, (-1, FEATURE_HOP))
    loud = whole.square().mean(-1).sqrt().quantile(0.95, dim=-1, keepdim=True)
    return samples * (TRAINING_LEVEL / loud.clamp_min(1e-8)).clamp_max(MAX_GAIN)


def windows(count: int) -> Iterator[tuple[slice, slice]]:
    """Cuts `count` samples into windows: (samples to hear, features to keep of what was heard).

    The kept parts join without gap or overlap: together they are count // FEATURE_HOP + 1 features.
    """
    step, margin = WINDOW_SECONDS * SAMPLE_RATE, MARGIN_SECONDS * SAMPLE_RATE
    for start in range(0, count, step):
        last = start + step >= count - margin  # a short rest joins the window before it
        stop = count if last else start + step
        read = slice(max(0, start - margin), min(count, stop + margin))
        first = (start - read.start) // FEATURE_HOP
        yield read, slice(first, None if last else first + (stop - start) // FEATURE_HOP)
        if last:
            return


def mel_bank() -> Tensor:
    """(MEL_BANDS, 201) triangular filters on the HTK mel scale up to 8 kHz, each of area 1 (Slaney)."""
    top = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, MEL_BANDS + 2) / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    low, centre, high = (edges[i : i + MEL_BANDS, None] for i in range(3))
    triangles = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp_min(0)
    return triangles * 2 / (high - low)


class LogMel(nn.Module):
    """(B, n) samples at 16 kHz -> (B, MEL_BANDS, n // 160 + 1) natural-log mel power at 100 Hz.

    Column i is centred on sample 160 i. The filterbank travels with the weights.
    """

    bank: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bank", mel_bank())
        self.register_buffer("window", torch.hann_window(WINDOW))

    def forward(self, samples: Tensor) -> Tensor:
        """Samples to log-mel, as above."""
        if samples.shape[-1] <= WINDOW // 2:  # the reflection needs more samples than its padding
            samples = F.pad(samples, (0, WINDOW // 2 + 1 - samples.shape[-1]))
        spectrum = torch.stft(
            samples, WINDOW, HOP, window=self.window, pad_mode="reflect", return_complex=True
        )
        return torch.log((self.bank @ spectrum.abs().square()).clamp_min(1e-10))
