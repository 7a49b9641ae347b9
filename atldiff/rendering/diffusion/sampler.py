"""DDIM sampling of the residual to the prior: r_T = M eps -> r_0 (Sec. 2.2).

- The forward process is `guide_noise.noisy_residual`.
- The network predicts r_0 ("sample" prediction), so the DDIM step of diffusers recovers M eps as noise.
- Overlapping windows are joined by inpainting in time.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from atldiff.config import MAX_STEPS
from atldiff.diffusers_base import DDIMScheduler
from atldiff.rendering.batching import WindowBatcher
from atldiff.rendering.diffusion.chroma import soft_colours
from atldiff.rendering.diffusion.guide_noise import noisy_residual
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel


def make_scheduler() -> DDIMScheduler:
    """Makes the DDIM scheduler of every preset; its last timestep is pure guided noise (zero SNR)."""
    return DDIMScheduler(
        num_train_timesteps=MAX_STEPS,
        prediction_type="sample",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=False,  # a residual may be as large as +-2
    )


@dataclass(frozen=True, eq=False)
class Condition:
    """The network's inputs for one window, except the noisy residual.

    Attributes:
        prior: (B, 3, F, H, W) in [-1, 1].
        guide: (B, G, F, H, W) guide maps in [0, 1], or None.
        mask: (B, 1, F, H, W) in [minimum, 1], the noise's scale M.
        identity: (B, D) identity features, or their map (B, D, h, w).
        emotion: (B, E) emotion embedding.
        style: (B, style_dim) mouth style, or None.
    """

    prior: Tensor
    guide: Tensor | None
    mask: Tensor
    identity: Tensor
    emotion: Tensor
    style: Tensor | None = None

    def predict(
        self, unet: IdentityUNet3DModel | WindowBatcher, residual: Tensor, timestep: Tensor
    ) -> Tensor:
        """Predicts r_0 (B, 3, F, H, W) from the noisy residual of the same shape.

        Fine colours in the mouth are removed if there are guide maps.
        """
        sample, prior = (self.prior + residual).to(unet.dtype), self.prior.to(unet.dtype)
        features = (self.identity.to(unet.dtype), self.emotion.to(unet.dtype))
        guide, style = (x if x is None else x.to(unet.dtype) for x in (self.guide, self.style))
        clean = unet(sample, timestep, prior, *features, guide, style).sample.to(residual.dtype)
        return clean if self.guide is None else soft_colours(self.prior, clean, self.guide[:, 1:2])


@torch.no_grad()
def sample_residual(
    unet: IdentityUNet3DModel | WindowBatcher,
    scheduler: DDIMScheduler,
    condition: Condition,
    noise: Tensor,
    steps: int,
    known: Tensor | None = None,
    on_step: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Samples r_0 of a window by DDIM.

    At each step the known residuals, noised to its level, replace the model's (RePaint in time). At the end
    they fade into the model's, so that no seam between windows is visible.

    Args:
        unet: the network, or a batcher in its place.
        scheduler: from `make_scheduler`; it is not changed.
        condition: the network's other inputs.
        noise: (B, 3, F, H, W) eps in [-1, 1].
        steps: number of DDIM steps.
        known: (B, 3, K, H, W) clean residuals of the first K frames, from the previous window.
        on_step: called as `on_step(index, timestep, residual)` after each step.

    Returns:
        (B, 3, F, H, W) r_0.
    """
    scheduler = copy(scheduler)  # a scheduler keeps state: one per call
    scheduler.set_timesteps(steps, device=noise.device)
    overlap = 0 if known is None else known.shape[2]
    residual = condition.mask * noise
    for index, timestep in enumerate(scheduler.timesteps):
        if known is not None:
            alpha_bar = scheduler.alphas_cumprod[timestep.cpu()]
            mask = condition.mask[:, :, :overlap]
            residual[:, :, :overlap] = noisy_residual(known, noise[:, :, :overlap], mask, alpha_bar)
        prediction = condition.predict(unet, residual, timestep)
        residual = scheduler.step(prediction, timestep, residual).prev_sample
        if on_step is not None:
            on_step(index, timestep, residual)
    if known is not None:
        fade = torch.linspace(0, 1, overlap + 2, device=noise.device)[1:-1].view(-1, 1, 1)
        residual[:, :, :overlap] = torch.lerp(known, residual[:, :, :overlap], fade)
    return residual


def compute_dtype(device: torch.device) -> torch.dtype:
    """The dtype that computes the U-Net fastest on a device.

    It is bfloat16 on devices with instructions for it (GPUs from Ampere on, some CPUs). It is float16 on
    older GPUs such as the T4, which only emulate bfloat16. It is float32 elsewhere.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    if device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return torch.bfloat16
    return torch.float32
