"""The critic: a conditional discriminator of the mouth view, which keeps the mouth sharp.

- L1 alone leads to the blurred mean of all mouths. An adversarial loss and feature matching prevent it.
- It has two parts: one judges patches (texture), the other the whole mouth (teeth before a dark cavity).
- Both see real and generated mouths under the same guide maps.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

_DRIFT = 0.02  # weight of the logits' squares in the critic's loss
_STEP = 0.17  # along the noise (deviation 0.58), over which a logit's slope is measured
_SLOPE = 0.05  # weight of the slopes' squares in the critic's loss
_RIM = 7  # pixels of the mouth view
Across = Callable[[Tensor], Tensor]  # averages a batch's total weight over the processes


class PatchCritic(nn.Module):
    """Judges patches of about 46 pixels of frames (N, 3, H, W) under guide maps (N, G, H, W).

    Args:
        guide_channels: G.
        channels: width of each stride-2 stage.
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
        self.head = nn.Conv2d(width, 1, 3, padding=1)  # without spectral norm: small differences can count

    def forward(self, frames: Tensor, guide: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits (N, 1, H / 8, W / 8), and the features (N, C, h, w) of each stage."""
        h, features = torch.cat([frames, guide], dim=1), []
        for stage in self.stages:
            h = stage(h)
            features.append(h)
        return self.head(h), features


class SharedNorm(nn.Module):
    """Batch norm of features (N, C, h, w) over all processes, always with the batch's own statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, h: Tensor) -> Tensor:
        """(N, C, h, w), normalised."""
        mean = _mean_over_processes(h.float().mean(dim=(0, 2, 3)))
        centred = h.float() - mean[:, None, None]  # E[h^2] - E[h]^2 loses small variances beside a large mean
        gain = self.gain * (_mean_over_processes(centred.square().mean(dim=(0, 2, 3))) + 1e-5).rsqrt()
        return (centred * gain[:, None, None] + self.offset[:, None, None]).to(h.dtype)


def _mean_over_processes(value: Tensor) -> Tensor:
    """The mean over the processes, with gradients."""
    if not distributed.is_initialized():
        return value
    return all_reduce(value) / distributed.get_world_size()


class WholeCritic(nn.Module):
    """Judges the whole mouth in frames (N, 3, H, W) under guide maps (N, G, H, W), at half their size.

    It has batch norms, so real and generated mouths must be in one batch. Without norms, or with group norms
    or a cost of slopes, it hardly learns.

    Args:
        guide_channels: G.
        channels: width of each stage.
    """

    def __init__(self, guide_channels: int = 3, channels: tuple[int, ...] = (64, 128, 192, 256)) -> None:
        super().__init__()
        width, layers = 3 + guide_channels, []
        for out in channels:
            for inner, stride in ((width, 1), (out, 2)):
                conv = nn.Conv2d(inner, out, 3, stride=stride, padding=1, bias=False)
                nn.init.kaiming_normal_(conv.weight, 0.2)
                layers += [conv, SharedNorm(out), nn.LeakyReLU(0.2)]
            width = out
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(2 * width, 1)

    def forward(self, frames: Tensor, guide: Tensor) -> Tensor:
        """Logits (N, 1, 1, 1)."""
        h = self.layers(F.avg_pool2d(torch.cat([frames, guide], dim=1), 2))
        return self.head(torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], dim=1))[..., None, None]


