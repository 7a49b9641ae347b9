"""Trains the U-Net and the compact identity encoder: spatial first (2D), then inflated (3D)."""

import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.utils.data import DataLoader

from atldiff.config import Preset, read_preset
from atldiff.rendering.guide import noisy_residual
from atldiff.rendering.identity import (
    CompactIdentityEncoder,
    ResNetIdentityEncoder,
    make_identity_encoder,
)
from atldiff.rendering.sampler import Condition, compute_dtype, make_scheduler
from atldiff.rendering.unet3d import IdentityUNet3DModel, channels_last, inflate
from atldiff.speech.wav2vec2_encoder import load_speech_encoder
from atldiff.training.adversary import PatchCritic, critic_loss, generator_losses, middle
from atldiff.training.clips import load_clips
from atldiff.training.diffusion_loss import augment_colour, residual_loss
from atldiff.training.faces import load_faces
from atldiff.training.samples import SampleConfig, WindowDataset
from atldiff.training.stages import STAGES, Stage
from atldiff.training.validate_diffusion import contact_sheet, validation_scores, validation_set

EMOTION_DROPOUT = 0.2  # of the samples do not know their emotion
SHARE_OF_LAST = 0.4  # of the samples at t = T - 1, for presets of several steps
MOUTH = 1  # the mouth's place among a sample's views


def train_diffusion(
    data: Path,
    out: Path,
    stage: str = "spatial",
    preset: str | Preset = "starter",
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    start: Path | None = None,
    speech_encoder: Path | None = None,
    faces: Path | None = None,
    critic: bool = True,
) -> Path:
    """Trains one stage; run again with the same arguments to resume.

    Args:
        data: prepared clips (`atldiff.training.prepare`).  out: run folder: log.jsonl, state.pt,
            sheet-*.png, best/ and last/ (unet/ and identity_encoder/, averaged weights).
        stage: "spatial" (temporal kernel 1) or "temporal" (`start` is a spatial run's best/ or last/).
        start: folder with unet/ and identity_encoder/ to begin from.
        speech_encoder: saved encoder that hears the clips' emotion; None = the U-Net learns none.
        faces: prepared single photos (`atldiff.training.faces`); None = clips alone.
        critic: it joins where the preset has a mouth view.

    Returns:
        The folder of the best weights by validation score.
    """
    row = preset if isinstance(preset, Preset) else read_preset(preset)
    chosen = STAGES[stage]
    changes: dict = {"steps": steps, "batch": batch, "learning_rate": learning_rate}
    if row.steps > 1:  # one-step sampling sees t = T - 1 alone, the others see it among others
        changes["share_of_last"] = SHARE_OF_LAST
    chosen = Stage(**{**asdict(chosen), **{k: v for k, v in changes.items() if v is not None}})
    torch.manual_seed(seed)
    trainer = Trainer(row, chosen, stage, out, torch.device(device), start)
    trainer.judged = trainer.judged and critic
    encoder = None if speech_encoder is None else load_speech_encoder(speech_encoder)
    photos = () if faces is None else load_faces(faces, "train")
    config = SampleConfig.of(row, chosen.frames)
    place = (seed, chosen.batch, trainer.step * chosen.batch, photos)
    dataset = WindowDataset(load_clips(data, "train", encoder), config, *place)
    loader = DataLoader(dataset, batch_size=chosen.batch, num_workers=1, prefetch_factor=4)
    trainer.validation = validation_set(
        load_clips(data, "val", encoder), SampleConfig.of(row, chosen.frames, False)
    )
    trainer.run(iter(loader))
    return out / "best"


