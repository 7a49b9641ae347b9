"""Blocks of the 3D Identity U-Net, on tensors (batch, channels, frames, height, width)."""

from collections.abc import Sequence
from math import isqrt

from torch import Tensor, nn
from torch.nn import functional as F


class FrameGroupNorm(nn.GroupNorm):
    """Group norm of each frame by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, H, W) -> same."""
        batch, channels, frames, height, width = x.shape
        flat = x.permute(0, 2, 1, 3, 4).reshape(batch * frames, channels, height, width)
        normed = super().forward(flat)
        return normed.view(batch, frames, channels, height, width).permute(0, 2, 1, 3, 4)


class FrameConv(nn.Conv2d):
    """A 2D convolution of each frame: no slower than a (1, 3, 3) one, and in the CPU's faster kernels.

    In channels_last_3d memory all of its reshapes are views.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, F, H, W) -> (B, C_out, F, H / stride, W / stride)."""
        batch, channels, frames, height, width = x.shape
        flat = x.transpose(1, 2).reshape(batch * frames, channels, height, width)
        return super().forward(flat).unflatten(0, (batch, frames)).transpose(1, 2)


class TimeConv(nn.Conv2d):
    """Adds a convolution over neighbouring frames, pixel by pixel; untrained it adds nothing."""

    bias: Tensor

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, (kernel, 1), padding=(kernel // 2, 0))
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, H, W) -> same."""
        return x + super().forward(x.flatten(3)).view_as(x)


def frame_conv(channels_in: int, channels_out: int, stride: int = 1) -> FrameConv:
    """A 3 x 3 convolution of each frame that keeps its size, or divides it by the stride."""
    return FrameConv(channels_in, channels_out, 3, stride=stride, padding=1)


class ResidualBlock3D(nn.Module):
    """3D residual block; the timestep-and-emotion embedding scales and shifts its middle.

    Args:
        temporal_kernel: frames that the second convolution sees; 1 = both are 2D.
        separable: a 2D convolution and one over time in the 3D one's place, a third of the arithmetic.
        temporal_first: the first convolution sees as many frames (the paper's block); else it sees one.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        embedding: int,
        temporal_kernel: int,
        separable: bool,
        temporal_first: bool = False,
    ) -> None:
        super().__init__()
        depth = 1 if separable else temporal_kernel  # frames that a 3D convolution sees
        self.norm1 = FrameGroupNorm(8, channels_in)
        self.conv1 = _conv(channels_in, channels_out, depth if temporal_first else 1)
        self.embed = nn.Linear(embedding, 2 * channels_out)
        self.norm2 = FrameGroupNorm(8, channels_out)
        self.conv2 = _conv(channels_out, channels_out, depth)
        mixes = separable and temporal_kernel > 1
        self.time = TimeConv(channels_out, temporal_kernel) if mixes else nn.Identity()
        same = channels_in == channels_out
        self.skip = nn.Identity() if same else FrameConv(channels_in, channels_out, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Latents (B, C_in, F, H, W) and embedding (B, E) -> (B, C_out, F, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.embed(F.silu(embedding))[:, :, None, None, None].chunk(2, dim=1)
        h = self.norm2(h) * (1 + scale) + shift
        return self.time(self.skip(x) + self.conv2(F.silu(h)))


def _conv(channels_in: int, channels_out: int, frames: int) -> nn.Module:
    """A convolution of 3 x 3 pixels and so many frames that keeps the size."""
    if frames == 1:
        return frame_conv(channels_in, channels_out)
    return nn.Conv3d(channels_in, channels_out, (frames, 3, 3), padding=(frames // 2, 1, 1))


def identity_map(features: Tensor, channels: int, size: Sequence[int]) -> Tensor:
    """An identity map (B, D, h, w) reshaped for latents of D / k^2 = `channels` channels (Sec. 2.3).

    Each place of the map becomes k x k places: the paper's (2048, 4, 4) becomes (128, 16, 16). It is then
    enlarged to the latents' size.

    Returns:
        (B, channels, *size).
    """
    maps = F.pixel_shuffle(features, identity_patch(features.shape[1], channels))
    return F.interpolate(maps, tuple(size), mode="nearest")


def identity_patch(identity_dim: int, channels: int) -> int:
    """The k of `identity_map`."""
    patch = isqrt(identity_dim // channels)
    assert identity_dim == channels * patch**2, (identity_dim, channels)
    return patch


class Upsample(nn.Module):
    """Changes the channels, then doubles height and width (nearest)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = FrameConv(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, F, H, W) -> (B, C_out, F, 2 H, 2 W)."""
        return F.interpolate(self.conv(x), scale_factor=(1.0, 2.0, 2.0), mode="nearest")


def space_to_depth(x: Tensor, patch: int) -> Tensor:
    """(B, C, F, H, W) -> (B, C patch^2, F, H / patch, W / patch)."""
    return F.pixel_unshuffle(x.transpose(1, 2), patch).transpose(1, 2)


def depth_to_space(x: Tensor, patch: int) -> Tensor:
    """Inverse of `space_to_depth`."""
    return F.pixel_shuffle(x.transpose(1, 2), patch).transpose(1, 2)
