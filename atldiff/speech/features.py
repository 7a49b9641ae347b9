"""Speech features, the input of the networks: acoustic, emotion, and context, which joins both (Sec. 2.1)."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from atldiff.media.speech import Speech
from atldiff.speech.context_gate import ContextGate
from atldiff.speech.emotion_recogniser import EmotionRecogniser
from atldiff.speech.mel import LogMel, cut_windows, to_training_level


@dataclass(frozen=True, eq=False)
class SpeechFeatures:
    """Features of a recording; feature i is centred on i / 50 seconds.

    Attributes:
        acoustic: (B, T, D) at 50 Hz, the phonetic content.
        context: (B, T, D) at 50 Hz, `acoustic` times the emotion's gate (Eq. 2).
        emotion: (B, E) in (-1, 1), the emotion embedding e: the voice's, or that of an emotion named instead.
        bilabial: (B, T) in [0, 1], probability of a p, b or m; None: the encoder recognises no phonemes.
        samples: (B, n) at 16 kHz, the levelled signal; None: not requested.
        heard: (B, E) in (-1, 1), the voice's own embedding, whatever is named; None: not computed.
    """

    acoustic: Tensor
    context: Tensor
    emotion: Tensor
    bilabial: Tensor | None = None
    samples: Tensor | None = None
    heard: Tensor | None = None


class SpeechEncoder(Protocol):
    """The interface of an encoder for `encode_window` and `encode_speech`."""

    mel: LogMel
    emotion: EmotionRecogniser
    gate: ContextGate
    device: torch.device

    def acoustic_features(self, samples: Tensor) -> tuple[Tensor, Tensor | None]:
        """Computes the acoustic features of levelled samples.

        Args:
            samples: (B, n) at 16 kHz.

        Returns:
            Acoustic features (B, T, D), T = n // 320 + 1, and the probability (B, T) of a bilabial; None: the
            encoder recognises no phonemes.
        """


def encode_window(encoder: SpeechEncoder, samples: Tensor) -> SpeechFeatures:
    """Encodes samples (B, n) at 16 kHz, at any loudness, as one window."""
    samples = to_training_level(samples)
    acoustic, bilabial = encoder.acoustic_features(samples)
    emotion = encoder.emotion(encoder.mel(samples))
    return SpeechFeatures(acoustic, encoder.gate(acoustic, emotion), emotion, bilabial)


def encode_speech(
    encoder: SpeechEncoder, speech: Speech, emotion: str | None = None, waveform: bool = False
) -> SpeechFeatures:
    """Encodes a recording of any length (B = 1) in windows; one window is in memory at a time.

    Args:
        encoder: of either kind.
        speech: the recording.
        emotion: name of an emotion that replaces the emotion of the voice; None: the voice's.
        waveform: add the samples, for a landmark generator that reads the raw signal.

    Raises:
        InputError: the emotion is unknown.
    """
    samples = to_training_level(torch.from_numpy(speech.samples).to(encoder.device)[None])
    parts, bilabials, embeddings, lengths = [], [], [], []
    for span, core in cut_windows(samples.shape[-1]):
        window = samples[:, span]
        features, bilabial = encoder.acoustic_features(window)
        parts.append(features[:, core])
        if bilabial is not None:
            bilabials.append(bilabial[:, core])
        embeddings.append(encoder.emotion(encoder.mel(window)) * window.shape[-1])
        lengths.append(window.shape[-1])
    acoustic = torch.cat(parts, 1)
    heard = torch.stack(embeddings).sum(0) / sum(lengths)
    embedding = heard if emotion is None else encoder.emotion.prototype(emotion)[None]
    bilabial = torch.cat(bilabials, 1) if bilabials else None
    raw = samples if waveform else None
    return SpeechFeatures(acoustic, encoder.gate(acoustic, embedding), embedding, bilabial, raw, heard)
