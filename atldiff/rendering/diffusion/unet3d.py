"""The 3D Identity U-Net (Sec. 2.3), which denoises the residual of a window of frames.

- Tensors are (batch, channels, frames, height, width).
- Group norms see one frame at a time, so a frame's statistics do not depend on its window.
- An untrained network predicts r_0 = 0: the frame is its prior.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.diffusers_base import (
    BaseOutput,
    ConfigMixin,
    ModelMixin,
    TimestepEmbedding,
    Timesteps,
    register_to_config,
)
from atldiff.rendering.diffusion.unet_blocks import (
    FrameGroupNorm,
    ResidualBlock3D,
    Upsample,
    depth_to_space,
    frame_conv,
    identity_map,
    identity_patch,
    space_to_depth,
)

FRAME_CHANNELS = 3


@dataclass
class IdentityUNet3DOutput(BaseOutput):
    """The network's output.

    Attributes:
        sample: (B, 3, F, H, W) prediction of the clean residual r_0.
    """

    sample: Tensor


class IdentityUNet3DModel(ModelMixin, ConfigMixin):
    """Predicts r_0 from the noisy frames, the prior frames and the guide maps.

    - The timestep embedding is the sum of timestep, emotion and mouth style; the style is our addition.
    - The identity features multiply the latents after the downsampling stage (Sec. 2.3).

    Args:
        block_out_channels: channels of each level; height and width halve between levels.
        layers_per_block: residual blocks per level.
        patch_size: space-to-depth factor before the first level (1 = the paper's layout).
        temporal_kernel: frames of each 3D convolution; 1 = a 2D network (the spatial stage).
        separable: whether a 2D convolution and one over time replace each 3D convolution.
        guide_channels: guide maps per frame (0 = the paper's layout).
        identity_dim: width of the identity features.
        emotion_dim: width of the emotion embedding.
        style_dim: width of the mouth's style, see `mouth_style` (0 = the paper's layout).
        identity_fusion: "map" multiplies the latents by the ResNet's reshaped map (the paper's). "channels"
            multiplies them by 1 + W f of pooled features f, a gain per channel that is 1 untrained.
        temporal_first: whether both convolutions of a block are 3D (the paper's block) or only the second.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        block_out_channels: tuple[int, ...] = (32, 64, 128),
        layers_per_block: int = 1,
        patch_size: int = 1,
        temporal_kernel: int = 3,
        separable: bool = False,
        guide_channels: int = 0,
        identity_dim: int = 2048,
        emotion_dim: int = 64,
        style_dim: int = 0,
        identity_fusion: str = "channels",
        temporal_first: bool = False,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        first, last = block_out_channels[0], block_out_channels[-1]
        area, embedding = patch_size**2, 4 * first
        self.time_proj = Timesteps(first, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(first, embedding)
        self.emotion_embedding = nn.Linear(emotion_dim, embedding, bias=False)
        self.style_embedding = nn.Linear(style_dim, embedding, bias=False) if style_dim else None
        assert identity_fusion in ("channels", "map"), identity_fusion
        self.identity_gain = nn.Linear(identity_dim, last) if identity_fusion == "channels" else None
        assert self.identity_gain is not None or identity_patch(identity_dim, last)
        time = temporal_kernel, separable, temporal_first
        self.conv_in = frame_conv((2 * FRAME_CHANNELS + guide_channels) * area, first)
        self.down_blocks, self.downsamplers = nn.ModuleList(), nn.ModuleList()
        self.up_blocks, self.upsamplers = nn.ModuleList(), nn.ModuleList()
        width, skips = first, []
        for level, channels in enumerate(block_out_channels):
            blocks = nn.ModuleList()
            for _ in range(layers_per_block):
                blocks.append(ResidualBlock3D(width, channels, embedding, *time))
                width = channels
                skips.append(width)
            self.down_blocks.append(blocks)
            deepest = level == len(block_out_channels) - 1
            self.downsamplers.append(nn.Identity() if deepest else frame_conv(width, width, stride=2))
        self.mid_block = ResidualBlock3D(width, width, embedding, *time)
        for level, channels in reversed(list(enumerate(block_out_channels))):
            blocks = nn.ModuleList()
            for _ in range(layers_per_block):
                blocks.append(ResidualBlock3D(width + skips.pop(), channels, embedding, *time))
                width = channels
            self.up_blocks.append(blocks)
            below = block_out_channels[max(level - 1, 0)]
            self.upsamplers.append(nn.Identity() if level == 0 else Upsample(width, below))
            width = below
        self.norm_out = FrameGroupNorm(8, first)
        self.conv_out = frame_conv(first, FRAME_CHANNELS * area)
        for layer in (self.conv_out, self.identity_gain, self.emotion_embedding, self.style_embedding):
            for weight in () if layer is None else layer.parameters():
                nn.init.zeros_(weight)  # untrained: r_0 = 0, the frame is its prior

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | int,
        prior: Tensor,
        identity: Tensor,
        emotion: Tensor,
        guide: Tensor | None = None,
        style: Tensor | None = None,
        return_dict: bool = True,
    ) -> IdentityUNet3DOutput | tuple[Tensor]:
        """Predicts the clean residual.

        Args:
            sample: (B, 3, F, H, W) prior + r_t, in about [-1, 1].
            timestep: scalar or (B,) DDIM timestep.
            prior: (B, 3, F, H, W) prior frames in [-1, 1].
            identity: (B, identity_dim) identity features; their map (B, identity_dim, h, w) for "map".
            emotion: (B, emotion_dim) emotion embedding; zeros = unknown.
            guide: (B, guide_channels, F, H, W) guide maps in [0, 1]; None if guide_channels is 0.
            style: (B, style_dim) mouth style; None = the mean style.
            return_dict: whether to return an `IdentityUNet3DOutput` or a tuple.

        Returns:
            (B, 3, F, H, W) prediction of r_0.
        """
        timesteps = torch.as_tensor(timestep, device=sample.device).reshape(-1).expand(len(sample))
        embedding = self.time_embedding(self.time_proj(timesteps).to(sample.dtype))
        embedding = embedding + self.emotion_embedding(emotion)
        if self.style_embedding is not None and style is not None:
            embedding = embedding + self.style_embedding(style)
        inputs = [sample, prior] if guide is None else [sample, prior, guide]
        h = self.conv_in(space_to_depth(torch.cat(inputs, dim=1), self.config.patch_size))
        skips = []
        for blocks, downsample in zip(self.down_blocks, self.downsamplers, strict=True):
            for block in cast(Iterable[ResidualBlock3D], blocks):
                h = self._run(block, h, embedding)
                skips.append(h)
            h = downsample(h)
        h = h * self._identity_factor(identity, h)
        h = self._run(self.mid_block, h, embedding)
        for blocks, upsample in zip(self.up_blocks, self.upsamplers, strict=True):
            for block in cast(Iterable[ResidualBlock3D], blocks):
                h = self._run(block, torch.cat([h, skips.pop()], dim=1), embedding)
            h = upsample(h)
        h = self.conv_out(F.silu(self.norm_out(h)))
        residual = depth_to_space(h, self.config.patch_size)
        return IdentityUNet3DOutput(sample=residual) if return_dict else (residual,)

    def to(self, *args, **kwargs) -> "IdentityUNet3DModel":
        """As `nn.Module.to`; the method of diffusers warns about float32 parts even if there are none."""
        return nn.Module.to(self, *args, **kwargs)

    def _identity_factor(self, identity: Tensor, h: Tensor) -> Tensor:
        """The factor of the latents (B, C, F, h, w), broadcastable to them."""
        if self.identity_gain is None:
            return identity_map(identity, h.shape[1], h.shape[-2:])[:, :, None]
        return (1 + self.identity_gain(identity))[:, :, None, None, None]

    def _run(self, block: ResidualBlock3D, h: Tensor, embedding: Tensor) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(block, h, embedding)
        return block(h, embedding)


def channels_last(unet: IdentityUNet3DModel) -> IdentityUNet3DModel:
    """Moves the network's kernels, in place, to the memory layout with the fastest convolutions."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in unet.parameters():
        if weight.dim() in layouts:
            weight.data = weight.data.contiguous(memory_format=layouts[weight.dim()])
    return unet


def inflate(spatial: IdentityUNet3DModel, temporal_kernel: int = 3) -> IdentityUNet3DModel:
    """Makes a 3D network that computes the same frames as a 2D one (temporal_kernel 1).

    The 2D weights become the centre taps in time; the other taps are zero.
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
            weights[name][:, :, temporal_kernel // 2] = value
    inflated.load_state_dict(weights)
    return inflated
