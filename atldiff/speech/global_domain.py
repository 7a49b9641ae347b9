"""The Global Domain (Eq. 1): speech beside the portrait's landmarks, for the face and for the mouth.

- Its input is the raw audio signal (`RawSpeech`, the paper's) or the encoder's features
  (`SpeechProjection`, the starter's).
- Attention runs over time and sees near frames alone, so windows and the whole agree.
- Queries of the decoder are speech, its memory is the landmarks.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.config import FRAME_RATE
from atldiff.landmarks import MOUTH, NUM_LANDMARKS
from atldiff.speech.mel import FEATURE_HOP, FEATURE_RATE

MOUTH_POINTS = MOUTH.stop - MOUTH.start
REACH = 20  # frames that attention sees on each side


def at_frame_rate(features: Tensor, num_frames: int) -> Tensor:
    """Features (B, T, D) at 50 Hz -> (B, num_frames, D) at 30 fps, linear in time.

    Frame f shows the moment f / 30 s, feature i the moment i / 50 s; past the end the last one stays.
    """
    last = features.shape[1] - 1
    place = torch.arange(num_frames, device=features.device) * (FEATURE_RATE / FRAME_RATE)
    place = place.clamp(max=last)
    low = place.long()
    share = (place - low)[:, None].to(features.dtype)
    return features[:, low] * (1 - share) + features[:, (low + 1).clamp(max=last)] * share


def locality_mask(frames: int, device: torch.device) -> Tensor:
    """(frames, frames) additive attention mask: nearer frames count more, beyond REACH none.

    It makes attention depend on the distance in time alone, so windows and whole agree.
    """
    index = torch.arange(frames, device=device)
    distance = (index[:, None] - index[None]).abs().float()
    return (-distance / 5).masked_fill(distance > REACH, -torch.inf)


class SpeechProjection(nn.Module):
    """Speech features at 50 Hz (B, T, D) -> (B, F, width) at 30 fps, each with its near neighbourhood."""

    def __init__(self, feature_dim: int, width: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(feature_dim, width, 3, padding=1)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, num_frames: int) -> Tensor:
        """(B, T, D) -> (B, num_frames, width)."""
        speech = self.convolution(features.transpose(1, 2)).transpose(1, 2)
        return self.dropout(F.gelu(self.norm(at_frame_rate(speech, num_frames))))


class RawSpeech(nn.Module):
    """The raw audio signal (B, n), levelled samples at 16 kHz -> (B, F, width) at 30 fps (Eq. 1).

    Three strided convolutions take 320 samples to one feature. Feature i, at 50 Hz, is centred on sample
    320 i, as the encoders' features are.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        strides, kernels, channels = (5, 8, 8), (10, 16, 16), (1, width // 2, width, width)
        assert prod(strides) == FEATURE_HOP, strides
        layers: list[nn.Module] = []
        reach, hop = 1, 1  # samples that a feature hears, and from one feature to the next
        for index, (stride, kernel) in enumerate(zip(strides, kernels, strict=True)):
            layers += [nn.Conv1d(channels[index], channels[index + 1], kernel, stride), nn.GELU()]
            reach, hop = reach + (kernel - 1) * hop, hop * stride
        self.reach = reach  # 685
        self.convolutions = nn.Sequential(*layers[:-1])
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, samples: Tensor, num_frames: int) -> Tensor:
        """(B, n) -> (B, num_frames, width)."""
        count, before = samples.shape[-1] // FEATURE_HOP + 1, self.reach // 2
        after = (count - 1) * FEATURE_HOP + self.reach - before - samples.shape[-1]
        speech = self.convolutions(F.pad(samples, (before, after))[:, None]).transpose(1, 2)
        return self.dropout(F.gelu(self.norm(at_frame_rate(speech, num_frames))))


class GlobalDomain(nn.Module):
    """Eq. 1: two Transformer encoders over time and one decoder that looks at the portrait's landmarks.

    Args:
        width, heads, layers: of each Transformer.
        channels: channels of the maps it hands on.
    """

    def __init__(self, width: int, heads: int, layers: int, channels: int, dropout: float) -> None:
        super().__init__()
        shape: dict[str, Any] = {"nhead": heads, "dim_feedforward": 2 * width, "dropout": dropout}
        shape |= {"batch_first": True, "norm_first": True, "activation": "gelu"}
        # The released code leaves batch_first out and so attends over the batch.
        self.face, self.mouth = (_encoder(width, layers, shape) for _ in range(2))
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(width, **shape), layers)
        self.decoder.layers = nn.ModuleList(nn.TransformerDecoderLayer(width, **shape) for _ in range(layers))
        self.place = nn.Linear(2, width)
        self.point = nn.Parameter(0.1 * torch.randn(NUM_LANDMARKS, width))
        self.maps = LandmarkMaps(width, channels)

    def forward(self, speech: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Speech (B, F, width), identity (B, 68, 2) face units -> face and mouth maps."""
        near = locality_mask(speech.shape[1], speech.device).to(speech.dtype)
        points = self.place(identity) + self.point
        face = self.decoder(self.face(speech, near), points, tgt_mask=near)
        mouth = self.decoder(self.mouth(speech, near), points[:, MOUTH], tgt_mask=near)
        return self.maps(face, mouth)


def _encoder(width: int, layers: int, shape: dict[str, Any]) -> nn.TransformerEncoder:
    """An encoder whose layers begin with weights of their own; torch makes them copies of one layer."""
    layer = nn.TransformerEncoderLayer(width, **shape)
    encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
    encoder.layers = nn.ModuleList(nn.TransformerEncoderLayer(width, **shape) for _ in range(layers))
    return encoder


class LandmarkMaps(nn.Module):
    """Face and mouth sequences (B, F, width) -> maps (B, channels, 68, F) and (B, channels, 20, F)."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.face = nn.Linear(width, channels * NUM_LANDMARKS)
        self.mouth = nn.Linear(width, channels * MOUTH_POINTS)

    def forward(self, face: Tensor, mouth: Tensor) -> tuple[Tensor, Tensor]:
        """Sequences to maps."""
        face_map = self.face(face).unflatten(-1, (-1, NUM_LANDMARKS)).permute(0, 2, 3, 1)
        mouth_map = self.mouth(mouth).unflatten(-1, (-1, MOUTH_POINTS)).permute(0, 2, 3, 1)
        return face_map, mouth_map
