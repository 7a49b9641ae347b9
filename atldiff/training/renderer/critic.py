"""The critic that keeps a mouth sharp: a conditional discriminator of the mouth view, of patches and whole.

An L1 loss is smallest for the mean of all mouths, which is a fog. A critic that sees real and made mouths,
with the same guide maps, and a loss on its features (feature matching) ask for one of them. Patches tell
texture; only the whole mouth tells whether white teeth stand before a dark cavity, as real ones do.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

_DRIFT = 0.02  # weight of the logits' squares in the critic's loss
_STEP = 0.17  # along the noise, whose deviation is 0.58, at which a logit's slope is measured
_SLOPE = 0.05  # weight of its square in the critic's loss
_RIM = 7  # pixels of the mouth view
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


class SharedNorm(nn.Module):
    """Batch norm of pictures (N, C, h, w) over those of all processes, always by what the batch holds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, h: Tensor) -> Tensor:
        """See the class."""
        mean = _over_all(h.float().mean(dim=(0, 2, 3)))
        away = h.float() - mean[:, None, None]  # E[h^2] - E[h]^2 would lose what is small beside the mean
        gain = self.gain * (_over_all(away.square().mean(dim=(0, 2, 3))) + 1e-5).rsqrt()
        return (away * gain[:, None, None] + self.offset[:, None, None]).to(h.dtype)


def _over_all(value: Tensor) -> Tensor:
    """Its mean over the processes, through which gradients pass."""
    if not distributed.is_initialized():
        return value
    return all_reduce(value) / distributed.get_world_size()


class WholeCritic(nn.Module):
    """Judges the mouth in frames (N, 3, H, W) under guide maps (N, G, H, W) as a whole, at half their size.

    Batch norms, for which it has to see real and made mouths in one batch: on 4,000 fixed pairs of training
    people it then knew which mouth of 960 other pairs is the real one in 82 of 100 after 900 steps; without
    them in 61, with group norms in 62, with the patches' cost of slopes in 73 (all half as wide as now). In
    training, without norms, it came to know nothing at all.

    Args:
        guide_channels: G.  channels: width of each stage.
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
    """Both critics; arguments as theirs."""

    def __init__(self, guide_channels: int = 3, channels: tuple[int, ...] = (48, 96, 160)) -> None:
        super().__init__()
        self.patches, self.whole = PatchCritic(guide_channels, channels), WholeCritic(guide_channels)

    def forward(
        self, frames: Tensor, guide: Tensor, near: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of patches (N, 1, H / 8, W / 8), of whole mouths (N, 1, 1, 1) and, where there are some, of
        the patches of other frames `near` these; the features of the frames' patches.
        """
        logits, features = self.patches(frames, guide)
        kinds = [logits, self.whole(frames, guide)]
        if near is not None:
            kinds.append(self.patches(near, guide)[0])
        return kinds, features


def critic_optimizer(critic: MouthCritic) -> torch.optim.Optimizer:
    """`eps` is far above the gradients' rounding errors, so that several processes take the steps of one."""
    groups = [
        {"params": critic.patches.parameters(), "lr": 4e-4},
        {"params": critic.whole.parameters(), "lr": 2e-3},
    ]
    return torch.optim.Adam(groups, betas=(0.0, 0.99), eps=1e-5)


