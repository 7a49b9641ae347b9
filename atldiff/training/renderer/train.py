"""Trains the U-Net and the identity encoder: the spatial stage (2D), then the temporal one (inflated, 3D)."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from atldiff.config import Preset, read_preset
from atldiff.speech.encoders import load_speech_encoder
from atldiff.training.renderer.batches import MEMORY, Batches, DataConfig
from atldiff.training.renderer.clips import load_clips
from atldiff.training.renderer.networks import make_networks
from atldiff.training.renderer.reopened import load_faces
from atldiff.training.renderer.samples import SampleConfig
from atldiff.training.renderer.stages import STAGES, Stage
from atldiff.training.renderer.step import RendererStep
from atldiff.training.renderer.validation import contact_sheet, validation_scores, validation_set
from atldiff.training.runs import hub
from atldiff.training.runs.checkpoints import (
    load_state,
    report_write_errors,
    save_networks,
    save_state,
    use_average,
)
from atldiff.training.runs.processes import Journal, run_on_main, start_processes

SHARE_OF_LAST = 0.4  # share of samples at t = T - 1, for presets with several sampling steps
MAX_VALIDATION = 64  # clips; a shard's clips come from all over the corpus


@dataclass(frozen=True)
class RunConfig:
    """A run's use of its machines, and its end.

    Attributes:
        accumulate: batches an optimiser step.
        checkpointing: recompute activations, which saves memory.
        memory: GB of clips that each process holds; a larger corpus is streamed.
        patience: validations without a better score after which training ends; None: all steps.
        push_to_hub: repository for the best weights, USER/NAME; None: no upload.
        save_seconds: seconds between validations; None: the stage's.
    """

    accumulate: int = 1
    checkpointing: bool = False
    memory: float = MEMORY
    patience: int | None = None
    push_to_hub: str | None = None
    save_seconds: float | None = None


DEFAULT_RUN = RunConfig()


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
    frames: int | None = None,
    run: RunConfig = DEFAULT_RUN,
) -> Path:
    """Trains one stage on the processes of `accelerate launch`; a run with the same arguments resumes.

    Args:
        data: prepared clips (`atldiff.training.data.prepare`).
        out: run folder: log.jsonl, curves/, state.pt, sheet-*.png, best/ and last/ (averaged weights).
        stage: "spatial" (temporal kernel 1) or "temporal" (`start` is a spatial run's best/ or last/).
        preset: name or file of a preset, or the preset.
        steps, learning_rate: of the optimiser (peak rate); None: the stage's.
        batch, frames: windows a batch of each process, frames a window; None: the stage's or the preset's.
        seed, device: seed of weights and samples; "cpu", else this process's GPU is used.
        start: folder with unet/ and identity_encoder/ to begin from; None: new ones.
        speech_encoder: folder of an encoder that recognises the clips' emotion; None: the emotion is unknown.
        faces: folder of prepared single photos; None: clips alone.
        critic: whether the critic joins if the preset has a mouth view.
        run: use of the machines, and the end.

    Returns:
        The folder of the best weights by validation score.

    Raises:
        InputError: `data` was not prepared; the disk is full (the last state stays); the hub cannot be
            reached; the run in `out` has another preset, stage or seed.
    """
    row = preset if isinstance(preset, Preset) else read_preset(preset)
    changes = {"steps": steps, "batch": batch, "learning_rate": learning_rate, "frames": frames}
    chosen = make_stage(row, stage, start is not None, **changes, save_seconds=run.save_seconds)
    accelerator = start_processes(device, out, run.accumulate)
    if run.push_to_hub is not None:
        run_on_main(accelerator, partial(hub.reserve, run.push_to_hub))
    torch.manual_seed(seed)
    networks = make_networks(row, stage, start)
    if run.checkpointing:
        networks.unet.enable_gradient_checkpointing()
    step = RendererStep(networks, chosen, accelerator, seed, critic and len(row.view_sizes) > 1)
    trainer = Trainer(step, accelerator, run.patience, {"preset": asdict(row), "stage": stage, "seed": seed})
    source = _data_source(data, speech_encoder, faces, run.memory, seed, chosen.batch)
    batches = _open_data(source, trainer, SampleConfig.from_preset(row, chosen.frames))
    if start is not None and trainer.step == 0:
        trainer.validate({})
    trainer.run(batches)
    if run.push_to_hub is not None:
        run_on_main(accelerator, partial(hub.push, out / "best", run.push_to_hub))
    return out / "best"


def _data_source(
    data: Path, speech_encoder: Path | None, faces: Path | None, memory: float, seed: int, batch: int
) -> DataConfig:
    """The source of samples, with the saved encoder and the photos of `faces`."""
    encoder = None if speech_encoder is None else load_speech_encoder(speech_encoder)
    photos = () if faces is None else load_faces(faces, "train")
    return DataConfig(data, memory, encoder, photos, seed, batch)


def _open_data(source: DataConfig, trainer: "Trainer", config: SampleConfig) -> Batches:
    """The batches from the trainer's step on; the main process's trainer gets its validation samples."""
    accelerator = trainer.accelerator
    first = trainer.step * accelerator.gradient_accumulation_steps
    batches = Batches(source, config, accelerator, first, trainer.places)
    if accelerator.is_main_process:
        clips = load_clips(source.data, "val", source.encoder, MAX_VALIDATION)
        trainer.validation = validation_set(clips, config)
    return batches


def make_stage(row: Preset, name: str, pretrained: bool, **changes: Any) -> Stage:
    """The stage of that name, with every change that is not None.

    Args:
        row: the preset.
        pretrained: whether the networks are trained already; the critic then joins at once.
    """
    if pretrained:
        changes["critic_from"] = 0
    if row.steps > 1:  # one-step sampling uses t = T - 1 alone
        changes["share_of_last"] = SHARE_OF_LAST
    if name == "temporal" and changes.get("frames") is None:
        changes["frames"] = row.training_frames
    usual = STAGES[name]
    stage = replace(usual, **{key: value for key, value in changes.items() if value is not None})
    if changes.get("batch") is None:  # as many frames a step as usual
        stage = replace(stage, batch=max(1, usual.batch * usual.frames // stage.frames))
    return replace(stage, critic_lead=min(stage.critic_lead, stage.steps // 10))


class Trainer:
    """The training loop: steps, validation on unseen people, saved states, and early end.

    Attributes:
        step: number of optimiser steps taken.
        best: best validation score.
        stale: validations since the best one.
        places: positions of the processes' streams of clips in the saved state.
        validation: samples of `validation_set`, in the main process.
        fixed: settings that may not change in a run (see `load_state`).
    """

    def __init__(
        self, take_step: RendererStep, accelerator: Accelerator, patience: int | None, fixed: dict[str, Any]
    ) -> None:
        self.take_step, self.accelerator, self.patience = take_step, accelerator, patience
        self.out, self.stage, self.fixed = Path(accelerator.project_dir), take_step.stage, fixed
        self.step, self.best, self.stale = 0, -math.inf, 0
        self.places: list[dict] = []
        self.validation: list[dict] = []
        if (self.out / "state.pt").exists():
            state = load_state(self.out / "state.pt", take_step.parts, accelerator.device, fixed)
            self.step, self.best, self.stale = state["step"], state["best"], state["stale"]
            self.places = state["places"]
        self.journal = Journal(accelerator, "log", self.step)

    def run(self, batches: Batches) -> None:
        """Trains to the last step, or until the score stops rising; validates and saves meanwhile."""
        saved, losses, feed = time.monotonic(), [], iter(batches)
        while self.step < self.stage.steps and not self.is_exhausted():
            losses.append(self.train_step(feed))
            if self.accelerator.is_main_process and time.monotonic() - saved > self.stage.save_seconds:
                self.accelerator.set_trigger()
            if self.accelerator.check_trigger() or self.step == self.stage.steps:
                self.validate(self._means(losses))
                self.save(batches)
                saved, losses = time.monotonic(), []
        self.journal.close()

    def train_step(self, feed: Iterator[tuple[range, dict]]) -> dict[str, Tensor]:
        """Takes one optimiser step on its accumulated batches; returns this process's losses."""
        batches = [next(feed) for _ in range(self.accelerator.gradient_accumulation_steps)]
        losses = self.take_step(batches, self.step)
        self.step += 1
        return losses

    def is_exhausted(self) -> bool:
        """Whether `patience` validations brought no better score."""
        return self.patience is not None and self.stale >= self.patience

    def validate(self, losses: dict[str, float]) -> None:
        """Scores the averaged weights on unseen people, saves the best, and logs the scores."""
        score = run_on_main(self.accelerator, lambda: self._score(losses))
        better = score > self.best
        self.best, self.stale = max(score, self.best), 0 if better else self.stale + 1

    def save(self, batches: Batches) -> None:
        """Saves all that an exact resume needs, whole or not at all."""
        values = {"step": self.step, "best": self.best, "stale": self.stale, "places": batches.places()}
        values |= {"settings": self.fixed}
        if self.accelerator.is_main_process:
            save_state(self.out / "state.pt", self.take_step.parts, **values)

    def _score(self, losses: dict[str, float]) -> float:
        """Validates, saves and logs in the main process; returns the score."""
        networks = self.take_step.networks
        with use_average(networks, self.take_step.average), self.take_step.autocast():
            scores, frames = validation_scores(networks, self.validation, self.accelerator.device)
            with report_write_errors(self.out):
                sheet = contact_sheet(frames, self.out / f"sheet-{self.step:06d}.png")
            parts = {"unet": networks.unet, "identity_encoder": networks.identity}
            for name in ("last", "best") if scores["score"] > self.best else ("last",):
                save_networks(self.out / name, parts)
        rounded = {name: round(value, 6) for name, value in (losses | scores).items()}
        self.journal.write({"step": self.step} | rounded, sheet)
        return scores["score"]

    def _means(self, losses: list[dict[str, Tensor]]) -> dict[str, float]:
        """Means of each loss over the steps that have it and over all processes."""
        names = sorted(set().union(*losses))
        means = [torch.stack([x[name] for x in losses if name in x]).mean() for name in names]
        return dict(zip(names, self.accelerator.reduce(torch.stack(means), "mean").tolist(), strict=True))
