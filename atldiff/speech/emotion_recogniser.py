"""The Conformer emotion recogniser (Sec. 2.1) and its embedding e."""

import torch
from torch import Tensor, nn

from atldiff.errors import InputError
from atldiff.speech.emotion_conformer import EmotionConformer
from atldiff.speech.mel import MEL_BANDS

SURE = 0.9  # lowest probability of an emotion that is reported
UNUSED_WEIGHTS = [r"emotion\.conformer\.pos_conv_embed\."]  # of older checkpoints
# Whose voice stands for an emotion that a recogniser has not learnt.
NEAREST = {"calm": "neutral", "surprised": "fearful", "contempt": "disgust"}


class EmotionRecogniser(nn.Module):
    """Conformer emotion recogniser (Sec. 2.1): log-mel -> embedding e -> one score an emotion.

    Args:
        names: the emotions.
        width: features of the Conformer, which runs at 25 Hz.
        layers: blocks of the Conformer.
        emotion_dim: width of the embedding e.

    Attributes:
        prototypes: (emotions, emotion_dim), the mean embedding of each emotion's training recordings.
    """

    prototypes: Tensor

    def __init__(self, names: tuple[str, ...], width: int, layers: int, emotion_dim: int) -> None:
        super().__init__()
        self.names = tuple(names)
        halves = [nn.Conv1d(bands, width, 5, stride=2, padding=2) for bands in (MEL_BANDS, width)]
        self.stem = nn.Sequential(halves[0], nn.GELU(), halves[1], nn.GELU())
        self.conformer = EmotionConformer(width, layers)
        self.attention = nn.Linear(width, 1)
        self.embed = nn.Sequential(nn.Linear(2 * width, emotion_dim), nn.Tanh())
        self.head = nn.Linear(emotion_dim, len(names))
        self.register_buffer("prototypes", torch.zeros(len(names), emotion_dim))

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel (B, 80, M) -> embedding (B, emotion_dim), each value in (-1, 1).

        Each band is centred over the recording, which removes loudness and the microphone's colour.
        """
        mel = mel.clamp_min(-14) - mel.clamp_min(-14).mean(-1, keepdim=True)
        x = self.conformer(self.stem(mel / 4).transpose(1, 2))
        weights = self.attention(x).softmax(1)
        mean = (weights * x).sum(1)
        spread = ((weights * x.square()).sum(1) - mean.square()).clamp_min(1e-5).sqrt()
        return self.embed(torch.cat([mean, spread], -1))

    def prototype(self, name: str) -> Tensor:
        """The mean embedding (emotion_dim,) of an emotion's training recordings, or of NEAREST's.

        Raises:
            InputError: the emotion is unknown.
        """
        name = name if name in self.names else NEAREST.get(name, name)
        if name not in self.names:
            raise InputError(f"The emotion {name!r} is not known", f"Use one of {', '.join(self.names)}")
        return self.prototypes[self.names.index(name)]

    def classify(self, embedding: Tensor) -> str | None:
        """Names the emotion of an embedding (emotion_dim,); None: no emotion is more probable than `SURE`."""
        probability = self.head(embedding.to(self.head.weight)).softmax(-1)
        return self.names[int(probability.argmax())] if float(probability.max()) > SURE else None
