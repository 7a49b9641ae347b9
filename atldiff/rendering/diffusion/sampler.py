"""DDIM on the residual to the prior: r_T = M eps -> r_0 (Sec. 2.2), with inpainting in time.

The forward process is `guide.noisy_residual`; the network predicts r_0 ("sample" prediction), so
diffusers' DDIM step holds unchanged: the noise it recovers is M eps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from atldiff.config import MAX_STEPS
from atldiff.rendering.batching import WindowBatcher
from atldiff.rendering.diffusion.chroma import soft_colours
from atldiff.rendering.diffusion.guide_noise import noisy_residual
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel


def make_scheduler() -> DDIMScheduler:
    """The DDIM schedule of every preset: its last timestep is pure guided noise (zero SNR)."""
    return DDIMScheduler(
        num_train_timesteps=MAX_STEPS,
        prediction_type="sample",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=False,  # a residual may be as large as +-2
    )


@dataclass(frozen=True, eq=False)
class Condition:
    """What the network sees beside the noisy residual of one window.

    Attributes:
        prior: (B, 3, F, H, W) in [-1, 1].  guide: (B, G, F, H, W) in [0, 1] or None.
        mask: (B, 1, F, H, W) in [minimum, 1], the noise's scale M.
        identity: (B, D) features.  emotion: (B, E) embedding.  style: (B, style_dim) of the mouth, or None.
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
        """The network's r_0 of the noisy residual (B, 3, F, H, W), without fine colours in the mouth."""
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
    """Samples r_0 (B, 3, F, H, W) in `steps` DDIM steps from the frames' noise (same shape).

    `known` (B, 3, K, H, W) are the clean residuals that the window before gave the first K frames: at
    each step they are noised to its level and replace the model's (RePaint in time); at the end they
    fade into the model's, so that windows join unseen.
    `on_step(index, timestep, residual)` is called after each step.
    """
    scheduler = DDIMScheduler.from_config(scheduler.config)  # stateful: one per call
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
    """The type in which the device computes the U-Net fastest.

    bfloat16 where it has instructions for it (GPUs from Ampere on, some CPUs); float16 on older GPUs, which
    only emulate bfloat16 (a T4); float32 elsewhere.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    if device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return torch.bfloat16
    return torch.float32
