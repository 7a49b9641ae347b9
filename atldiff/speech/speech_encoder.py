"""Speech -> SpeechFeatures: what is said (acoustic), how (emotion), and both (context; Sec. 2.1, Eq. 2).

The paper's encoder is wav2vec2 for what is said and a Conformer emotion recogniser for how
(`Wav2Vec2SpeechEncoder`); the starter's has a small phonetic Conformer in wav2vec2's place
(`StarterSpeechEncoder`). Features come at 50 Hz; feature i is centred on i / 50 seconds.
"""

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Wav2Vec2Config, Wav2Vec2ConformerConfig, Wav2Vec2Model
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder

from atldiff.config import EMOTION_DIM
from atldiff.errors import InputError
from atldiff.media.audio import Speech
from atldiff.speech.phonetic_encoder import (
    FEATURE_HOP,
    MEL_BANDS,
    ContextGate,
    LogMel,
    PhoneticEncoder,
    level,
    windows,
)

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


@dataclass(frozen=True, eq=False)
class SpeechFeatures:
    """Features of a recording.

    Attributes:
        acoustic: (B, T, D) what is said, 50 Hz.
        context: (B, T, D) acoustic times the emotion's gate.
        emotion: (B, E) how it is said, each value in (-1, 1).
    """

    acoustic: Tensor
    context: Tensor
    emotion: Tensor