class Trainer:
    """Networks, critic, optimisers and run folder of one stage."""

    def __init__(
        self, preset: Preset, stage: Stage, name: str, out: Path, device: torch.device, start: Path | None
    ) -> None:
        self.stage, self.out, self.device = stage, out, device
        out.mkdir(parents=True, exist_ok=True)
        unet, identity = _networks(preset, name, start)
        self.networks = nn.ModuleDict({"unet": channels_last(unet), "identity": identity}).to(device)
        self.trained = [p for p in self.networks.parameters() if p.requires_grad]
        self.average = EMAModel(self.trained, decay=stage.ema)
        self.optimizer = torch.optim.AdamW(self.trained, lr=stage.learning_rate, weight_decay=1e-4)
        self.judged = len(preset.view_sizes) > 1  # the paper's presets see no mouth view: no critic
        self.critic = PatchCritic(unet.config.guide_channels).to(device, memory_format=torch.channels_last)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=4e-4, betas=(0.0, 0.99))
        self.alphas = make_scheduler().alphas_cumprod.to(device)
        self.step, self.best = 0, -math.inf
        self.validation: list[dict] = []
        if (out / "state.pt").exists():
            self._load()

    def run(self, batches) -> None:
        """Trains to the stage's last step, saving and validating every `save_seconds`."""
        saved, losses = time.monotonic(), []
        while self.step < self.stage.steps:
            losses.append(self.train_step(next(batches)))
            if time.monotonic() - saved > self.stage.save_seconds or self.step == self.stage.steps:
                means = {name: sum(x[name] for x in losses) / len(losses) for name in losses[0]}
                self.log({"step": self.step} | means | self.validate())
                self.save()
                saved, losses = time.monotonic(), []

    def train_step(self, batch: dict) -> dict[str, float]:
        """One optimiser step on a batch of `clips.make_sample`; returns the losses."""
        batch = _to(batch, self.device)
        still, views = augment_colour(batch["identity"], batch["views"])
        heard = torch.rand(len(still), 1, device=self.device) > EMOTION_DROPOUT
        timesteps = torch.randint(0, 1000, (len(still),), device=self.device)
        timesteps[torch.rand(len(still), device=self.device) < self.stage.share_of_last] = 999
        with self.autocast():
            identity = self.networks["identity"](still)
            predictions = [
                self._predict(view, identity, batch["emotion"] * heard, timesteps) for view in views
            ]
        residuals = [view["target"] - view["prior"] for view in views]
        parts = [
            residual_loss(p, r, v, self.stage.fine_share)
            for p, r, v in zip(predictions, residuals, views, strict=True)
        ]
        loss = sum(parts) / len(parts)
        losses = {"loss": loss}
        if self.judged and self.step >= self.stage.critic_from:
            losses |= self._judge(views[MOUTH], predictions[MOUTH])
            loss = (
                loss
                + self.stage.adversarial * losses["adversarial"]
                + self.stage.matching * losses["matching"]
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.average.step(self.trained)
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def _predict(self, view: dict, identity: Tensor, emotion: Tensor, timesteps: Tensor) -> Tensor:
        """r_0 (B, 3, F, S, S) of a view noised to the timesteps; one noise for all frames of a window."""
        residual = view["target"] - view["prior"]
        noise = torch.rand_like(residual[:, :, :1]).expand_as(residual) * 2 - 1
        noisy = noisy_residual(residual, noise, view["mask"], self.alphas[timesteps])
        condition = Condition(view["prior"], view.get("guide"), view["mask"], identity, emotion)
        return condition.predict(self.networks["unet"], noisy, timesteps).float()

    def _judge(self, view: dict, prediction: Tensor) -> dict[str, Tensor]:
        """One step of the critic on the mouth view; then its losses for the generator."""
        pictures = (view["target"], view["prior"] + prediction, view["guide"])
        real, made, guide = (middle(x.transpose(1, 2).flatten(0, 1)) for x in pictures)
        with self.autocast():
            own = critic_loss(self.critic, real, made.detach(), guide)
            self.critic_optimizer.zero_grad(set_to_none=True)
            own.backward()
            self.critic_optimizer.step()
            self.critic.requires_grad_(False)
            adversarial, matching = generator_losses(self.critic, real, made, guide)
            self.critic.requires_grad_(True)
        return {"critic": own, "adversarial": adversarial, "matching": matching}

    def autocast(self) -> torch.autocast:
        """Half precision where the device computes it faster."""
        dtype = compute_dtype(self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=dtype is torch.bfloat16)

    def learning_rate(self) -> float:
        """Linear warm-up, constant, and a linear fall over the last fifth of the steps."""
        left = (self.stage.steps - self.step) / (0.2 * self.stage.steps)
        return self.stage.learning_rate * min(1.0, (self.step + 1) / self.stage.warmup, left)

    def validate(self) -> dict[str, float]:
        """Scores of the averaged weights on unseen people; keeps the best of them."""
        self.average.store(self.trained)
        self.average.copy_to(self.trained)
        with self.autocast():
            scores, frames = validation_scores(self.networks, self.validation, self.device)
        contact_sheet(frames, self.out / f"sheet-{self.step:06d}.png")
        self._export("last")
        if scores["score"] > self.best:
            self.best = scores["score"]
            self._export("best")
        self.average.restore(self.trained)
        return scores

    def log(self, entry: dict[str, float]) -> None:
        """Appends a line to log.jsonl."""
        rounded = {key: round(value, 4) for key, value in entry.items()}
        with open(self.out / "log.jsonl", "a") as log:
            log.write(json.dumps(rounded) + "\n")

    def save(self) -> None:
        """Everything that resuming needs, written whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"step": self.step, "best": self.best, "rng": torch.get_rng_state()}
        torch.save(state, self.out / "state.tmp")
        (self.out / "state.tmp").replace(self.out / "state.pt")

    def _parts(self) -> dict:
        names = ("networks", "average", "optimizer", "critic", "critic_optimizer")
        return {name: getattr(self, name) for name in names}

    def _load(self) -> None:
        state = torch.load(self.out / "state.pt", map_location=self.device, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.best = state["step"], state["best"]
        torch.set_rng_state(state["rng"].cpu())

    def _export(self, name: str) -> None:
        self.networks["unet"].save_pretrained(self.out / name / "unet")
        self.networks["identity"].save_pretrained(self.out / name / "identity_encoder")


def _networks(preset: Preset, stage: str, start: Path | None) -> tuple[nn.Module, nn.Module]:
    """The stage's U-Net and identity encoder: new, or those of the folder `start`."""
    if start is None:
        kernel = 1 if stage == "spatial" else preset.unet.temporal_kernel
        unet = IdentityUNet3DModel(**{**asdict(preset.unet), "temporal_kernel": kernel})
        return unet, make_identity_encoder(preset.identity)
    unet = IdentityUNet3DModel.from_pretrained(start / "unet")
    if stage == "temporal" and unet.config.temporal_kernel == 1:
        unet = inflate(unet, preset.unet.temporal_kernel)
    kind = CompactIdentityEncoder if preset.identity == "compact" else ResNetIdentityEncoder
    return unet, kind.from_pretrained(start / "identity_encoder")


def _to(batch, device: torch.device):
    if isinstance(batch, dict):
        return {key: _to(value, device) for key, value in batch.items()}
    return [_to(value, device) for value in batch] if isinstance(batch, list) else batch.to(device)
