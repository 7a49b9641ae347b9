"""The input of the Context Domain (Eq. 2): acoustic features weighted by the emotion."""

import torch
from torch import Tensor, nn


class ContextGate(nn.Module):
    """Acoustic features times one weight in (0, 2) a channel, a function of the emotion (Eq. 2).

    The released code multiplies by a softmax over the batch axis, which is 1 for one recording.

    Args:
        emotion_dim: width E of the emotion embedding.
        feature_dim: width D of the acoustic features.
    """

    def __init__(self, emotion_dim: int, feature_dim: int) -> None:
        super().__init__()
        self.weight = nn.Linear(emotion_dim, feature_dim)
        nn.init.normal_(self.weight.weight, std=0.01)
        nn.init.zeros_(self.weight.bias)

    def forward(self, acoustic: Tensor, emotion: Tensor) -> Tensor:
        """Acoustic features (B, T, D) and embedding (B, E) -> context features (B, T, D)."""
        return acoustic * 2 * torch.sigmoid(self.weight(emotion))[:, None]
