"""KFusion (Sec. 2.1, Eq. 3-4): fuses the face and mouth features of both domains; a KAN gives the landmarks.

- A feature map is (B, channels, points, F): its rows are points of the face, its columns video frames.
- The KAN (`kan.KANHead`) uses pykan's B-splines only. pykan's class `KAN` reseeds every generator, writes
  files and does not fit into a ModelMixin. Its `KANLayer` has no bias and needs all of pykan's dependencies.
"""

import torch
from torch import Tensor, nn

from atldiff.landmarks import MOUTH, NUM_LANDMARKS
from atldiff.speech.kan import KANHead


class MLPHead(nn.Module):
    """The head of the ablation `with MLP` (Table 3): (B, F, width_in) -> (B, F, width_out)."""

    def __init__(self, width_in: int, hidden: int, width_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width_in, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, width_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, width_in) -> (B, F, width_out)."""
        return self.layers(x)


HEADS: dict[str, type[nn.Module]] = {"kan": KANHead, "mlp": MLPHead}


def bottleneck(channels_in: int, channels_out: int) -> nn.Sequential:
    """Block R (Eq. 4): 3x3, 1x1 and 3x3 convolutions over (points, frames)."""
    middle = max(4, channels_out // 2)
    return nn.Sequential(
        nn.Conv2d(channels_in, middle, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(middle, middle, 1),
        nn.GELU(),
        nn.Conv2d(middle, channels_out, 3, padding=1),
    )


def insert_mouth(face: Tensor, mouth: Tensor) -> Tensor:
    """Replaces rows 48-67 of the face map (B, C, 68, F) by the mouth map (B, C, 20, F) (Eq. 4)."""
    return torch.cat([face[:, :, : MOUTH.start], mouth], dim=2)


class KFusion(nn.Module):
    """Concatenated face and mouth maps (Eq. 3) -> `width_out` numbers a frame (Eq. 4).

    The face map passes block R with a residual path, the mouth map passes block R. The mouth replaces its
    rows in the face map, and the head reads one column a frame.

    Args:
        channels_in: channels of the concatenated maps.
        channels: channels after block R.
        hidden: width of the head.
        width_out: numbers predicted a frame.
        head: "kan" or "mlp".
        dropout: probability in [0, 1).
    """

    def __init__(
        self, channels_in: int, channels: int, hidden: int, width_out: int, head: str, dropout: float
    ) -> None:
        super().__init__()
        self.face = bottleneck(channels_in, channels)
        self.face_path = nn.Conv2d(channels_in, channels, 1)
        self.mouth = bottleneck(channels_in, channels)
        self.dropout = nn.Dropout(dropout)
        self.head = HEADS[head](channels * NUM_LANDMARKS, hidden, width_out)

    def forward(self, face: Tensor, mouth: Tensor) -> Tensor:
        """Maps (B, channels_in, 68, F) and (B, channels_in, 20, F) -> (B, F, width_out)."""
        fused = insert_mouth(self.face_path(face) + self.face(face), self.mouth(mouth))
        return self.head(self.dropout(fused.permute(0, 3, 1, 2).flatten(2)))


class PlainFusion(nn.Module):
    """The ablation `w/o KFusion` (Table 3): one linear layer reads both maps of a frame."""

    def __init__(self, channels_in: int, width_out: int) -> None:
        super().__init__()
        points = NUM_LANDMARKS + MOUTH.stop - MOUTH.start
        self.out = nn.Linear(channels_in * points, width_out)

    def forward(self, face: Tensor, mouth: Tensor) -> Tensor:
        """Maps (B, channels_in, 68, F) and (B, channels_in, 20, F) -> (B, F, width_out)."""
        return self.out(torch.cat([face, mouth], dim=2).permute(0, 3, 1, 2).flatten(2))
