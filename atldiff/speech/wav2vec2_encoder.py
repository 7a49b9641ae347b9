"""The paper's speech encoder: frozen wav2vec2 and the Conformer emotion recogniser (Sec. 2.1)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from atldiff.config import EMOTION_DIM, EMOTIONS
from atldiff.diffusers_base import ConfigMixin, ModelMixin, register_to_config
from atldiff.loading import load_published
from atldiff.media.speech import Speech
from atldiff.speech.context_gate import ContextGate
from atldiff.speech.emotion_recogniser import UNUSED_WEIGHTS, EmotionRecogniser
from atldiff.speech.features import SpeechFeatures, encode_speech, encode_window
from atldiff.speech.mel import FEATURE_HOP, LogMel


class Wav2Vec2SpeechEncoder(ModelMixin, ConfigMixin):
    """Frozen wav2vec2 features and the Conformer emotion recogniser (Sec. 2.1).

    Args:
        wav2vec2: keyword arguments of `transformers.Wav2Vec2Config`; None = wav2vec2-base (768-d).
        emotions: names of the emotions.
        emotion_width: features of the emotion recogniser.
        emotion_layers: blocks of the emotion recogniser.
        emotion_dim: width of the emotion embedding e.
    """

    _keys_to_ignore_on_load_unexpected = UNUSED_WEIGHTS

    @register_to_config
    def __init__(
        self,
        wav2vec2: dict | None = None,
        emotions: tuple[str, ...] = EMOTIONS,
        emotion_width: int = 144,
        emotion_layers: int = 4,
        emotion_dim: int = EMOTION_DIM,
    ) -> None:
        super().__init__()
        from transformers import Wav2Vec2Config, Wav2Vec2Model  # it takes a second; the starter has none

        self.mel = LogMel()
        self.model = Wav2Vec2Model(Wav2Vec2Config(**(wav2vec2 or {}))).eval().requires_grad_(False)
        self.emotion = EmotionRecogniser(emotions, emotion_width, emotion_layers, emotion_dim)
        self.gate = ContextGate(emotion_dim, self.feature_dim)
        self.eval()

    @classmethod
    def from_hub(
        cls, name: str = "facebook/wav2vec2-base-960h", emotions: tuple[str, ...] = EMOTIONS
    ) -> "Wav2Vec2SpeechEncoder":
        """Loads wav2vec2 from the hub or a folder, with an untrained emotion recogniser.

        Raises:
            InputError: the hub cannot be reached, and its cache lacks the weights.
        """
        from transformers import Wav2Vec2Model

        wav2vec2 = load_published(Wav2Vec2Model, name)
        encoder = cls(wav2vec2.config.to_diff_dict(), emotions)
        encoder.model.load_state_dict(wav2vec2.state_dict())
        return encoder

    @property
    def feature_dim(self) -> int:
        """Width D of the acoustic features."""
        return self.model.config.hidden_size

    def acoustic_features(self, samples: Tensor) -> tuple[Tensor, None]:
        """Levelled samples (B, n) -> acoustic features (B, n // 320 + 1, D), and None: it names no phonemes.

        Feature i of wav2vec2 sees samples 320 i to 320 i + 400; padding centres it on 320 i.
        """
        count = samples.shape[-1] // FEATURE_HOP + 1
        normal = (samples - samples.mean(-1, keepdim=True)) / (samples.std(-1, keepdim=True) + 1e-7)
        centred = F.pad(normal, (200, (count - 1) * FEATURE_HOP + 400 - 200 - samples.shape[-1]))
        return self.model(centred).last_hidden_state, None

    def forward(self, samples: Tensor) -> SpeechFeatures:
        """Encodes samples (B, n) at 16 kHz, at any loudness, as one window."""
        return encode_window(self, samples)

    @torch.no_grad()
    def encode(self, speech: Speech, emotion: str | None = None, waveform: bool = False) -> SpeechFeatures:
        """Encodes a recording of any length (B = 1); see `encode_speech`."""
        return encode_speech(self, speech, emotion, waveform)
