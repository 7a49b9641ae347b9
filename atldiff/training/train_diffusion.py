"""Trains the U-Net and the compact identity encoder: spatial first (2D), then inflated (3D)."""

import copy
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from atldiff.config import PRESETS, Preset
from atldiff.rendering.guide import noisy_residual
from atldiff.rendering.identity import CompactIdentityEncoder, ResNetIdentityEncoder
from atldiff.rendering.sampler import Condition, compute_dtype, make_scheduler
from atldiff.rendering.unet3d import IdentityUNet3DModel, inflate
from atldiff.speech.speech_encoder import StarterSpeechEncoder
from atldiff.training.clips import SampleConfig, WindowDataset, load_clips
from atldiff.training.validate_diffusion import contact_sheet, validation_scores, validation_set

SHARE_OF_LAST = 0.8  # of the samples train at t = T - 1: the only one that one-step sampling sees
EMOTION_DROPOUT = 0.2  # of the samples do not know their emotion


@dataclass(frozen=True)
class Stage:
    """Settings of one stage: `frames` a window, windows a batch, steps, peak learning rate."""

    frames: int
    batch: int
    steps: int
    learning_rate: float
    warmup: int = 50
    ema: float = 0.998
    save_seconds: float = 300.0


STAGES = {"spatial": Stage(1, 24, 2400, 6e-4), "temporal": Stage(8, 2, 600, 5e-5)}


def train_diffusion(
    data: Path,
    out: Path,
    stage: str = "spatial",
    preset: str = "starter",
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    start: Path | None = None,
    speech_encoder: Path | None = None,
) -> Path:
    """Trains one stage; run again with the same arguments to resume.

    Args:
        data: prepared clips (`atldiff.training.prepare`).  out: run folder: log.jsonl, state.pt,
            sheet-*.png, best/ and last/ (unet/ and identity_encoder/, EMA weights).
        stage: "spatial" (temporal kernel 1) or "temporal" (`start` is a spatial run's best/ or last/).
        start: folder with unet/ and identity_encoder/ to begin from.
        speech_encoder: saved encoder that hears the clips' emotion; None = the U-Net learns none.

    Returns:
        The folder of the best weights by validation score of the mouth box.
    """
    chosen = STAGES[stage]
    changes = {"steps": steps, "batch": batch, "learning_rate": learning_rate}
    chosen = Stage(**{**asdict(chosen), **{k: v for k, v in changes.items() if v is not None}})
    torch.manual_seed(seed)
    trainer = Trainer(PRESETS[preset], chosen, stage, out, torch.device(device), start)
    config = SampleConfig(chosen.frames, PRESETS[preset].prior, PRESETS[preset].guide)
    encoder = None if speech_encoder is None else StarterSpeechEncoder.from_pretrained(speech_encoder)
    dataset = WindowDataset(load_clips(data, "train", encoder), config, seed + 1000 * trainer.step)
    loader = DataLoader(dataset, batch_size=chosen.batch, num_workers=1, prefetch_factor=4)
    trainer.validation = validation_set(load_clips(data, "val"), config)
    trainer.run(iter(loader))
    return out / "best"


