"""One step of the renderer's training: the losses and the critic."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import Tensor

from atldiff.rendering.diffusion.sampler import compute_dtype
from atldiff.training.renderer.critic import (
    MouthCritic,
    Pairs,
    balance_terms,
    critic_loss,
    critic_optimizer,
    generator_losses,
)
from atldiff.training.renderer.losses import residual_loss, shading_loss, soften_target, vary_colours
from atldiff.training.renderer.networks import Draws, RendererNetworks, renderer_optimizer
from atldiff.training.renderer.stages import Stage
from atldiff.training.runs.average import EMAModel
from atldiff.training.runs.processes import mean_over_processes

MOUTH = 1  # the mouth's place among a sample's views


class RendererStep:
    """Networks, critic, their optimisers and the averaged weights; a call takes one optimiser step.

    Attributes:
        networks, critic: the bare networks.
        model, judge: their wrappers for several processes, which training calls.
        use_critic: whether the critic takes part.
    """

    def __init__(
        self, networks: RendererNetworks, stage: Stage, accelerator: Accelerator, seed: int, use_critic: bool
    ) -> None:
        self.stage, self.accelerator, self.seed, self.use_critic = stage, accelerator, seed, use_critic
        device = accelerator.device
        self.networks = networks.to(device)
        self.weights = [p for p in networks.parameters() if p.requires_grad]
        self.average = EMAModel(networks.parameters(), decay=stage.ema)
        optimizer = renderer_optimizer(networks, stage.learning_rate)
        guides = networks.unet.config.guide_channels
        self.critic = MouthCritic(guides).to(device)
        self.critic.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        judging = critic_optimizer(self.critic)
        self.model, self.optimizer = accelerator.prepare(networks, optimizer)
        self.judge, self.critic_optimizer = accelerator.prepare(self.critic, judging)
        self._over_processes = mean_over_processes(accelerator)

    @property
    def parts(self) -> dict:
        """All parts whose state an exact resume needs, by name."""
        names = ("networks", "average", "optimizer", "critic", "critic_optimizer")
        return {name: getattr(self, name) for name in names}

    def __call__(self, batches: Sequence[tuple[Iterable[int], dict]], step: int) -> dict[str, Tensor]:
        """Takes one optimiser step.

        Args:
            batches: (sample numbers, batch of `samples.make_sample`), one for each accumulation.
            step: number of the step.

        Returns:
            The losses by name, means over batches; `Accelerator.reduce` averages them over processes.
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
        """Computes one batch's gradients; the last batch also takes the step."""
        batch = _to(batch, self.accelerator.device)
        sizes = [view["prior"].shape[-1] for view in batch["views"]]
        share, device = self.stage.share_of_last, self.accelerator.device
        draws = Draws.from_seed(self.seed, numbers, sizes, share, device)
        still, views = vary_colours(batch["identity"], batch["views"], draws.gain, draws.offset)
        views = [soften_target(view) for view in views]
        judging = step - self.stage.critic_from if self.use_critic else -1
        alone, losses = 0 <= judging < self.stage.critic_lead, {}
        emotion, style = batch["emotion"] * draws.use_emotion, batch["style"] * draws.use_style
        with self.autocast(), torch.set_grad_enabled(not alone):
            predictions = self.model(still, emotion, style, views, draws)
        if judging >= 0:
            noise = draws.noises[MOUTH].flip(-2)  # not the noise of the pictures
            pairs = Pairs.from_view(views[MOUTH], predictions[MOUTH], noise)
            losses["critic"] = self._teach_critic(pairs)
        if alone:
            return losses
        parts = [
            self._view_loss(number, view, prediction, len(views))
            for number, (view, prediction) in enumerate(zip(views, predictions, strict=True))
        ]
        loss = losses["loss"] = torch.stack(parts).mean()
        if judging >= 0:
            losses |= self._critic_losses(pairs, predictions[MOUTH], loss)
            loss = loss + self.stage.adversarial * losses["adversarial"]
            loss = loss + self.stage.matching * losses["matching"]
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * self.learning_rate(step)
        self.accelerator.backward(loss)
        if self.accelerator.sync_gradients:
            self.accelerator.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return losses

    def _view_loss(self, number: int, view: dict, prediction: Tensor, views: int) -> Tensor:
        """The loss of view number `number`."""
        residual, over = view["target"] - view["prior"], self._over_processes
        if views > MOUTH and number < MOUTH:
            return shading_loss(prediction, residual, view, over)
        return residual_loss(prediction, residual, view, self.stage.fine_share, self.stage.coarse_share, over)

    def _teach_critic(self, pairs: Pairs) -> Tensor:
        """Takes two steps of the critic, on the mouths and their mirror images; returns the last loss."""
        for version in pairs.for_critic():
            with self.autocast():
                loss = critic_loss(self.judge, version, self._over_processes)
            self.accelerator.backward(loss)
            self.critic_optimizer.step()
            self.critic_optimizer.zero_grad()
        return loss

    def _critic_losses(self, pairs: Pairs, prediction: Tensor, loss: Tensor) -> dict[str, Tensor]:
        """The critic's losses; the adversarial one is balanced with the loss on pictures."""
        self.critic.requires_grad_(False)
        with self.autocast():
            kinds, matching = generator_losses(self.critic, pairs, self._over_processes)
            adversarial = balance_terms(loss, kinds, prediction, self._over_processes)
        self.critic.requires_grad_(True)
        return {"adversarial": adversarial, "matching": matching}

    def autocast(self) -> torch.autocast | nullcontext:
        """Autocast to bfloat16 if the device computes it faster."""
        device = self.accelerator.device
        half = compute_dtype(device) is torch.bfloat16
        return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, constant, and a linear fall over the last fifth of the steps."""
        left = (self.stage.steps - step) / (0.2 * self.stage.steps)
        return self.stage.learning_rate * min(1.0, (step + 1) / self.stage.warmup, left)


def _to(batch, device: torch.device):
    if isinstance(batch, dict):
        return {key: _to(value, device) for key, value in batch.items()}
    if isinstance(batch, list):
        return [_to(value, device) for value in batch]
    return batch.to(device, non_blocking=True)