@dataclass(frozen=True, eq=False)
class Pairs:
    """What the critics see: real and made mouths (N, 3, H, W) of the same moments, their guide maps
    (N, G, H, W), and a noise (N, 3, H, W) in [-1, 1] for `critic_loss`.
    """

    real: Tensor
    made: Tensor
    guide: Tensor
    noise: Tensor

    @classmethod
    def of(cls, view: dict[str, Tensor], prediction: Tensor, noise: Tensor) -> "Pairs":
        """The middle of mouth views: the target, and in it the inside of the mouth and its rim as predicted.

        Outside, where lips and skin are a warped photo, a made frame gives itself away by what cannot be
        foretold; critics that see it never come to look at the mouth.

        Args:
            view: prior, target (B, 3, F, S, S), guide (B, G, F, S, S).  prediction: r_0 (B, 3, F, S, S).
            noise: (B, 3, 1, S, S).
        """
        made = view["prior"] + prediction
        pictures = (view["target"], made, view["guide"], noise.expand_as(made))
        real, made, guide, noise = (_middle(x.transpose(1, 2).flatten(0, 1)) for x in pictures)
        inside = F.avg_pool2d(F.max_pool2d(guide[:, 1:2], _RIM, 1, _RIM // 2), _RIM, 1, _RIM // 2)
        return cls(real, torch.lerp(real, made, inside), guide, noise)

    def for_critic(self) -> tuple["Pairs", "Pairs"]:
        """As they are, and mirrored; without gradients."""
        parts = [getattr(self, field.name).detach() for field in fields(self)]
        return Pairs(*parts), Pairs(*(part.flip(-1) for part in parts))


def _middle(view: Tensor) -> Tensor:
    """The part of mouth views (N, C, S, S) that holds the mouth: five eighths wide, three quarters high."""
    side = view.shape[-1]
    return view[..., 3 * side // 16 : 13 * side // 16, side // 8 : 7 * side // 8]


def mouth_weight(guide: Tensor, size: tuple[int, ...]) -> Tensor:
    """Where the critic looks, (N, 1, *size): the filled mouth (second guide map) and what is near it."""
    mouth = F.avg_pool2d(guide[:, 1:2], 4)
    reach = mouth.shape[-1] // 16 * 2 + 1
    near = F.max_pool2d(mouth, reach, stride=1, padding=reach // 2)
    return F.interpolate(near, size=size, mode="bilinear", antialias=True)


def weighted_mean(values: Tensor, weight: Tensor, across: Across = lambda total: total) -> Tensor:
    """Mean of (N, C, s, s) under the weights (N, 1, s, s)."""
    return (values * weight).sum() / (values.shape[1] * across(weight.sum())).clamp(min=1e-6)


def critic_loss(critic: MouthCritic, pairs: Pairs, across: Across = lambda total: total) -> Tensor:
    """Loss of the critic, sum of both kinds: of each pair the real one is to have the larger logits.

    Relativistic, of the same moment's pair (Jolicoeur-Martineau 2018): what the two share cancels, so that it
    learns from fewer of them: on fixed pictures AUC 0.63 after 100 steps, 0.58 with a hinge. Large logits
    cost a little. The patches' slope costs, at real and at made pictures (Huang et al. 2024, "The GAN is
    dead", R1 + R2; here along a noise), or they ask for patterns nobody sees, and for others when they have
    got them.
    """
    pictures, guides = torch.cat([pairs.real, pairs.made]), pairs.guide.repeat(2, 1, 1, 1)
    (patches, whole, near), _ = critic(pictures, guides, pictures + _STEP * pairs.noise.repeat(2, 1, 1, 1))
    steep = _SLOPE * ((near.float() - patches.float()) / _STEP).square()
    losses = []
    for logits, cost in ((patches, steep), (whole, torch.zeros_like(whole))):
        weight = mouth_weight(pairs.guide, logits.shape[-2:])
        cost = cost + _DRIFT * logits.float().square()
        on_real, on_made = logits.float().chunk(2)
        losses.append(weighted_mean(F.softplus(on_made - on_real) + sum(cost.chunk(2)), weight, across))
    return torch.stack(losses).sum()


def generator_losses(
    critic: MouthCritic, pairs: Pairs, across: Across = lambda total: total
) -> tuple[list[Tensor], Tensor]:
    """The generator's loss by patches and by whole mouths: of each pair the made one is to have the larger
    logits; and the distance of the critic's features of made and real frames.
    """
    kinds, features = critic(torch.cat([pairs.real, pairs.made]), pairs.guide.repeat(2, 1, 1, 1))

    def mean(values: Tensor) -> Tensor:
        return weighted_mean(values, mouth_weight(pairs.guide, values.shape[-2:]), across)

    def apart(values: Tensor) -> tuple[Tensor, ...]:
        return values.float().chunk(2)

    adversarial = [mean(F.softplus(real - made)) for real, made in map(apart, kinds)]
    matching = [mean((made - real.detach()).abs()) for real, made in map(apart, features)]
    return adversarial, torch.stack(matching).mean()


def balanced(loss: Tensor, terms: list[Tensor], at: Tensor, across: Across = lambda total: total) -> Tensor:
    """Mean of the terms, each made to pull at the pictures `at` as hard as `loss` does; less if it is weak.

    A critic's slope grows as it learns. Left alone it came to pull 70 times as hard as the truth.
    """
    with torch.no_grad():
        own, *others = (
            across(torch.autograd.grad(x, at, retain_graph=True)[0].float().square().sum())
            for x in (loss, *terms)
        )
        shares = [torch.sqrt(own / other.clamp(min=1e-20)).clamp(max=1) for other in others]
    return torch.stack([share * term for share, term in zip(shares, terms, strict=True)]).mean()
