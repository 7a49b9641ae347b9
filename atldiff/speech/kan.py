"""Kolmogorov-Arnold layers over pykan's B-splines."""

from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GRID_INTERVALS, SPLINE_ORDER = 5, 3


@cache
def splines() -> ModuleType:
    """Loads the B-splines of pykan (`kan.spline`) from their file, which needs only torch.

    `import kan.spline` also imports pandas, sympy, scikit-learn and matplotlib, for several seconds.
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
    """One Kolmogorov-Arnold layer: (N, width_in) in [-1, 1] -> (N, width_out) (the KAN of Eq. 4).

    Each edge has a function of its own: a weighted SiLU plus a B-spline on a fixed grid over [-1, 1].
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
    """Two KAN layers: features (B, F, width_in) -> (B, F, width_out) (the KAN of Eq. 4).

    A linear layer reduces the features to `hidden` values first; tanh keeps all values on the splines' grid.
    """

    def __init__(self, width_in: int, hidden: int, width_out: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Linear(width_in, hidden), nn.LayerNorm(hidden))
        self.first, self.second = KANLayer(hidden, hidden), KANLayer(hidden, width_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, width_in) -> (B, F, width_out)."""
        batch, frames, _ = x.shape
        x = torch.tanh(self.reduce(x).flatten(0, 1) / 2)
        return self.second(torch.tanh(self.first(x))).view(batch, frames, -1)
