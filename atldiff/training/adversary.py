"""The critic that keeps a mouth sharp: a conditional discriminator of the mouth view, of patches and whole.

An L1 loss is smallest for the mean of all mouths, which is a fog. A critic that sees real and made mouths,
with the same guide maps, and a loss on its features (feature matching) ask for one of them. Patches tell
texture; only the whole mouth tells whether white teeth stand before a dark cavity, as real ones do.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

Across = Callable[[Tensor], Tensor]  # of a total weight in this batch: its mean over the processes


class PatchCritic(nn.Module):
    """Judges patches of about 46 pixels of frames (N, 3, H, W) under guide maps (N, G, H, W).

    Args:
        guide_channels: G.  channels: width of each stride-2 stage.
    """

    def __init__(self, guide_channels: int = 3, channels: tuple[int, ...] = (48, 96, 160)) -> None:
        super().__init__()
        width, stages = 3 + guide_channels, []
        for out in channels:
            conv = spectral_norm(nn.Conv2d(width, out, 4, stride=2, padding=1))
            stages.append(nn.Sequential(conv, nn.LeakyReLU(0.2)))
            width = out
        middle = spectral_norm(nn.Conv2d(width, width, 3, padding=1))
        stages.append(nn.Sequential(middle, nn.LeakyReLU(0.2)))
        self.stages = nn.ModuleList(stages)
        self.head = nn.Conv2d(width, 1, 3, padding=1)  # free, so that small differences can count

    def forward(self, frames: Tensor, guide: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits (N, 1, H / 8, W / 8), and the features of each stage."""
        h, features = torch.cat([frames, guide], dim=1), []
        for stage in self.stages:
            h = stage(h)
            features.append(h)
        return self.head(h), features


class WholeCritic(nn.Module):
    """Judges the mouth in frames (N, 3, H, W) under guide maps (N, G, H, W) as a whole.

    No norm: what tells a made mouth is how dark and how white it is, which a norm of the picture takes away
    (after 300 steps on fixed pictures it told them apart with AUC 0.82, with group norm 0.79). So its
    weights have to begin at Kaiming's size.

    Args:
        guide_channels: G.  channels: width of each stride-2 stage.
    """

    def __init__(self, guide_channels: int = 3, channels: tuple[int, ...] = (32, 64, 96, 128)) -> None:
        super().__init__()
        width, layers = 3 + guide_channels, []
        for out in channels:
            conv = nn.Conv2d(width, out, 4, stride=2, padding=1)
            nn.init.kaiming_normal_(conv.weight, 0.2)
            layers += [conv, nn.LeakyReLU(0.2)]
            width = out
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(2 * width, 1)

    def forward(self, frames: Tensor, guide: Tensor) -> Tensor:
        """Logits (N, 1, 1, 1)."""
        h = self.layers(torch.cat([frames, guide], dim=1))
        return self.head(torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], dim=1))[..., None, None]


class MouthCritic(nn.Module):
    """Both critics; arguments as theirs."""

    def __init__(self, guide_channels: int = 3, channels: tuple[int, ...] = (48, 96, 160)) -> None:
        super().__init__()
        self.patches, self.whole = PatchCritic(guide_channels, channels), WholeCritic(guide_channels)

    def forward(self, frames: Tensor, guide: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of patches (N, 1, H / 8, W / 8) and of whole mouths (N, 1, 1, 1); the patches' features."""
        logits, features = self.patches(frames, guide)
        return [logits, self.whole(frames, guide)], features


def middle(view: Tensor) -> Tensor:
    """The part of mouth views (N, C, S, S) that holds the mouth: three quarters wide, five eighths high."""
    side = view.shape[-1]
    return view[..., 3 * side // 16 : 13 * side // 16, side // 8 : 7 * side // 8]


def mouth_weight(guide: Tensor, size: tuple[int, int]) -> Tensor:
    """Where the critic looks, (N, 1, *size): the filled mouth (second guide map) and what is near it."""
    mouth = F.avg_pool2d(guide[:, 1:2], 4)
    reach = mouth.shape[-1] // 16 * 2 + 1
    near = F.max_pool2d(mouth, reach, stride=1, padding=reach // 2)
    return F.interpolate(near, size=size, mode="bilinear", antialias=True)


def weighted_mean(values: Tensor, weight: Tensor, across: Across = lambda total: total) -> Tensor:
    """Mean of (N, C, s, s) under the weights (N, 1, s, s)."""
    return (values * weight).sum() / (values.shape[1] * across(weight.sum())).clamp(min=1e-6)


def critic_loss(
    critic: MouthCritic, real: Tensor, made: Tensor, guide: Tensor, across: Across = lambda total: total
) -> Tensor:
    """Hinge loss of the critic, mean of both kinds: real above 1, made below -1."""
    kinds, _ = critic(torch.cat([real, made]), torch.cat([guide, guide]))
    losses = []
    for logits in kinds:
        on_real, on_made = logits.float().chunk(2)
        weight = mouth_weight(guide, on_real.shape[-2:])
        losses.append(weighted_mean(F.relu(1 - on_real) + F.relu(1 + on_made), weight, across))
    return torch.stack(losses).mean()


def generator_losses(
    critic: MouthCritic, real: Tensor, made: Tensor, guide: Tensor, across: Across = lambda total: total
) -> tuple[Tensor, Tensor]:
    """The generator's hinge loss, mean of both kinds, and the distance of the critic's features of made
    and real frames.
    """
    with torch.no_grad():
        _, wanted = critic(real, guide)
    kinds, found = critic(made, guide)
    adversarial = torch.stack(
        [-weighted_mean(x.float(), mouth_weight(guide, x.shape[-2:]), across) for x in kinds]
    ).mean()
    matching = [
        weighted_mean((a.float() - b.float()).abs(), mouth_weight(guide, a.shape[-2:]), across)
        for a, b in zip(found, wanted, strict=True)
    ]
    return adversarial, torch.stack(matching).mean()
