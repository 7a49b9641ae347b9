"""Context Domain (Sec. 2.1): speech weighted by its emotion, carried on in time."""

import torch
from torch import Tensor, nn

from atldiff.speech.global_domain import GlobalDomain, LandmarkMaps


class ContextDomain(nn.Module):
    """The emotion-aware domain: a branch shaped like the Global Domain and two LSTMs (face, mouth)."""

    def __init__(self, width: int, heads: int, layers: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.branch = GlobalDomain(width, heads, layers, channels, dropout)
        self.face = nn.LSTM(width, width // 2, 2, batch_first=True, bidirectional=True, dropout=dropout)
        self.mouth = nn.LSTM(width, width // 2, 2, batch_first=True, bidirectional=True, dropout=dropout)
        self.maps = LandmarkMaps(width, channels)

    def forward(self, speech: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Speech (B, F, width), identity (B, 68, 2) face units -> face and mouth maps, 2 x channels."""
        branch = self.branch(speech, identity)
        recurrent = self.maps(self.face(speech)[0], self.mouth(speech)[0])
        face, mouth = (torch.cat(pair, dim=1) for pair in zip(branch, recurrent, strict=True))
        return face, mouth