class MouthCritic(nn.Module):
    """Both critics; arguments as in `PatchCritic`."""

    def __init__(self, guide_channels: int = 3, channels: tuple[int, ...] = (48, 96, 160)) -> None:
        super().__init__()
        self.patches, self.mouth = PatchCritic(guide_channels, channels), WholeCritic(guide_channels)

    def forward(
        self, frames: Tensor, guide: Tensor, near: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Judges frames (N, 3, H, W) under guide maps (N, G, H, W).

        Args:
            near: (N, 3, H, W), frames close to these, for the patches' slope.

        Returns:
            Logits of patches (N, 1, H / 8, W / 8) and of whole mouths (N, 1, 1, 1), then those of the
            patches of `near` if it is given; the features of the frames' patches.
        """
        logits, features = self.patches(frames, guide)
        kinds = [logits, self.mouth(frames, guide)]
        if near is not None:
            kinds.append(self.patches(near, guide)[0])
        return kinds, features


def critic_optimizer(critic: MouthCritic) -> torch.optim.Optimizer:
    """Adam for both parts. A large `eps` hides rounding errors, so that n processes do the same as one."""
    groups = [
        {"params": critic.patches.parameters(), "lr": 4e-4},
        {"params": critic.mouth.parameters(), "lr": 2e-3},
    ]
    return torch.optim.Adam(groups, betas=(0.0, 0.99), eps=1e-5)


@dataclass(frozen=True, eq=False)
class Pairs:
    """The critics' input.

    Attributes:
        real: (N, 3, H, W) in [-1, 1], true mouths.
        generated: (N, 3, H, W) in [-1, 1], generated mouths of the same moments.
        guide: (N, G, H, W) guide maps.
        noise: (N, 3, H, W) in [-1, 1], direction of the slope in `critic_loss`.
    """

    real: Tensor
    generated: Tensor
    guide: Tensor
    noise: Tensor

    @classmethod
    def from_view(cls, view: dict[str, Tensor], prediction: Tensor, noise: Tensor) -> "Pairs":
        """The middle of mouth views: the target, and the target with the predicted mouth inside its rim.

        Outside the mouth both are the target. There a generated frame lacks unpredictable detail of lips and
        skin, and critics that see this ignore the mouth.

        Args:
            view: prior, target (B, 3, F, S, S), guide (B, G, F, S, S).
            prediction: r_0 (B, 3, F, S, S).
            noise: (B, 3, 1, S, S).
        """
        generated = view["prior"] + prediction
        pictures = (view["target"], generated, view["guide"], noise.expand_as(generated))
        real, generated, guide, noise = (_middle(x.transpose(1, 2).flatten(0, 1)) for x in pictures)
        inside = F.avg_pool2d(F.max_pool2d(guide[:, 1:2], _RIM, 1, _RIM // 2), _RIM, 1, _RIM // 2)
        return cls(real, torch.lerp(real, generated, inside), guide, noise)

    def for_critic(self) -> tuple["Pairs", "Pairs"]:
        """The pairs, and their mirror images; without gradients."""
        parts = [getattr(self, field.name).detach() for field in fields(self)]
        return Pairs(*parts), Pairs(*(part.flip(-1) for part in parts))


def _middle(view: Tensor) -> Tensor:
    """The middle of mouth views (N, C, S, S), which holds the mouth: 5/8 wide, 3/4 high."""
    side = view.shape[-1]
    return view[..., 3 * side // 16 : 13 * side // 16, side // 8 : 7 * side // 8]


def mouth_weight(guide: Tensor, size: tuple[int, ...]) -> Tensor:
    """Weights (N, 1, *size) of logits: the filled mouth (second guide map) and its surroundings."""
    mouth = F.avg_pool2d(guide[:, 1:2], 4)
    reach = mouth.shape[-1] // 16 * 2 + 1
    near = F.max_pool2d(mouth, reach, stride=1, padding=reach // 2)
    return F.interpolate(near, size=size, mode="bilinear", antialias=True)


def weighted_mean(values: Tensor, weight: Tensor, across: Across = lambda total: total) -> Tensor:
    """Mean of (N, C, s, s) under the weights (N, 1, s, s)."""
    return (values * weight).sum() / (values.shape[1] * across(weight.sum())).clamp(min=1e-6)


def critic_loss(critic: MouthCritic, pairs: Pairs, across: Across = lambda total: total) -> Tensor:
    """Loss of both critics, summed: the real picture of each pair is to have the larger logits.

    - It is relativistic, on pairs of one moment (Jolicoeur-Martineau 2018): common content cancels.
    - Large logits cost a little.
    - The patches' slope at both pictures costs (Huang et al. 2024, "The GAN is dead", R1 + R2; here along a
      noise). Otherwise the patches ask for invisible, changing patterns.
    """
    pictures, guides = torch.cat([pairs.real, pairs.generated]), pairs.guide.repeat(2, 1, 1, 1)
    (patches, mouths, near), _ = critic(pictures, guides, pictures + _STEP * pairs.noise.repeat(2, 1, 1, 1))
    steep = _SLOPE * ((near.float() - patches.float()) / _STEP).square()
    losses = []
    for logits, cost in ((patches, steep), (mouths, torch.zeros_like(mouths))):
        weight = mouth_weight(pairs.guide, logits.shape[-2:])
        cost = cost + _DRIFT * logits.float().square()
        real, generated = logits.float().chunk(2)
        losses.append(weighted_mean(F.softplus(generated - real) + sum(cost.chunk(2)), weight, across))
    return torch.stack(losses).sum()


def generator_losses(
    critic: MouthCritic, pairs: Pairs, across: Across = lambda total: total
) -> tuple[list[Tensor], Tensor]:
    """The generator's adversarial losses, by patches and by whole mouths, and the feature matching loss.

    The generated picture of each pair is to have the larger logits and the real one's features.
    """
    kinds, features = critic(torch.cat([pairs.real, pairs.generated]), pairs.guide.repeat(2, 1, 1, 1))

    def mean(values: Tensor) -> Tensor:
        return weighted_mean(values, mouth_weight(pairs.guide, values.shape[-2:]), across)

    def split(values: Tensor) -> tuple[Tensor, ...]:
        return values.float().chunk(2)

    adversarial = [mean(F.softplus(real - generated)) for real, generated in map(split, kinds)]
    matching = [mean((generated - real.detach()).abs()) for real, generated in map(split, features)]
    return adversarial, torch.stack(matching).mean()


def balance_terms(
    loss: Tensor, terms: list[Tensor], at: Tensor, across: Across = lambda total: total
) -> Tensor:
    """Mean of the terms, each scaled down to a gradient at the pictures `at` no larger than that of `loss`.

    A critic's slope grows as it learns; without a limit it outweighs the loss.
    """
    with torch.no_grad():
        own, *others = (
            across(torch.autograd.grad(x, at, retain_graph=True)[0].float().square().sum())
            for x in (loss, *terms)
        )
        shares = [torch.sqrt(own / other.clamp(min=1e-20)).clamp(max=1) for other in others]
    return torch.stack([share * term for share, term in zip(shares, terms, strict=True)]).mean()
