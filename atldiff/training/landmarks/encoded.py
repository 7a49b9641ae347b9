"""Speech clips as the landmark network sees them: encoded once, kept on disk, read as they are drawn."""

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
from atldiff.training.landmarks.augment import vary
from atldiff.training.landmarks.clips import SpeechClip


@dataclass(frozen=True, eq=False)
class Example:
    """A clip as the network sees it: features (1, T, D) half precision, its targets, and levelled samples
    (1, n) half precision; none (n = 0) where the network does not hear them.
    """

    acoustic: Tensor
    emotion: Tensor
    displacements: Tensor
    identity: Tensor
    ok: Tensor
    samples: Tensor = field(default_factory=lambda: torch.zeros(1, 0, dtype=torch.half))


@torch.no_grad()
def encode_clip(encoder: Encoder, clip: SpeechClip, waveform: bool = False) -> Example:
    """The clip's features (without the gate, which is trained) and targets; samples where `waveform`."""
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
    """Sets the buffers that standardise the starter's features from the clips, and returns them."""
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
    """Encoded clips in a file."""

    def decode(self, row: Row) -> Example:
        """A clip of its row."""
        return Example(**{name: torch.from_numpy(array) for name, array in row.items()})


def encoded_versions(
    out: Path,
    key: str,
    encoder: Encoder,
    clips: Sequence[SpeechClip],
    count: int,
    seed: int,
    waveform: bool = False,
) -> list[EncodedSpeech]:
    """`count` encoded versions of every clip, the first one unchanged; encoded once and kept in `out`.

    Args:
        key: of clips and encoder (`data_key`); the versions of other ones, or of another seed, are others.
        waveform: with the samples, for a network that hears them.
    """
    versions = []
    for version in range(count):
        path = out / f"speech-{key}-{seed}-{version}{'-raw' if waveform else ''}.bin"
        rows = ArrayFile.open_existing(path)
        if rows is None:
            rng = np.random.default_rng([seed, version])
            varied = (vary(clip, clips, rng) for clip in clips) if version else clips
            examples = (vars(encode_clip(encoder, clip, waveform)) for clip in varied)
            rows = ArrayFile.write(path, ({k: v.numpy() for k, v in e.items()} for e in examples))
        versions.append(EncodedSpeech(rows))
    return versions
