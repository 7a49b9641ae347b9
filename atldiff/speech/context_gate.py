"""The Context Domain's input (Eq. 2): what is said, weighed by how it is said."""

import torch
from torch import Tensor, nn


class ContextGate(nn.Module):
    """Eq. 2: acoustic features times a weight in (0, 2) a channel, learned from the emotion.

    The released code multiplies by a softmax over the batch axis, which is 1 for one recording.
    """

    def __init__(self, emotion_dim: int, feature_dim: int) -> None:
        super().__init__()
        self.weight = nn.Linear(emotion_dim, feature_dim)
        nn.init.normal_(self.weight.weight, std=0.01)
        nn.init.zeros_(self.weight.bias)

    def forward(self, acoustic: Tensor, emotion: Tensor) -> Tensor:
        """Features (B, T, D) and embedding (B, E) -> context features (B, T, D)."""
        return acoustic * 2 * torch.sigmoid(self.weight(emotion))[:, None]
