"""What the networks get of speech: features in time, and the emotion in them."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from atldiff.media.speech import Speech
from atldiff.speech.context_gate import ContextGate
from atldiff.speech.emotion_recogniser import EmotionRecogniser
from atldiff.speech.mel import LogMel, to_training_level, windows


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
