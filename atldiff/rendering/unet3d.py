"""The 3D Identity U-Net (Sec. 2.3): denoises the residual of a window of frames.

Tensors are (batch, channels, frames, height, width). Group norms see one frame at a time, so
that a frame's statistics do not depend on the window it was rendered in.
"""

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.utils import BaseOutput
from torch import Tensor, nn
from torch.nn import functional as F

FRAME_CHANNELS = 3


@dataclass
class IdentityUNet3DOutput(BaseOutput):
    """sample: (B, 3, F, H, W) prediction of the clean residual r_0."""

    sample: Tensor


class FrameGroupNorm(nn.GroupNorm):
    """Group norm of each frame by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, H, W) -> same."""
        batch, channels, frames, height, width = x.shape
        flat = x.permute(0, 2, 1, 3, 4).reshape(batch * frames, channels, height, width)
        normed = super().forward(flat)
        return normed.view(batch, frames, channels, height, width).permute(0, 2, 1, 3, 4)


def conv3d(channels_in: int, channels_out: int, temporal_kernel: int, stride: int = 1) -> nn.Conv3d:
    """A (temporal_kernel, 3, 3) convolution that keeps the number of frames."""
    kernel, padding = (temporal_kernel, 3, 3), (temporal_kernel // 2, 1, 1)
    return nn.Conv3d(channels_in, channels_out, kernel, stride=(1, stride, stride), padding=padding)


class ResidualBlock3D(nn.Module):
    """3D residual block; the timestep-and-emotion embedding scales and shifts its middle.

    Its second convolution sees `temporal_kernel` frames, its first one: 1.6 times the arithmetic of
    a 2D block instead of 2.6 times, and every block still mixes neighbouring frames.
    """

    def __init__(self, channels_in: int, channels_out: int, embedding: int, temporal_kernel: int) -> None:
        super().__init__()
        self.norm1 = FrameGroupNorm(8, channels_in)
        self.conv1 = conv3d(channels_in, channels_out, 1)
        self.embed = nn.Linear(embedding, 2 * channels_out)
        self.norm2 = FrameGroupNorm(8, channels_out)
        self.conv2 = conv3d(channels_out, channels_out, temporal_kernel)
        same = channels_in == channels_out
        self.skip = nn.Identity() if same else nn.Conv3d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Latents (B, C_in, F, H, W) and embedding (B, E) -> (B, C_out, F, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.embed(F.silu(embedding))[:, :, None, None, None].chunk(2, dim=1)
        h = self.norm2(h) * (1 + scale) + shift
        return self.skip(x) + self.conv2(F.silu(h))


class Upsample(nn.Module):
    """Doubles height and width (nearest), then convolves."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = conv3d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, F, H, W) -> (B, C_out, F, 2 H, 2 W)."""
        return self.conv(F.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest"))


class IdentityUNet3DModel(ModelMixin, ConfigMixin):
    """Predicts r_0 from the noisy frames, the prior frames and the guide maps.

    The emotion embedding is added to the timestep embedding; the identity features are multiplied
    into the latents after the downsampling stage (Sec. 2.3). The paper's features multiply as they
    are; here they multiply as 1 + W f, so that an untrained W changes nothing.

    Args:
        block_out_channels: channels of the levels; height and width halve between them.
        layers_per_block: residual blocks a level.
        patch_size: space-to-depth factor before the first level (1 = the paper's layout).
        temporal_kernel: frames each 3D convolution sees; 1 = a 2D network (the spatial stage).
        guide_channels: guide maps a frame (0 = the paper's layout).
        identity_dim: width of the identity features.
        emotion_dim: width of the emotion embedding.
    """

    @register_to_config
    def __init__(
        self,
        block_out_channels: tuple[int, ...] = (32, 64, 128),
        layers_per_block: int = 1,
        patch_size: int = 1,
        temporal_kernel: int = 3,
        guide_channels: int = 0,
        identity_dim: int = 2048,
        emotion_dim: int = 64,
    ) -> None:
        super().__init__()
        first, last = block_out_channels[0], block_out_channels[-1]
        area, embedding = patch_size**2, 4 * first
        self.time_proj = Timesteps(first, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(first, embedding)
        self.emotion_embedding = nn.Linear(emotion_dim, embedding, bias=False)
        self.identity_gain = nn.Linear(identity_dim, last)
        self.conv_in = conv3d((2 * FRAME_CHANNELS + guide_channels) * area, first, 1)
        self.down_blocks, self.downsamplers = nn.ModuleList(), nn.ModuleList()
        self.up_blocks, self.upsamplers = nn.ModuleList(), nn.ModuleList()
        width, skips = first, []
        for level, channels in enumerate(block_out_channels):
            blocks = nn.ModuleList()
            for _ in range(layers_per_block):
                blocks.append(ResidualBlock3D(width, channels, embedding, temporal_kernel))
                width = channels
                skips.append(width)
            self.down_blocks.append(blocks)
            deepest = level == len(block_out_channels) - 1
            self.downsamplers.append(nn.Identity() if deepest else conv3d(width, width, 1, stride=2))
        self.mid_block = ResidualBlock3D(width, width, embedding, temporal_kernel)
        for level, channels in reversed(list(enumerate(block_out_channels))):
            blocks = nn.ModuleList()
            for _ in range(layers_per_block):
                blocks.append(ResidualBlock3D(width + skips.pop(), channels, embedding, temporal_kernel))
                width = channels
            self.up_blocks.append(blocks)
            below = block_out_channels[max(level - 1, 0)]
            self.upsamplers.append(nn.Identity() if level == 0 else Upsample(width, below))
            width = below
        self.norm_out = FrameGroupNorm(8, first)
        self.conv_out = conv3d(first, FRAME_CHANNELS * area, 1)
        for layer in (self.conv_out, self.identity_gain, self.emotion_embedding):
            nn.init.zeros_(layer.weight)  # untrained: r_0 = 0, the frame is its prior
        nn.init.zeros_(self.conv_out.bias)
        nn.init.zeros_(self.identity_gain.bias)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | int,
        prior: Tensor,
        identity: Tensor,
        emotion: Tensor,
        guide: Tensor | None = None,
        return_dict: bool = True,
    ) -> IdentityUNet3DOutput | tuple[Tensor]:
        """One prediction of the clean residual.

        Args:
            sample: (B, 3, F, H, W) prior + r_t, in about [-1, 1].
            timestep: scalar or (B,) DDIM timestep.
            prior: (B, 3, F, H, W) prior frames in [-1, 1].
            identity: (B, identity_dim) identity features.
            emotion: (B, emotion_dim) emotion embedding; zeros = unknown.
            guide: (B, guide_channels, F, H, W) guide maps in [0, 1], or None where there are none.
        """
        timesteps = torch.as_tensor(timestep, device=sample.device).reshape(-1).expand(len(sample))
        embedding = self.time_embedding(self.time_proj(timesteps).to(sample.dtype))
        embedding = embedding + self.emotion_embedding(emotion)
        inputs = [sample, prior] if guide is None else [sample, prior, guide]
        h = self.conv_in(space_to_depth(torch.cat(inputs, dim=1), self.config.patch_size))
        skips = []
        for blocks, downsample in zip(self.down_blocks, self.downsamplers, strict=True):
            for block in blocks:
                h = block(h, embedding)
                skips.append(h)
            h = downsample(h)
        h = h * (1 + self.identity_gain(identity))[:, :, None, None, None]
        h = self.mid_block(h, embedding)
        for blocks, upsample in zip(self.up_blocks, self.upsamplers, strict=True):
            for block in blocks:
                h = block(torch.cat([h, skips.pop()], dim=1), embedding)
            h = upsample(h)
        h = self.conv_out(F.silu(self.norm_out(h)))
        residual = depth_to_space(h, self.config.patch_size)
        return IdentityUNet3DOutput(sample=residual) if return_dict else (residual,)


def space_to_depth(x: Tensor, patch: int) -> Tensor:
    """(B, C, F, H, W) -> (B, C patch^2, F, H / patch, W / patch)."""
    batch, channels, frames, height, width = x.shape
    x = x.reshape(batch, channels, frames, height // patch, patch, width // patch, patch)
    return x.permute(0, 1, 4, 6, 2, 3, 5).reshape(
        batch, channels * patch**2, frames, height // patch, width // patch
    )


def depth_to_space(x: Tensor, patch: int) -> Tensor:
    """Inverse of `space_to_depth`."""
    batch, depth, frames, height, width = x.shape
    x = x.reshape(batch, depth // patch**2, patch, patch, frames, height, width)
    return x.permute(0, 1, 4, 5, 2, 6, 3).reshape(
        batch, depth // patch**2, frames, height * patch, width * patch
    )


def inflate(spatial: IdentityUNet3DModel, temporal_kernel: int = 3) -> IdentityUNet3DModel:
    """A 3D network that does to every frame what its 2D parent (temporal_kernel 1) does.

    The parent's weights become the centre taps in time; the other taps are zero.
    """
    assert spatial.config.temporal_kernel == 1, spatial.config.temporal_kernel
    config = {**spatial.config, "temporal_kernel": temporal_kernel}
    inflated = IdentityUNet3DModel.from_config(config)
    weights = inflated.state_dict()
    for name, value in spatial.state_dict().items():
        if weights[name].shape == value.shape:
            weights[name] = value
        else:
            weights[name] = torch.zeros_like(weights[name])
            weights[name][:, :, temporal_kernel // 2] = value[:, :, 0]
    inflated.load_state_dict(weights)
    return inflated
