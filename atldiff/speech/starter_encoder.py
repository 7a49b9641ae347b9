"""Speech -> SpeechFeatures: what is said (acoustic), how (emotion), and both (context; Sec. 2.1, Eq. 2).

The paper's encoder is wav2vec2 for what is said and a Conformer emotion recogniser for how
(`wav2vec2_encoder`); the starter's has a small phonetic Conformer in wav2vec2's place
(`StarterSpeechEncoder`). Features come at 50 Hz; feature i is centred on i / 50 seconds.
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn import functional as F

from atldiff.config import EMOTION_DIM, EMOTIONS
from atldiff.media.speech import Speech
from atldiff.speech.context_gate import ContextGate
from atldiff.speech.emotion_recogniser import EmotionRecogniser
from atldiff.speech.features import SpeechFeatures, encode_speech, encode_window
from atldiff.speech.mel import MEL_BANDS, LogMel
from atldiff.speech.phonetic_encoder import PhoneticEncoder


class StarterSpeechEncoder(ModelMixin, ConfigMixin):
    """The compact encoder: about 2.3 million weights, 50 times faster than real time on one core.

    Acoustic features: the standardised outputs of the phonetic Conformer's `taps` blocks, then
    the log-mel spectrum (two columns averaged).

    Args:
        emotions: names of the emotions.
        width, layers, heads, kernel, symbols: of the phonetic Conformer.
        taps: which of its blocks are handed on.
        bilabials: which of its symbols are a p, b or m.
        emotion_width, emotion_layers: of the emotion recogniser.
        emotion_dim: width of the emotion embedding e.
    """

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
        self.eval()  # ready for use; training switches its part to train mode

    @property
    def feature_dim(self) -> int:
        """Width D of the acoustic features."""
        return self.config.width * len(self.config.taps) + MEL_BANDS

    def acoustic_features(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Levelled samples (B, n) -> acoustic features (B, n // 320 + 1, D), probability of a bilabial."""
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
        """Samples (B, n) at 16 kHz, at any loudness, as one window -> their features."""
        return encode_window(self, samples)

    @torch.no_grad()
    def encode(self, speech: Speech, emotion: str | None = None, waveform: bool = False) -> SpeechFeatures:
        """Features of a recording of any length (B = 1), see `encode_speech`."""
        return encode_speech(self, speech, emotion, waveform)
