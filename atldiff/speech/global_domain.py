"""The Global Domain (Eq. 1): a Transformer that joins speech with the portrait's landmarks.

- It reads the raw audio signal (`RawSpeech`, the paper's) or the encoder's features (`SpeechProjection`,
  the starter's).
- Attention runs over time and sees near frames only: a window gives the result of the full recording.
- The decoder's queries are frames of speech; its memory is the landmarks.
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
    """Interpolates features (B, T, D) at 50 Hz linearly to (B, num_frames, D) at 30 fps.

    Frame f shows the moment f / 30 s, feature i the moment i / 50 s. The last feature is repeated at the end.
    """
    last = features.shape[1] - 1
    place = torch.arange(num_frames, device=features.device) * (FEATURE_RATE / FRAME_RATE)
    place = place.clamp(max=last)
    low = place.long()
    share = (place - low)[:, None].to(features.dtype)
    return features[:, low] * (1 - share) + features[:, (low + 1).clamp(max=last)] * share


def locality_mask(frames: int, device: torch.device) -> Tensor:
    """Additive attention mask (frames, frames): near frames weigh more, frames beyond REACH nothing.

    Attention depends on the distance in time only, so that a window gives the result of the full recording.
    """
    index = torch.arange(frames, device=device)
    distance = (index[:, None] - index[None]).abs().float()
    return (-distance / 5).masked_fill(distance > REACH, -torch.inf)


class SpeechProjection(nn.Module):
    """Speech features (B, T, D) at 50 Hz -> (B, F, width) at 30 fps, through a convolution of width 3."""

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
    """The raw audio signal (B, n), levelled samples at 16 kHz -> (B, F, width) at 30 fps (input of Eq. 1).

    Three strided convolutions turn 320 samples into one feature. Feature i, at 50 Hz, is centred on sample
    320 i, like the encoders' features.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        strides, kernels, channels = (5, 8, 8), (10, 16, 16), (1, width // 2, width, width)
        assert prod(strides) == FEATURE_HOP, strides
        layers: list[nn.Module] = []
        reach, hop = 1, 1  # samples that a feature sees; samples between two features
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
    """Two Transformer encoders over time, and a decoder that attends to the portrait's landmarks (Eq. 1).

    Args:
        width: features of each frame.
        heads: of the attention.
        layers: of each Transformer.
        channels: of the output maps.
        dropout: probability in [0, 1).
    """

    def __init__(self, width: int, heads: int, layers: int, channels: int, dropout: float) -> None:
        super().__init__()
        shape: dict[str, Any] = {"nhead": heads, "dim_feedforward": 2 * width, "dropout": dropout}
        shape |= {"batch_first": True, "norm_first": True, "activation": "gelu"}
        # The released code omits batch_first, and so attends over the batch.
        self.face, self.mouth = (_encoder(width, layers, shape) for _ in range(2))
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(width, **shape), layers)
        self.decoder.layers = nn.ModuleList(nn.TransformerDecoderLayer(width, **shape) for _ in range(layers))
        self.place = nn.Linear(2, width)
        self.point = nn.Parameter(0.1 * torch.randn(NUM_LANDMARKS, width))
        self.maps = LandmarkMaps(width, channels)

    def forward(self, speech: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the maps of face and mouth.

        Args:
            speech: (B, F, width) at 30 fps.
            identity: (B, 68, 2) the portrait's landmarks in face units.

        Returns:
            Face map (B, channels, 68, F) and mouth map (B, channels, 20, F).
        """
        near = locality_mask(speech.shape[1], speech.device).to(speech.dtype)
        points = self.place(identity) + self.point
        face = self.decoder(self.face(speech, near), points, tgt_mask=near)
        mouth = self.decoder(self.mouth(speech, near), points[:, MOUTH], tgt_mask=near)
        return self.maps(face, mouth)


def _encoder(width: int, layers: int, shape: dict[str, Any]) -> nn.TransformerEncoder:
    """An encoder with different initial weights in each layer; torch copies one layer."""
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
        """Sequences (B, F, width) -> face map and mouth map."""
        face_map = self.face(face).unflatten(-1, (-1, NUM_LANDMARKS)).permute(0, 2, 3, 1)
        mouth_map = self.mouth(mouth).unflatten(-1, (-1, MOUTH_POINTS)).permute(0, 2, 3, 1)
        return face_map, mouth_map
