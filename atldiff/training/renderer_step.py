"""One step of the renderer's training: what is random about it, the networks, the losses, the critic."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from atldiff.config import Preset, UNetConfig, shape_of
from atldiff.errors import InputError
from atldiff.hub import load_network
from atldiff.rendering.guide import noisy_residual
from atldiff.rendering.identity import CompactIdentityEncoder, ResNetIdentityEncoder, make_identity_encoder
from atldiff.rendering.sampler import Condition, compute_dtype, make_scheduler
from atldiff.rendering.unet3d import IdentityUNet3DModel, channels_last, inflate
from atldiff.training.adversary import MouthCritic, Pairs, balanced, critic_loss, generator_losses
from atldiff.training.diffusion_loss import colours, residual_loss, shading_loss, softened, varied_colours
from atldiff.training.processes import generator_of, over_processes
from atldiff.training.stages import Stage

EMOTION_DROPOUT = 0.2  # of the samples do not know their emotion
STYLE_RATE = 8.0  # of the learning rate for the style's weights: four numbers are to move whole pictures
MOUTH = 1  # the mouth's place among a sample's views


class RendererNetworks(nn.Module):
    """U-Net and identity encoder as one network, through which all that is trained with gradients passes."""

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
        """r_0 (B, 3, F, S, S) of each view, noised as drawn; one noise for all frames of a window."""
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
    """What is random about the steps of B samples: timesteps (B,), whether the emotion is heard (B, 1), gain
    and offset of the colours (B, 3, 1, 1, 1), and each view's noise (B, 3, 1, S, S) in [-1, 1].
    """

    timesteps: Tensor
    heard: Tensor
    gain: Tensor
    offset: Tensor
    noises: list[Tensor]

    @classmethod
    def of(
        cls, seed: int, numbers: Iterable[int], sizes: list[int], last: float, device: torch.device
    ) -> "Draws":
        """The draws of the samples with these numbers.

        Args:
            sizes: S of the views.  last: share of the samples at t = T - 1.
        """
        rows = []
        for number in numbers:
            generator = generator_of(seed, number, device)
            told = torch.rand(3, generator=generator, device=device)
            timestep = torch.where(told[0] < last, 999, (told[1] * 1000).long().clamp(max=999))
            noises = [
                torch.rand(3, 1, size, size, generator=generator, device=device) * 2 - 1 for size in sizes
            ]
            rows.append((timestep, told[2:] > EMOTION_DROPOUT, *colours(generator), *noises))
        timesteps, heard, gain, offset, *noises = (torch.stack(column) for column in zip(*rows, strict=True))
        return cls(timesteps, heard, gain, offset, noises)


class RendererStep:
    """Networks, critic, their optimisers and the averaged weights; a call takes one optimiser step.

    Attributes:
        networks, critic: as they are; what is trained is their wrappers for many processes.
        judged: the critic takes part.
    """

    def __init__(
        self, networks: RendererNetworks, stage: Stage, accelerator: Accelerator, seed: int, judged: bool
    ) -> None:
        self.stage, self.accelerator, self.seed, self.judged = stage, accelerator, seed, judged
        device = accelerator.device
        self.networks = networks.to(device)
        self.trained = [p for p in networks.parameters() if p.requires_grad]
        self.average = EMAModel(networks.parameters(), decay=stage.ema)
        optimizer = _optimizer(networks, stage.learning_rate)
        guides = networks.unet.config.guide_channels
        self.critic = MouthCritic(guides).to(device, memory_format=torch.channels_last)
        judging = _critic_optimizer(self.critic)
        self.model, self.optimizer = accelerator.prepare(networks, optimizer)
        self.judge, self.critic_optimizer = accelerator.prepare(self.critic, judging)
        self._over_processes = over_processes(accelerator)

    @property
    def parts(self) -> dict:
        """What an exact resume needs."""
        names = ("networks", "average", "optimizer", "critic", "critic_optimizer")
        return {name: getattr(self, name) for name in names}

    def __call__(self, batches: Sequence[tuple[Iterable[int], dict]], step: int) -> dict[str, Tensor]:
        """One optimiser step on some batches of `samples.make_sample`, each with its samples' numbers.

        Returns:
            The losses, as means over batches and processes after `Accelerator.reduce`.
        """
        sums: dict[str, Tensor] = {}
        for numbers, batch in batches:
            with self.accelerator.accumulate(self.model, self.judge):
                losses = self._accumulate(numbers, batch, step)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + value.detach() / len(batches)
        self.average.step(self.networks.parameters())
        return sums

    def _accumulate(self, numbers: Iterable[int], batch: dict, step: int) -> dict[str, Tensor]:
        """One batch's gradients, and with those of the last one the step."""
        batch = _to(batch, self.accelerator.device)
        sizes = [view["prior"].shape[-1] for view in batch["views"]]
        share, device = self.stage.share_of_last, self.accelerator.device
        draws = Draws.of(self.seed, numbers, sizes, share, device)
        still, views = varied_colours(batch["identity"], batch["views"], draws.gain, draws.offset)
        views = [softened(view) for view in views]
        judging = step - self.stage.critic_from if self.judged else -1
        alone, losses = 0 <= judging < self.stage.critic_lead, {}
        with self.autocast(), torch.set_grad_enabled(not alone):
            predictions = self.model(still, batch["emotion"] * draws.heard, batch["style"], views, draws)
        if judging >= 0:
            noise = draws.noises[MOUTH].flip(-2)  # another one than what made the pictures
            pairs = Pairs.of(views[MOUTH], predictions[MOUTH], noise)
            losses["critic"] = self._teach_critic(pairs)
        if alone:
            return losses
        parts = [
            self._view_loss(number, view, prediction, len(views))
            for number, (view, prediction) in enumerate(zip(views, predictions, strict=True))
        ]
        loss = losses["loss"] = sum(parts) / len(parts)
        if judging >= 0:
            losses |= self._critic_losses(pairs, predictions[MOUTH], loss)
            loss = loss + self.stage.adversarial * losses["adversarial"]
            loss = loss + self.stage.matching * losses["matching"]
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * self.learning_rate(step)
        self.accelerator.backward(loss)
        if self.accelerator.sync_gradients:
            self.accelerator.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return losses

    def _view_loss(self, number: int, view: dict, prediction: Tensor, views: int) -> Tensor:
        """The loss of a sample's view number `number`."""
        residual, over = view["target"] - view["prior"], self._over_processes
        if views > MOUTH and number < MOUTH:
            return shading_loss(prediction, residual, view, over)
        return residual_loss(prediction, residual, view, self.stage.fine_share, self.stage.coarse_share, over)

    def _teach_critic(self, pairs: Pairs) -> Tensor:
        """Two steps of the critic, on the mouths as they are and mirrored; its loss."""
        for shown in pairs.for_critic():
            with self.autocast():
                loss = critic_loss(self.judge, shown, self._over_processes)
            self.accelerator.backward(loss)
            self.critic_optimizer.step()
            self.critic_optimizer.zero_grad()
        return loss

    def _critic_losses(self, pairs: Pairs, prediction: Tensor, loss: Tensor) -> dict[str, Tensor]:
        """What the critic asks for, balanced with the loss on pictures where both pull at the prediction."""
        self.critic.requires_grad_(False)
        with self.autocast():
            kinds, matching = generator_losses(self.critic, pairs, self._over_processes)
            adversarial = balanced(loss, kinds, prediction, self._over_processes)
        self.critic.requires_grad_(True)
        return {"adversarial": adversarial, "matching": matching}

    def autocast(self) -> torch.autocast | nullcontext:
        """bfloat16 where the device computes it faster."""
        device = self.accelerator.device
        half = compute_dtype(device) is torch.bfloat16
        return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, constant, and a linear fall over the last fifth of the steps."""
        left = (self.stage.steps - step) / (0.2 * self.stage.steps)
        return self.stage.learning_rate * min(1.0, (step + 1) / self.stage.warmup, left)


def _optimizer(networks: RendererNetworks, learning_rate: float) -> torch.optim.Optimizer:
    """Each group's `share` is of the stage's learning rate."""
    groups: dict[float, list] = {1.0: [], STYLE_RATE: []}
    for name, weight in networks.named_parameters():
        if weight.requires_grad:
            groups[STYLE_RATE if "style_embedding" in name else 1.0].append(weight)
    kinds = [{"params": weights, "share": share} for share, weights in groups.items() if weights]
    return torch.optim.AdamW(kinds, lr=learning_rate, weight_decay=1e-4)


def _critic_optimizer(critic: MouthCritic) -> torch.optim.Optimizer:
    """`eps` is far above the gradients' rounding errors, so that several processes take the steps of one."""
    groups = [
        {"params": critic.patches.parameters(), "lr": 4e-4},
        {"params": critic.whole.parameters(), "lr": 2e-3},
    ]
    return torch.optim.Adam(groups, betas=(0.0, 0.99), eps=1e-5)


def make_networks(preset: Preset, stage: str, start: Path | None) -> RendererNetworks:
    """The stage's U-Net and identity encoder: new, or those of the folder `start`.

    Raises:
        InputError: there are none in `start`, or those of another preset; no hub is reached for new ones.
    """
    if start is None:
        kernel = 1 if stage == "spatial" else preset.unet.temporal_kernel
        unet = IdentityUNet3DModel(**{**asdict(preset.unet), "temporal_kernel": kernel})
        return RendererNetworks(channels_last(unet), make_identity_encoder(preset.identity))
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


def _to(batch, device: torch.device):
    if isinstance(batch, dict):
        return {key: _to(value, device) for key, value in batch.items()}
    if isinstance(batch, list):
        return [_to(value, device) for value in batch]
    return batch.to(device, non_blocking=True)
