"""Blocks of the 3D Identity U-Net (Sec. 2.3), on tensors (batch, channels, frames, height, width).

- Norms and 2D convolutions treat each frame by itself.
- A convolution over time starts at zero, so an untrained block does not mix frames.
"""

from collections.abc import Sequence
from math import isqrt

from torch import Tensor, nn
from torch.nn import functional as F


class FrameGroupNorm(nn.GroupNorm):
    """A group norm with separate statistics for each frame."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, H, W) -> same."""
        batch, channels, frames, height, width = x.shape
        flat = x.permute(0, 2, 1, 3, 4).reshape(batch * frames, channels, height, width)
        normed = super().forward(flat)
        return normed.view(batch, frames, channels, height, width).permute(0, 2, 1, 3, 4)


class FrameConv(nn.Conv2d):
    """A 2D convolution of each frame.

    It runs in the CPU's 2D kernels, which are faster than a 3D convolution with kernel (1, 3, 3). In
    channels_last_3d memory its reshapes are views.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, F, H, W) -> (B, C_out, F, H / stride, W / stride)."""
        batch, channels, frames, height, width = x.shape
        flat = x.transpose(1, 2).reshape(batch * frames, channels, height, width)
        return super().forward(flat).unflatten(0, (batch, frames)).transpose(1, 2)


class TimeConv(nn.Conv2d):
    """A residual convolution over neighbouring frames, pixel by pixel; untrained it adds zero."""

    bias: Tensor

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, (kernel, 1), padding=(kernel // 2, 0))
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, H, W) -> same."""
        return x + super().forward(x.flatten(3)).view_as(x)


def frame_conv(channels_in: int, channels_out: int, stride: int = 1) -> FrameConv:
    """Makes a 3 x 3 convolution of each frame, which divides its size by the stride."""
    return FrameConv(channels_in, channels_out, 3, stride=stride, padding=1)


class ResidualBlock3D(nn.Module):
    """A 3D residual block; the timestep embedding scales and shifts the second norm.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        embedding: width of the timestep embedding.
        temporal_kernel: frames of the second convolution; 1 = both convolutions are 2D.
        separable: whether a 2D convolution and one over time replace the 3D one, at a third of its cost.
        temporal_first: whether the first convolution is 3D too (the paper's block).
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
        depth = 1 if separable else temporal_kernel  # frames of a 3D convolution
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
    """Makes a convolution of 3 x 3 pixels and `frames` frames that keeps the size."""
    if frames == 1:
        return frame_conv(channels_in, channels_out)
    return nn.Conv3d(channels_in, channels_out, (frames, 3, 3), padding=(frames // 2, 1, 1))


def identity_map(features: Tensor, channels: int, size: Sequence[int]) -> Tensor:
    """Reshapes an identity map for latents of D / k^2 = `channels` channels (Sec. 2.3).

    Each cell of the map becomes k x k cells: the paper's (2048, 4, 4) becomes (128, 16, 16). The result is
    enlarged to the latents' size.

    Args:
        features: (B, D, h, w) identity map.
        channels: of the latents.
        size: (height, width) of the latents.

    Returns:
        (B, channels, height, width).
    """
    maps = F.pixel_shuffle(features, identity_patch(features.shape[1], channels))
    return F.interpolate(maps, tuple(size), mode="nearest")


def identity_patch(identity_dim: int, channels: int) -> int:
    """The factor k of `identity_map`; fails unless identity_dim = channels k^2."""
    patch = isqrt(identity_dim // channels)
    assert identity_dim == channels * patch**2, (identity_dim, channels)
    return patch


class Upsample(nn.Module):
    """Changes the number of channels, then doubles height and width (nearest neighbour)."""

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
    """(B, C patch^2, F, H, W) -> (B, C, F, H patch, W patch), the inverse of `space_to_depth`."""
    return F.pixel_shuffle(x.transpose(1, 2), patch).transpose(1, 2)
