"""Encoded speech clips, the landmark network's examples: encoded once, stored on disk, read on access."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from atldiff.speech.encoders import Encoder
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.training.data.array_file import ArrayFile, Row, StoredRows
from atldiff.training.landmarks.augment import augment
from atldiff.training.landmarks.clips import SpeechClip


@dataclass(frozen=True, eq=False)
class Example:
    """A clip as the landmark network's input and target.

    Attributes:
        acoustic: (1, T, D) float16 features.
        emotion: (1, E) embedding.
        displacements: (F, 68, 2) face units at 30 fps, from `identity`.
        identity: (68, 2) face units.
        ok: (F,) bool, frames to learn from.
        samples: (1, n) float16, levelled; n = 0 if the network does not take the waveform.
    """

    acoustic: Tensor
    emotion: Tensor
    displacements: Tensor
    identity: Tensor
    ok: Tensor
    samples: Tensor = field(default_factory=lambda: torch.zeros(1, 0, dtype=torch.half))


@torch.no_grad()
def encode_clip(encoder: Encoder, clip: SpeechClip, waveform: bool = False) -> Example:
    """The clip's features (before the gate, which is trained) and targets; with samples if `waveform`."""
    features: SpeechFeatures = encoder.encode(clip.speech, waveform=waveform)
    samples = {} if features.samples is None else {"samples": features.samples.half().cpu()}
    return Example(
        features.acoustic.half().cpu(),
        features.emotion.cpu(),
        torch.from_numpy(clip.displacements),
        torch.from_numpy(clip.identity),
        torch.from_numpy(clip.ok),
        **samples,
    )


@torch.no_grad()
def fit_features(encoder: Encoder, clips: Sequence[SpeechClip]) -> dict[str, Tensor]:
    """Sets the starter encoder's mean and std of features from the clips; returns both, else nothing."""
    if not isinstance(encoder, StarterSpeechEncoder):
        return {}
    encoder.mean.zero_()
    encoder.std.fill_(1.0)
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for clip in clips:
        acoustic = encoder.encode(clip.speech).acoustic[0, ::5].cpu().double()
        count += len(acoustic)
        total, squares = total + acoustic.sum(0), squares + acoustic.square().sum(0)
    mean = total / count
    encoder.mean.copy_(mean)
    encoder.std.copy_(((squares - count * mean.square()).clamp(min=0) / (count - 1)).sqrt() + 1e-3)
    return {"mean": encoder.mean, "std": encoder.std}


class EncodedSpeech(StoredRows[Example]):
    """Encoded clips in a file, read on access."""

    def decode(self, row: Row) -> Example:
        """The example of a row."""
        return Example(**{name: torch.from_numpy(array) for name, array in row.items()})


def encode_versions(
    out: Path,
    key: str,
    encoder: Encoder,
    clips: Sequence[SpeechClip],
    count: int,
    seed: int,
    waveform: bool = False,
) -> list[EncodedSpeech]:
    """Encodes `count` versions of every clip, the first one unchanged, and caches them in `out`.

    Args:
        key: hash of clips and encoder (`data_key`), which names the cache together with the seed.
        waveform: include the samples, for a network that takes them.
    """
    versions = []
    for version in range(count):
        path = out / f"speech-{key}-{seed}-{version}{'-raw' if waveform else ''}.bin"
        rows = ArrayFile.open_existing(path)
        if rows is None:
            rng = np.random.default_rng([seed, version])
            inputs = (augment(clip, clips, rng) for clip in clips) if version else clips
            examples = (vars(encode_clip(encoder, clip, waveform)) for clip in inputs)
            rows = ArrayFile.write(path, ({k: v.numpy() for k, v in e.items()} for e in examples))
        versions.append(EncodedSpeech(rows))
    return versions