class EmotionRecogniser(nn.Module):
    """Conformer emotion recogniser (Sec. 2.1): log-mel -> embedding -> one score an emotion.

    Args:
        emotions: how many emotions it tells apart.
        width, layers: of the Conformer, which sees features at 25 Hz.
        emotion_dim: width of the embedding e.
    """

    def __init__(self, emotions: int, width: int, layers: int, emotion_dim: int) -> None:
        super().__init__()
        config = Wav2Vec2ConformerConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=2 * width,
            conv_depthwise_kernel_size=15,
            position_embeddings_type=None,
            layerdrop=0.0,
            attn_implementation="eager",
        )
        halves = [nn.Conv1d(bands, width, 5, stride=2, padding=2) for bands in (MEL_BANDS, width)]
        self.stem = nn.Sequential(halves[0], nn.GELU(), halves[1], nn.GELU())
        self.conformer = Wav2Vec2ConformerEncoder(config)
        self.attention = nn.Linear(width, 1)
        self.embed = nn.Sequential(nn.Linear(2 * width, emotion_dim), nn.Tanh())
        self.head = nn.Linear(emotion_dim, emotions)
        self.register_buffer("prototypes", torch.zeros(emotions, emotion_dim))

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel (B, 80, M) -> embedding (B, emotion_dim), each value in (-1, 1).

        Loudness and the microphone's colour are taken out: each band has mean 0 over the recording.
        """
        mel = mel.clamp_min(-14) - mel.clamp_min(-14).mean(-1, keepdim=True)
        x = self.conformer(self.stem(mel / 4).transpose(1, 2)).last_hidden_state
        weights = self.attention(x).softmax(1)
        mean = (weights * x).sum(1)
        spread = ((weights * x.square()).sum(1) - mean.square()).clamp_min(1e-5).sqrt()
        return self.embed(torch.cat([mean, spread], -1))


class StarterSpeechEncoder(ModelMixin, ConfigMixin):
    """The compact encoder: about 2.3 million weights, 50 times faster than real time on one core.

    Acoustic features: the standardised outputs of the phonetic Conformer's `taps` blocks, then
    the log-mel spectrum (two columns averaged).

    Args:
        emotions: names of the emotions.
        width, layers, heads, kernel, symbols: of the phonetic Conformer.
        taps: which of its blocks are handed on.
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
        emotion_width: int = 64,
        emotion_layers: int = 2,
        emotion_dim: int = EMOTION_DIM,
    ) -> None:
        super().__init__()
        self.mel = LogMel()
        self.phonetic = PhoneticEncoder(width, layers, heads, kernel, symbols).requires_grad_(False)
        self.emotion = EmotionRecogniser(len(emotions), emotion_width, emotion_layers, emotion_dim)
        self.gate = ContextGate(emotion_dim, self.feature_dim)
        self.register_buffer("mean", torch.zeros(self.feature_dim))
        self.register_buffer("std", torch.ones(self.feature_dim))
        self.eval()  # ready for use; training switches its part to train mode

    @property
    def feature_dim(self) -> int:
        """Width D of the acoustic features."""
        return self.config.width * len(self.config.taps) + MEL_BANDS

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names of the emotions."""
        return tuple(self.config.emotions)

    def emotion_embedding(self, name: str) -> Tensor:
        """The emotion's prototype (E,): the mean embedding of the training recordings with that label.

        Raises:
            InputError: no such emotion.
        """
        if name not in self.emotions:
            raise InputError(f"The emotion {name!r} is not known", f"Use one of {', '.join(self.emotions)}")
        return self.emotion.prototypes[self.emotions.index(name)]

    def hear(self, samples: Tensor) -> Tensor:
        """Levelled samples (B, n) -> acoustic features (B, n // 320 + 1, D)."""
        mel = self.mel(samples)
        blocks = self.phonetic(mel)
        count = blocks[0].shape[1]
        pairs = (
            F.pad(mel, (0, 2 * count - mel.shape[-1]), mode="replicate").unflatten(-1, (count, 2)).mean(-1)
        )
        features = torch.cat([blocks[tap] for tap in self.config.taps] + [pairs.transpose(1, 2)], -1)
        return (features - self.mean) / self.std

    def feel(self, samples: Tensor) -> Tensor:
        """Levelled samples (B, n) -> emotion embedding (B, E)."""
        return self.emotion(self.mel(samples))

    def forward(self, samples: Tensor) -> SpeechFeatures:
        """Samples (B, n) at 16 kHz, at any loudness, as one window -> their features."""
        samples = level(samples)
        acoustic, emotion = self.hear(samples), self.feel(samples)
        return SpeechFeatures(acoustic, self.gate(acoustic, emotion), emotion)

    @torch.no_grad()
    def encode(self, speech: Speech, emotion: str | None = None) -> SpeechFeatures:
        """Features of a recording of any length (B = 1), in windows: memory does not grow but for the result.

        Args:
            emotion: name of an emotion to use instead of the one that is heard.

        Raises:
            InputError: no such emotion.
        """
        samples = level(torch.from_numpy(speech.samples).to(self.device)[None])
        acoustic, embedding, total = [], 0.0, 0
        for heard, kept in windows(samples.shape[-1]):
            window = samples[:, heard]
            acoustic.append(self.hear(window)[:, kept])
            embedding, total = embedding + self.feel(window) * window.shape[-1], total + window.shape[-1]
        embedding = embedding / total if emotion is None else self.emotion_embedding(emotion)[None]
        joined = torch.cat(acoustic, 1)
        return SpeechFeatures(joined, self.gate(joined, embedding), embedding)

    @torch.no_grad()
    def classify(self, samples: Tensor) -> Tensor:
        """Samples (B, n) -> probability (B, len(emotions)) of each emotion."""
        return self.emotion.head(self.feel(level(samples))).softmax(-1)


class Wav2Vec2SpeechEncoder(ModelMixin, ConfigMixin):
    """The paper's encoder: frozen wav2vec2 features and the Conformer emotion recogniser (Sec. 2.1).

    Args:
        wav2vec2: keyword arguments of `transformers.Wav2Vec2Config`; None = wav2vec2-base (768-d).
        emotions, emotion_width, emotion_layers, emotion_dim: as in `StarterSpeechEncoder`.
    """

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
        self.mel = LogMel()
        self.model = Wav2Vec2Model(Wav2Vec2Config(**(wav2vec2 or {}))).eval().requires_grad_(False)
        self.emotion = EmotionRecogniser(len(emotions), emotion_width, emotion_layers, emotion_dim)
        self.gate = ContextGate(emotion_dim, self.feature_dim)
        self.eval()

    @classmethod
    def from_hub(cls, name: str = "facebook/wav2vec2-base-960h") -> "Wav2Vec2SpeechEncoder":
        """wav2vec2 from the hub, with an untrained emotion recogniser.

        Raises:
            InputError: the hub cannot be reached and the weights are not in its cache.
        """
        try:
            wav2vec2 = Wav2Vec2Model.from_pretrained(name)
        except OSError as error:
            raise InputError(
                f"The weights of {name} are not on this machine and the hub cannot be reached",
                "Connect to the internet once, or use the starter preset",
            ) from error
        encoder = cls(wav2vec2.config.to_diff_dict())
        encoder.model.load_state_dict(wav2vec2.state_dict())
        return encoder

    @property
    def feature_dim(self) -> int:
        """Width D of the acoustic features."""
        return self.model.config.hidden_size

    def hear(self, samples: Tensor) -> Tensor:
        """Levelled samples (B, n) -> acoustic features (B, n // 320 + 1, D).

        wav2vec2's feature i hears samples 320 i to 320 i + 400; padding centres it on 320 i.
        """
        count = samples.shape[-1] // FEATURE_HOP + 1
        normal = (samples - samples.mean(-1, keepdim=True)) / (samples.std(-1, keepdim=True) + 1e-7)
        padded = F.pad(normal, (200, (count - 1) * FEATURE_HOP + 400 - 200 - samples.shape[-1]))
        return self.model(padded).last_hidden_state

    # Everything but the acoustic features is as in the starter.
    emotions = StarterSpeechEncoder.emotions
    emotion_embedding = StarterSpeechEncoder.emotion_embedding
    feel = StarterSpeechEncoder.feel
    forward = StarterSpeechEncoder.forward
    encode = StarterSpeechEncoder.encode
    classify = StarterSpeechEncoder.classify
