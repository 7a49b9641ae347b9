"""Context Domain (Sec. 2.1): the branch that reads emotion-weighted speech."""

import torch
from torch import Tensor, nn

from atldiff.speech.global_domain import GlobalDomain, LandmarkMaps


class ContextDomain(nn.Module):
    """Context Domain (Sec. 2.1): a branch built like the Global Domain, and two LSTMs for face and mouth.

    Args:
        width: features of each frame.
        heads: of the branch's attention.
        layers: of each Transformer in the branch.
        channels: of the branch's maps and of the LSTMs' maps; the output has twice as many.
        dropout: probability in [0, 1).
    """

    def __init__(self, width: int, heads: int, layers: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.branch = GlobalDomain(width, heads, layers, channels, dropout)
        self.face = nn.LSTM(width, width // 2, 2, batch_first=True, bidirectional=True, dropout=dropout)
        self.mouth = nn.LSTM(width, width // 2, 2, batch_first=True, bidirectional=True, dropout=dropout)
        self.maps = LandmarkMaps(width, channels)

    def forward(self, speech: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the maps of face and mouth.

        Args:
            speech: (B, F, width), the context features at 30 fps.
            identity: (B, 68, 2) the portrait's landmarks in face units.

        Returns:
            Face map (B, 2 channels, 68, F) and mouth map (B, 2 channels, 20, F).
        """
        branch = self.branch(speech, identity)
        recurrent = self.maps(self.face(speech)[0], self.mouth(speech)[0])
        face, mouth = (torch.cat(pair, dim=1) for pair in zip(branch, recurrent, strict=True))
        return face, mouth
