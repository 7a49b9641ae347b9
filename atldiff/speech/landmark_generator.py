"""Landmark generation (Sec. 2.1): speech features + the portrait's landmarks -> landmarks of every frame.

Two domains read the speech. The Global Domain hears what is said, the Context Domain hears it
through the emotion's gate; each has a branch for the face and one for the mouth, and KFusion joins
them. The output is a displacement from the portrait's landmarks in face units (inter-ocular
distance 1), so that it fits every face; the released code predicts pixels.
"""

from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.config import FRAME_RATE
from atldiff.landmarks import MOUTH, NUM_LANDMARKS, FaceFrame
from atldiff.speech.kfusion import KFusion, PlainFusion
from atldiff.speech.phonetic_encoder import FEATURE_RATE
from atldiff.speech.speech_encoder import SpeechFeatures

COORDINATES = 2 * NUM_LANDMARKS
MOUTH_POINTS = MOUTH.stop - MOUTH.start
REACH = 20  # frames that attention sees on each side
# Long speech: frames of a window, and frames in which neighbouring windows are blended.
WINDOW_FRAMES, BLEND_FRAMES = 360, 60


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
        encoder = nn.TransformerEncoderLayer(width, **shape)
        self.face = nn.TransformerEncoder(encoder, layers, enable_nested_tensor=False)
        self.mouth = nn.TransformerEncoder(encoder, layers, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(width, **shape), layers)
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


class ContextDomain(nn.Module):
    """The emotion-aware domain: a branch shaped like the Global Domain and two LSTMs (face, mouth)."""

    def __init__(self, width: int, heads: int, layers: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.branch = GlobalDomain(width, heads, layers, channels, dropout)
        self.face = nn.LSTM(width, width // 2, 2, batch_first=True, bidirectional=True, dropout=dropout)
        self.mouth = nn.LSTM(width, width // 2, 2, batch_first=True, bidirectional=True, dropout=dropout)
        self.maps = LandmarkMaps(width, channels)

    def forward(self, speech: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Speech (B, F, width), identity (B, 68, 2) face units -> face and mouth maps, 2 x channels."""
        branch = self.branch(speech, identity)
        recurrent = self.maps(self.face(speech)[0], self.mouth(speech)[0])
        face, mouth = (torch.cat(pair, dim=1) for pair in zip(branch, recurrent, strict=True))
        return face, mouth


class LandmarkGenerator(ModelMixin, ConfigMixin):
    """Speech features and the portrait's landmarks -> a displacement of every landmark in every frame.

    Args:
        feature_dim: width D of the speech features.
        width, heads, layers: of the Transformers and LSTMs.
        channels: of each map that enters KFusion.
        hidden: width of the head (KAN: <= 128).
        components: numbers predicted a frame; fewer than 136 are coordinates in the basis of the
            training displacements' principal components (buffers `basis`, `scale`, `mean`).
        head: "kan" or "mlp".
        no_kfusion, no_context, no_global: the rows of the paper's Table 3.
    """

    @register_to_config
    def __init__(
        self,
        feature_dim: int = 768,
        width: int = 128,
        heads: int = 4,
        layers: int = 2,
        channels: int = 8,
        hidden: int = 64,
        components: int = COORDINATES,
        head: str = "kan",
        no_kfusion: bool = False,
        no_context: bool = False,
        no_global: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        assert not (no_context and no_global), "one domain must stay"
        shape = (width, heads, layers, channels, dropout)
        self.projection = nn.ModuleDict()
        self.domains = nn.ModuleDict()
        if not no_global:
            self.projection["global"] = SpeechProjection(feature_dim, width, dropout)
            self.domains["global"] = GlobalDomain(*shape)
        if not no_context:
            self.projection["context"] = SpeechProjection(feature_dim, width, dropout)
            self.domains["context"] = ContextDomain(*shape)
        maps = channels * ((not no_global) + 2 * (not no_context))
        if no_kfusion:
            self.fusion: nn.Module = PlainFusion(maps, components)
        else:
            self.fusion = KFusion(maps, 2 * channels, hidden, components, head, dropout)
        self.register_buffer("basis", torch.eye(components, COORDINATES))
        self.register_buffer("scale", torch.ones(components))
        self.register_buffer("mean", torch.zeros(COORDINATES))
        self.eval()

    def forward(self, features: SpeechFeatures, identity: Tensor, num_frames: int) -> Tensor:
        """One window.

        Args:
            features: of the recording, B of them.
            identity: (B, 68, 2) the portrait's landmarks in face units.
            num_frames: F frames at 30 fps; frame f shows the moment f / 30 s.

        Returns:
            (B, F, 68, 2) displacements in face units.
        """
        inputs = {"global": features.acoustic, "context": features.context}
        maps = [
            domain(self.projection[name](inputs[name], num_frames), identity)
            for name, domain in self.domains.items()
        ]
        face, mouth = (torch.cat(parts, dim=1) for parts in zip(*maps, strict=True))
        numbers = self.fusion(face, mouth) * self.scale
        return (numbers @ self.basis + self.mean).unflatten(-1, (NUM_LANDMARKS, 2))

    @torch.no_grad()
    def predict(
        self, features: SpeechFeatures, identity_landmarks: np.ndarray, num_frames: int
    ) -> np.ndarray:
        """Landmarks (num_frames, 68, 2) of the speaking face, in the unit of `identity_landmarks` (68, 2).

        Any length: windows of WINDOW_FRAMES, blended where they overlap; memory is one window's.
        """
        frame = FaceFrame.of(np.asarray(identity_landmarks, np.float64))
        identity = torch.from_numpy(frame.to_face(identity_landmarks)).to(features.acoustic)[None]
        moved = np.zeros((num_frames, NUM_LANDMARKS, 2), np.float32)
        step = WINDOW_FRAMES - BLEND_FRAMES
        for start in range(0, max(1, num_frames - BLEND_FRAMES), step):
            stop = min(start + WINDOW_FRAMES, num_frames)
            part = self(_during(features, start, stop), identity, stop - start)[0].float().cpu().numpy()
            rise = np.clip((np.arange(stop - start) + 0.5) / BLEND_FRAMES, 0, 1) if start else np.ones(1)
            rise = rise[:, None, None]
            moved[start:stop] = rise * part + (1 - rise) * moved[start:stop]
        return (identity_landmarks + frame.vectors_from_face(moved)).astype(np.float32)


def _during(features: SpeechFeatures, start: int, stop: int) -> SpeechFeatures:
    """The features of frames start..stop; start is a multiple of 3 frames, so of 5 features."""
    first, past = start * FEATURE_RATE // FRAME_RATE, -(-stop * FEATURE_RATE // FRAME_RATE) + 1
    return SpeechFeatures(features.acoustic[:, first:past], features.context[:, first:past], features.emotion)