class Trainer:
    """Networks, optimiser and run folder of one stage."""

    def __init__(
        self, preset: Preset, stage: Stage, name: str, out: Path, device: torch.device, start: Path | None
    ) -> None:
        self.preset, self.stage, self.out, self.device = preset, stage, out, device
        out.mkdir(parents=True, exist_ok=True)
        unet, identity = _networks(preset, name, start)
        unet.to(memory_format=torch.channels_last_3d)
        self.networks = nn.ModuleDict({"unet": unet, "identity": identity}).to(device)
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        self.trained = [p for p in self.networks.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=stage.learning_rate, weight_decay=1e-4)
        self.alphas = make_scheduler().alphas_cumprod.to(device)
        self.step, self.best, self.validation = 0, -math.inf, None
        if (out / "state.pt").exists():
            self._load()

    def run(self, batches) -> None:
        """Trains to the stage's last step, saving and validating every `save_seconds`."""
        saved, losses = time.monotonic(), []
        while self.step < self.stage.steps:
            losses.append(self.train_step(next(batches)))
            if time.monotonic() - saved > self.stage.save_seconds or self.step == self.stage.steps:
                self.log({"step": self.step, "loss": sum(losses) / len(losses)} | self.validate())
                self.save()
                saved, losses = time.monotonic(), []

    def train_step(self, batch: dict[str, Tensor]) -> float:
        """One optimiser step on a batch of `make_sample`; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        batch = {key: value.to(self.device) for key, value in batch.items()}
        prior, target, still = augment_colour(*(_signed(batch[k]) for k in ("prior", "target", "identity")))
        residual = target - prior
        with self.autocast():
            heard = torch.rand(len(prior), 1, device=self.device) > EMOTION_DROPOUT
            emotion = batch["emotion"] * heard
            identity = self.networks["identity"](still)
            condition = Condition(prior, batch.get("guide"), batch["mask"], identity, emotion)
            timesteps = torch.randint(0, 1000, (len(prior),), device=self.device)
            timesteps[torch.rand(len(prior), device=self.device) < SHARE_OF_LAST] = 999
            noise = torch.rand_like(residual) * 2 - 1
            noisy = noisy_residual(residual, noise, batch["mask"], self.alphas[timesteps])
            prediction = condition.predict(self.networks["unet"], noisy, timesteps)
        loss = residual_loss(prediction.float(), residual, batch["weight"])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(self.stage.ema, self.step / (self.step + 10))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.networks.parameters(), strict=True)
            for mean, value in pairs:
                mean.lerp_(value, 1 - decay)
        return float(loss.detach())

    def autocast(self) -> torch.autocast:
        """bfloat16 arithmetic where the device has it."""
        fast = compute_dtype(self.device) is torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=fast)

    def learning_rate(self) -> float:
        """Linear warm-up, then cosine decay to zero."""
        progress = self.step / self.stage.steps
        warm = min(1.0, (self.step + 1) / self.stage.warmup)
        return self.stage.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * progress))

    def validate(self) -> dict[str, float]:
        """Scores of the averaged weights on unseen people; keeps the best by the mouth box."""
        with self.autocast():
            scores, frames = validation_scores(self.average, self.validation, self.device)
        contact_sheet(frames, self.out / f"sheet-{self.step:06d}.png")
        if scores["mouth_1"] > self.best:
            self.best = scores["mouth_1"]
            self._export("best")
        self._export("last")
        return scores

    def log(self, entry: dict[str, float]) -> None:
        """Appends a line to log.jsonl."""
        rounded = {key: round(value, 4) for key, value in entry.items()}
        with open(self.out / "log.jsonl", "a") as log:
            log.write(json.dumps(rounded) + "\n")

    def save(self) -> None:
        """Everything that resuming needs, written whole or not at all."""
        state = {"networks": self.networks.state_dict(), "average": self.average.state_dict()}
        state |= {"optimizer": self.optimizer.state_dict(), "step": self.step, "best": self.best}
        torch.save(state, self.out / "state.tmp")
        (self.out / "state.tmp").replace(self.out / "state.pt")

    def _load(self) -> None:
        state = torch.load(self.out / "state.pt", map_location=self.device, weights_only=True)
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state["best"]

    def _export(self, name: str) -> None:
        self.average["unet"].save_pretrained(self.out / name / "unet")
        self.average["identity"].save_pretrained(self.out / name / "identity_encoder")


def _networks(preset: Preset, stage: str, start: Path | None) -> tuple[nn.Module, nn.Module]:
    """The stage's U-Net and identity encoder: new, or those of the folder `start`."""
    if start is None:
        kernel = 1 if stage == "spatial" else preset.unet.temporal_kernel
        unet = IdentityUNet3DModel(**{**asdict(preset.unet), "temporal_kernel": kernel})
        compact = preset.identity == "compact"
        identity = CompactIdentityEncoder() if compact else ResNetIdentityEncoder.from_hub()
        return unet, identity
    unet = IdentityUNet3DModel.from_pretrained(start / "unet")
    if stage == "temporal" and unet.config.temporal_kernel == 1:
        unet = inflate(unet, preset.unet.temporal_kernel)
    kind = CompactIdentityEncoder if preset.identity == "compact" else ResNetIdentityEncoder
    return unet, kind.from_pretrained(start / "identity_encoder")


def residual_loss(prediction: Tensor, residual: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of the residual, of its image gradients and, in windows, of its frame differences."""
    error = prediction - residual
    terms = [(error, weight)]
    terms.append((error[..., 1:, :] - error[..., :-1, :], weight[..., 1:, :]))
    terms.append((error[..., :, 1:] - error[..., :, :-1], weight[..., :, 1:]))
    if error.shape[2] > 1:
        terms.append((error[:, :, 1:] - error[:, :, :-1], weight[:, :, 1:]))
    return sum((term.abs() * w).sum() / (3 * w.sum()) for term, w in terms)


def augment_colour(prior: Tensor, target: Tensor, still: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same random gain and offset per channel for all pictures of a sample, values in [-1, 1]."""
    gain = 1 + 0.2 * (torch.rand(len(prior), 3, 1, 1, 1, device=prior.device) - 0.5)
    shared = 0.2 * (torch.rand(len(prior), 1, 1, 1, 1, device=prior.device) - 0.5)
    offset = shared + 0.1 * (torch.rand(len(prior), 3, 1, 1, 1, device=prior.device) - 0.5)
    prior, target = ((x * gain + offset).clamp(-1, 1) for x in (prior, target))
    return prior, target, (still * gain[..., 0] + offset[..., 0]).clamp(-1, 1)


def _signed(frames: Tensor) -> Tensor:
    """uint8 -> float in [-1, 1]."""
    return frames.float() / 127.5 - 1
