"""Landmark generation (Sec. 2.1): speech features and the portrait's landmarks -> landmarks of every frame.

- The Global Domain reads the raw signal (in the starter: the acoustic features).
- The Context Domain reads the acoustic features through the emotion's gate (Eq. 2).
- Both have a branch for the face and a branch for the mouth, which KFusion joins.
- The output is a displacement from the portrait's landmarks in face units (inter-ocular distance 1), so that
  it fits every face. The released code predicts pixels.
"""

import numpy as np
import torch
from torch import Tensor, nn

from atldiff.config import FRAME_RATE
from atldiff.diffusers_base import ConfigMixin, ModelMixin, register_to_config
from atldiff.landmarks import NUM_LANDMARKS, FaceFrame
from atldiff.speech.context_domain import ContextDomain
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.global_domain import GlobalDomain, RawSpeech, SpeechProjection
from atldiff.speech.kfusion import KFusion, PlainFusion
from atldiff.speech.mel import FEATURE_HOP, FEATURE_RATE

COORDINATES = 2 * NUM_LANDMARKS
# Long speech: frames of a window, and frames in which two windows are blended.
WINDOW_FRAMES, BLEND_FRAMES = 360, 60


class LandmarkGenerator(ModelMixin, ConfigMixin):
    """Speech features and the portrait's landmarks -> displacements of all landmarks (Eq. 1-4, Sec. 2.1).

    Args:
        feature_dim: width D of the speech features.
        width: features of a frame in the Transformers and LSTMs.
        heads: of the Transformers' attention.
        layers: of each Transformer.
        channels: of each map that enters KFusion.
        hidden: width of the head (KAN: <= 128).
        components: numbers predicted a frame. Below 136, they are coordinates in the basis of the training
            displacements' principal components (buffers `basis`, `scale`, `mean`).
        head: "kan" or "mlp".
        no_kfusion: ablation of Table 3, a linear layer in place of KFusion.
        no_context: ablation of Table 3, without the Context Domain.
        no_global: ablation of Table 3, without the Global Domain.
        dropout: probability in [0, 1).
        global_input: input of the Global Domain: "raw" (the audio signal, the paper's) or "features" (the
            acoustic features).
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
        global_input: str = "features",
    ) -> None:
        super().__init__()
        assert not (no_context and no_global), "one domain must stay"
        assert global_input in ("raw", "features"), global_input
        shape = (width, heads, layers, channels, dropout)
        self.projection = nn.ModuleDict()
        self.domains = nn.ModuleDict()
        if not no_global:
            raw = self.hears_waveform
            self.projection["global"] = (
                RawSpeech(width, dropout) if raw else SpeechProjection(feature_dim, width, dropout)
            )
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

    @property
    def hears_waveform(self) -> bool:
        """Does the Global Domain read the samples? Then encode with `waveform=True`."""
        return self.config.global_input == "raw" and not self.config.no_global

    def forward(self, features: SpeechFeatures, identity: Tensor, num_frames: int) -> Tensor:
        """Predicts one window; the domains' maps are concatenated for face and mouth (Eq. 3).

        Args:
            features: of B recordings.
            identity: (B, 68, 2) the portrait's landmarks in face units.
            num_frames: number F of frames at 30 fps; frame f shows the moment f / 30 s.

        Returns:
            (B, F, 68, 2) displacements in face units.
        """
        inputs = {"global": features.acoustic, "context": features.context}
        if self.hears_waveform:
            assert features.samples is not None, "encode with waveform=True"
            inputs["global"] = features.samples
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
        """Predicts the landmarks of a speaking face for speech of any length.

        Windows of WINDOW_FRAMES are blended in their overlap; one window is in memory at a time.

        Args:
            features: of one recording.
            identity_landmarks: (68, 2) the portrait's landmarks in any unit.
            num_frames: number F of frames at 30 fps.

        Returns:
            (F, 68, 2) float32 in the unit of `identity_landmarks`.
        """
        frame = FaceFrame.from_landmarks(np.asarray(identity_landmarks, np.float64))
        identity = torch.from_numpy(frame.to_face(identity_landmarks)).to(features.acoustic)[None]
        displacements = np.zeros((num_frames, NUM_LANDMARKS, 2), np.float32)
        step = WINDOW_FRAMES - BLEND_FRAMES
        for start in range(0, max(1, num_frames - BLEND_FRAMES), step):
            stop = min(start + WINDOW_FRAMES, num_frames)
            part = self(_cut_features(features, start, stop), identity, stop - start)[0].float().cpu().numpy()
            rise = np.clip((np.arange(stop - start) + 0.5) / BLEND_FRAMES, 0, 1) if start else np.ones(1)
            rise = rise[:, None, None]
            displacements[start:stop] = rise * part + (1 - rise) * displacements[start:stop]
        return (identity_landmarks + frame.vectors_from_face(displacements)).astype(np.float32)


def _cut_features(features: SpeechFeatures, start: int, stop: int) -> SpeechFeatures:
    """Cuts the features of frames start..stop; `start` is a multiple of 3 frames, hence of 5 features."""
    first, end = start * FEATURE_RATE // FRAME_RATE, -(-stop * FEATURE_RATE // FRAME_RATE) + 1
    samples = features.samples
    if samples is not None:
        samples = samples[:, first * FEATURE_HOP : (end - 1) * FEATURE_HOP + 1]
    speech = features.acoustic[:, first:end], features.context[:, first:end]
    return SpeechFeatures(*speech, features.emotion, samples=samples)
