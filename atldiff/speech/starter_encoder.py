"""Speech -> SpeechFeatures: what is said (acoustic), how (emotion), and both (context; Sec. 2.1, Eq. 2).

The paper's encoder is wav2vec2 for what is said and a Conformer emotion recogniser for how
(`wav2vec2_encoder`); the starter's has a small phonetic Conformer in wav2vec2's place
(`StarterSpeechEncoder`). Features come at 50 Hz; feature i is centred on i / 50 seconds.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn import functional as F

from atldiff.config import EMOTION_DIM, EMOTIONS
from atldiff.media.speech import Speech
from atldiff.speech.context_gate import ContextGate
from atldiff.speech.emotion_recogniser import EmotionRecogniser
from atldiff.speech.phonetic_encoder import (
    MEL_BANDS,
    LogMel,
    PhoneticEncoder,
    to_training_level,
    windows,
)


@dataclass(frozen=True, eq=False)
class SpeechFeatures:
    """Features of a recording.

    Attributes:
        acoustic: (B, T, D) what is said, 50 Hz.
        context: (B, T, D) acoustic times the emotion's gate.
        emotion: (B, E) how it is said, each value in (-1, 1).
        bilabial: (B, T) probability of a p, b or m; None: the encoder recognises none.
        samples: (B, n) levelled samples at 16 kHz, the raw signal; None: they were not asked for.
    """

    acoustic: Tensor
    context: Tensor
    emotion: Tensor
    bilabial: Tensor | None = None
    samples: Tensor | None = None


class SpeechEncoder(Protocol):
    """What `encode_window` and `encode_speech` need of an encoder."""

    mel: LogMel
    emotion: EmotionRecogniser
    gate: ContextGate
    device: torch.device

    def acoustic_features(self, samples: Tensor) -> tuple[Tensor, Tensor | None]:
        """Levelled samples (B, n) -> acoustic features (B, T, D), T = n // 320 + 1, and (B, T) the
        probability of a bilabial; None: the encoder recognises none.
        """


def encode_window(encoder: SpeechEncoder, samples: Tensor) -> SpeechFeatures:
    """Samples (B, n) at 16 kHz, at any loudness, as one window -> their features."""
    samples = to_training_level(samples)
    acoustic, bilabial = encoder.acoustic_features(samples)
    emotion = encoder.emotion(encoder.mel(samples))
    return SpeechFeatures(acoustic, encoder.gate(acoustic, emotion), emotion, bilabial)


def encode_speech(
    encoder: SpeechEncoder, speech: Speech, emotion: str | None = None, waveform: bool = False
) -> SpeechFeatures:
    """Features of a recording of any length (B = 1), in windows: memory does not grow but for the result.

    Args:
        emotion: name of an emotion to use instead of the one in the voice.
        waveform: the features carry the samples, for a landmark generator that hears them.

    Raises:
        InputError: no such emotion.
    """
    samples = to_training_level(torch.from_numpy(speech.samples).to(encoder.device)[None])
    acoustic, bilabials, embeddings, lengths = [], [], [], []
    for read, kept in windows(samples.shape[-1]):
        window = samples[:, read]
        features, bilabial = encoder.acoustic_features(window)
        acoustic.append(features[:, kept])
        if bilabial is not None:
            bilabials.append(bilabial[:, kept])
        if emotion is None:
            embeddings.append(encoder.emotion(encoder.mel(window)) * window.shape[-1])
            lengths.append(window.shape[-1])
    joined = torch.cat(acoustic, 1)
    if emotion is None:
        embedding = torch.stack(embeddings).sum(0) / sum(lengths)
    else:
        embedding = encoder.emotion.prototype(emotion)[None]
    bilabial = torch.cat(bilabials, 1) if bilabials else None
    raw = samples if waveform else None
    return SpeechFeatures(joined, encoder.gate(joined, embedding), embedding, bilabial, raw)


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
