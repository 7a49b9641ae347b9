"""The starter's speech encoder: a phonetic Conformer and the Conformer emotion recogniser (Sec. 2.1).

- The phonetic Conformer replaces wav2vec2 of the paper's encoder (`wav2vec2_encoder`).
- It also gives the probability of a p, b or m.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from atldiff.config import EMOTION_DIM, EMOTIONS
from atldiff.diffusers_base import ConfigMixin, ModelMixin, register_to_config
from atldiff.media.speech import Speech
from atldiff.speech.context_gate import ContextGate
from atldiff.speech.emotion_recogniser import UNUSED_WEIGHTS, EmotionRecogniser
from atldiff.speech.features import SpeechFeatures, encode_speech, encode_window
from atldiff.speech.mel import MEL_BANDS, LogMel
from atldiff.speech.phonetic_encoder import PhoneticEncoder


class StarterSpeechEncoder(ModelMixin, ConfigMixin):
    """The compact encoder, about 2.3 million weights (Sec. 2.1).

    The acoustic features are standardised. They are the outputs of some blocks of the phonetic Conformer, and
    the log-mel spectrum at 50 Hz. A spectrum's row is the mean of two columns.

    Args:
        emotions: names of the emotions.
        width: features of the phonetic Conformer.
        layers: its blocks.
        heads: of its attention.
        kernel: frames of its convolutions, odd.
        symbols: width of its phoneme head.
        taps: indices of its blocks in the acoustic features.
        bilabials: indices of its symbols for p, b and m.
        emotion_width: features of the emotion recogniser.
        emotion_layers: blocks of the emotion recogniser.
        emotion_dim: width of the emotion embedding e.
    """

    _keys_to_ignore_on_load_unexpected = UNUSED_WEIGHTS

    @register_to_config
    def __init__(
        self,
        emotions: tuple[str, ...] = EMOTIONS,
        width: int = 144,
        layers: int = 4,
        heads: int = 4,
        kernel: int = 31,
        symbols: int = 191,
        taps: tuple[int, ...] = (1, 2),
        bilabials: tuple[int, ...] = (10, 31, 35, 36, 37),
        emotion_width: int = 64,
        emotion_layers: int = 2,
        emotion_dim: int = EMOTION_DIM,
    ) -> None:
        super().__init__()
        self.mel = LogMel()
        self.phonetic = PhoneticEncoder(width, layers, heads, kernel, symbols).requires_grad_(False)
        self.emotion = EmotionRecogniser(emotions, emotion_width, emotion_layers, emotion_dim)
        self.gate = ContextGate(emotion_dim, self.feature_dim)
        self.register_buffer("mean", torch.zeros(self.feature_dim))
        self.register_buffer("std", torch.ones(self.feature_dim))
        self.eval()

    @property
    def feature_dim(self) -> int:
        """Width D of the acoustic features."""
        return self.config.width * len(self.config.taps) + MEL_BANDS

    def acoustic_features(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Levelled samples (B, n) -> acoustic features (B, T, D), T = n // 320 + 1; P(bilabial) (B, T)."""
        mel = self.mel(samples)
        blocks = self.phonetic(mel)
        count = blocks[0].shape[1]
        pairs = (
            F.pad(mel, (0, 2 * count - mel.shape[-1]), mode="replicate").unflatten(-1, (count, 2)).mean(-1)
        )
        features = torch.cat([blocks[tap] for tap in self.config.taps] + [pairs.transpose(1, 2)], -1)
        bilabial = self.phonetic.phonemes(blocks[-1])[..., list(self.config.bilabials)].exp().sum(-1)
        return (features - self.mean) / self.std, bilabial

    def forward(self, samples: Tensor) -> SpeechFeatures:
        """Encodes samples (B, n) at 16 kHz, at any loudness, as one window."""
        return encode_window(self, samples)

    @torch.no_grad()
    def encode(self, speech: Speech, emotion: str | None = None, waveform: bool = False) -> SpeechFeatures:
        """Encodes a recording of any length (B = 1); see `encode_speech`."""
        return encode_speech(self, speech, emotion, waveform)
