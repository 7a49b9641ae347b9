"""KFusion (Sec. 2.1, Eq. 3-4): fuses both domains' face and mouth features; a KAN predicts the landmarks.

A feature map is (B, channels, points, F): the points of the face are its rows, video frames its
columns. The KAN stands on pykan's splines alone (`kan.spline`). pykan's own `KAN` class reseeds every
generator, writes files and cannot live inside a ModelMixin; its `KANLayer` is the one here without a bias,
but no part of it can be imported without all of the package's dependencies.
"""

from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.landmarks import MOUTH, NUM_LANDMARKS

GRID_INTERVALS, SPLINE_ORDER = 5, 3


@cache
def splines() -> ModuleType:
    """The splines of pykan (`kan.spline`), loaded by its file, which needs torch alone.

    `import kan.spline` would run the package's start as well: pandas, sympy, scikit-learn and
    matplotlib, several seconds for nothing.
    """
    package = find_spec("kan")
    assert package is not None and package.submodule_search_locations, "pykan is not installed"
    file = Path(package.submodule_search_locations[0]) / "spline.py"
    spec = spec_from_file_location("kan_spline", file)
    assert spec is not None and spec.loader is not None, file
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class KANLayer(nn.Module):
    """One Kolmogorov-Arnold layer: (N, width_in) in [-1, 1] -> (N, width_out).

    Every edge has its own function: a weighted SiLU plus a B-spline on a fixed grid over [-1, 1].
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        knots = torch.linspace(-1, 1, GRID_INTERVALS + 1).repeat(width_in, 1)
        self.register_buffer("grid", splines().extend_grid(knots, k_extend=SPLINE_ORDER))
        self.base = nn.Linear(width_in, width_out)
        basis = GRID_INTERVALS + SPLINE_ORDER
        self.coefficients = nn.Parameter(0.1 * torch.randn(width_in, width_out, basis) / width_in**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width_in) -> (N, width_out)."""
        basis = splines().B_batch(x, self.grid, k=SPLINE_ORDER)
        return self.base(F.silu(x)) + torch.einsum("nib,iob->no", basis.to(x.dtype), self.coefficients)


class KANHead(nn.Module):
    """Two KAN layers: features (B, F, width_in) -> (B, F, width_out)."""

    def __init__(self, width_in: int, hidden: int, width_out: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Linear(width_in, hidden), nn.LayerNorm(hidden))
        self.first, self.second = KANLayer(hidden, hidden), KANLayer(hidden, width_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, width_in) -> (B, F, width_out)."""
        batch, frames, _ = x.shape
        # Splines live on [-1, 1]: the squeeze keeps every value on the grid.
        x = torch.tanh(self.reduce(x).flatten(0, 1) / 2)
        return self.second(torch.tanh(self.first(x))).view(batch, frames, -1)


class MLPHead(nn.Module):
    """The ablation's head, `with MLP` in Table 3: (B, F, width_in) -> (B, F, width_out)."""

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
    """Block R of Eq. 4: 3x3, 1x1, 3x3 convolutions over (points, frames)."""
    middle = max(4, channels_out // 2)
    return nn.Sequential(
        nn.Conv2d(channels_in, middle, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(middle, middle, 1),
        nn.GELU(),
        nn.Conv2d(middle, channels_out, 3, padding=1),
    )


def insert_mouth(face: Tensor, mouth: Tensor) -> Tensor:
    """Face map (B, C, 68, F) with its rows 48-67 replaced by the mouth map (B, C, 20, F)."""
    return torch.cat([face[:, :, : MOUTH.start], mouth], dim=2)


class KFusion(nn.Module):
    """Eq. 3-4: concatenated face and mouth maps -> one vector of `width_out` numbers a frame.

    The face map runs through block R with a residual path, the mouth map through block R alone;
    the mouth is inserted at its rows and the head reads each frame's whole column.

    Args:
        channels_in: channels of the concatenated maps.
        channels: channels after block R.
        hidden, width_out: of the head.
        head: "kan" or "mlp".
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
    """The ablation `w/o KFusion`: both maps of a frame, side by side, through one linear layer."""

    def __init__(self, channels_in: int, width_out: int) -> None:
        super().__init__()
        points = NUM_LANDMARKS + MOUTH.stop - MOUTH.start
        self.out = nn.Linear(channels_in * points, width_out)

    def forward(self, face: Tensor, mouth: Tensor) -> Tensor:
        """Maps (B, channels_in, 68, F) and (B, channels_in, 20, F) -> (B, F, width_out)."""
        return self.out(torch.cat([face, mouth], dim=2).permute(0, 3, 1, 2).flatten(2))
