"""The trained networks of the renderer, the random draws of their samples, and their optimiser."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from atldiff.config import MAX_STEPS, Preset, UNetConfig, shape_of
from atldiff.errors import InputError
from atldiff.loading import load_network
from atldiff.rendering.diffusion.guide_noise import noisy_residual
from atldiff.rendering.diffusion.identity import (
    CompactIdentityEncoder,
    ResNetIdentityEncoder,
    make_identity_encoder,
)
from atldiff.rendering.diffusion.sampler import Condition, make_scheduler
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel, channels_last, inflate
from atldiff.training.renderer.losses import draw_colours
from atldiff.training.runs.processes import sample_generator

EMOTION_DROPOUT = 0.2  # probability of replacing the emotion by zeros
STYLE_DROPOUT = 0.5  # probability of replacing the style by zeros, the style of a mouth that never opens
STYLE_RATE = 8.0  # factor of the learning rate for the style's weights, which have only four inputs


class RendererNetworks(nn.Module):
    """U-Net and identity encoder as one network, so that data parallelism sees one forward call."""

    alphas: Tensor

    def __init__(self, unet: IdentityUNet3DModel, identity: nn.Module) -> None:
        super().__init__()
        self.unet, self.identity = unet, identity
        self.register_buffer("alphas", make_scheduler().alphas_cumprod, persistent=False)

    def forward(
        self,
        still: Tensor,
        emotion: Tensor,
        style: Tensor,
        views: list[dict[str, Tensor]],
        draws: "Draws",
    ) -> list[Tensor]:
        """Predicts r_0 (B, 3, F, S, S) of each view, with one noise for all frames of a window.

        Args:
            still: (B, 3, 128, 128) in [-1, 1], face crop of the portrait.
            emotion: (B, E) embedding.
            style: (B, 4) style of the mouth.
            views: each with prior, target (B, 3, F, S, S) in [-1, 1], mask and perhaps guide.
            draws: timesteps and noises.
        """
        features, predictions = self.identity(still), []
        for view, noise in zip(views, draws.noises, strict=True):
            residual = view["target"] - view["prior"]
            noisy = noisy_residual(
                residual, noise.expand_as(residual), view["mask"], self.alphas[draws.timesteps]
            )
            condition = Condition(view["prior"], view.get("guide"), view["mask"], features, emotion, style)
            predictions.append(condition.predict(self.unet, noisy, draws.timesteps).float())
        return predictions


@dataclass(frozen=True, eq=False)
class Draws:
    """The random draws of B samples.

    Attributes:
        timesteps: (B,) int.
        use_emotion: (B, 1) bool; False replaces the emotion by zeros.
        use_style: (B, 1) bool; False replaces the style by zeros.
        gain, offset: (B, 3, 1, 1, 1) of the colours.
        noises: (B, 3, 1, S, S) in [-1, 1], for each view.
    """

    timesteps: Tensor
    use_emotion: Tensor
    use_style: Tensor
    gain: Tensor
    offset: Tensor
    noises: list[Tensor]

    @classmethod
    def from_seed(
        cls, seed: int, numbers: Iterable[int], sizes: list[int], last: float, device: torch.device
    ) -> "Draws":
        """The draws of the samples with these numbers.

        Args:
            sizes: S of each view.
            last: share of the samples at t = T - 1.
        """
        rows, steps = [], MAX_STEPS
        for number in numbers:
            generator = sample_generator(seed, number, device)
            draws = torch.rand(4, generator=generator, device=device)
            timestep = torch.where(draws[0] < last, steps - 1, (draws[1] * steps).long().clamp(max=steps - 1))
            noises = [
                torch.rand(3, 1, size, size, generator=generator, device=device) * 2 - 1 for size in sizes
            ]
            use_emotion, use_style = draws[2:3] > EMOTION_DROPOUT, draws[3:] > STYLE_DROPOUT
            rows.append((timestep, use_emotion, use_style, *draw_colours(generator), *noises))
        timesteps, emotions, styles, gain, offset, *noises = map(torch.stack, zip(*rows, strict=True))
        return cls(timesteps, emotions, styles, gain, offset, noises)


def make_networks(preset: Preset, stage: str, start: Path | None) -> RendererNetworks:
    """The stage's U-Net and identity encoder: new, or those of the folder `start`.

    Raises:
        InputError: `start` has no networks, or those of another preset; the hub cannot be reached.
    """
    if start is None:
        kernel = 1 if stage == "spatial" else preset.unet.temporal_kernel
        unet = IdentityUNet3DModel(**{**asdict(preset.unet), "temporal_kernel": kernel})
        encoder = make_identity_encoder(preset.identity, fusion=preset.unet.identity_fusion)
        return RendererNetworks(channels_last(unet), encoder)
    remedy = "Name best/ or last/ of a diffusion run, and the --preset it was trained with"
    unet = load_network(start / "unet", [IdentityUNet3DModel], "renderer", remedy)
    shape = shape_of(UNetConfig, unet.config)
    if replace(shape, temporal_kernel=preset.unet.temporal_kernel) != preset.unet:
        raise InputError(f"The renderer in {start} is not one of the preset {preset.name}", remedy)
    if stage == "temporal" and unet.config.temporal_kernel == 1:
        unet = inflate(unet, preset.unet.temporal_kernel)
    kind = CompactIdentityEncoder if preset.identity == "compact" else ResNetIdentityEncoder
    what = f"identity encoder of the preset {preset.name}"
    identity = load_network(start / "identity_encoder", [kind], what, remedy)
    return RendererNetworks(channels_last(unet), identity)


def renderer_optimizer(networks: RendererNetworks, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW; each group's `share` is a factor of the stage's learning rate."""
    groups: dict[float, list] = {1.0: [], STYLE_RATE: []}
    for name, weight in networks.named_parameters():
        if weight.requires_grad:
            groups[STYLE_RATE if "style_embedding" in name else 1.0].append(weight)
    kinds = [{"params": weights, "share": share} for share, weights in groups.items() if weights]
    return torch.optim.AdamW(kinds, lr=learning_rate, weight_decay=1e-4)
