"""Trains the landmark generator (and the encoder's context gate) on prepared speech clips."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from atldiff.config import LandmarkConfig, shape_of
from atldiff.errors import InputError
from atldiff.evaluation.landmark_scores import validate_landmarks
from atldiff.loading import load_network
from atldiff.speech.encoders import Encoder
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.training.landmarks.clips import (
    SpeechClip,
    StoredSpeech,
    data_key,
    load_speech_clips,
    read_speech_clips,
)
from atldiff.training.landmarks.components import fit_components
from atldiff.training.landmarks.encoded import encode_versions, fit_features
from atldiff.training.landmarks.folds import Fold, held_out, trained_on
from atldiff.training.landmarks.lags import LandmarkNetworks, measure_lags
from atldiff.training.landmarks.loss import landmark_loss
from atldiff.training.landmarks.teachers import teach_versions
from atldiff.training.landmarks.windows import Batch, clip_shares, draw_batch
from atldiff.training.runs.average import EMAModel
from atldiff.training.runs.checkpoints import (
    load_state,
    report_write_errors,
    resume_schedule,
    save_networks,
    save_state,
    save_text,
    use_average,
)
from atldiff.training.runs.processes import (
    Journal,
    mean_over_processes,
    run_on_main,
    sample_generator,
    sample_numbers,
    seed_step,
    start_processes,
)

MAX_VALIDATION = 64  # clips; a shard's clips come from all over the corpus


@dataclass(frozen=True)
class LandmarkStage:
    """Settings of the training.

    Attributes:
        batch: windows a batch of each process.
        frames: frames a window.
        steps: optimiser steps.
        learning_rate: peak of the one-cycle schedule.
        versions: augmented versions of each clip.
        lag_step: steps between measurements of the clips' lags, which training then corrects.
        ema: decay of the averaged weights.
        validate_every: steps between validations.
        velocity: weight of the speed's loss.
        fold: people of the training split who choose the best step instead of the validation people, and are
            not trained on.
        teachers: folders of finished runs on the same clips, whose mean prediction is learnt, too.
        trained: whether the generator was trained before; it keeps its basis, and the encoder its statistics.
    """

    batch: int = 16
    frames: int = 90
    steps: int = 600
    learning_rate: float = 1.5e-3
    versions: int = 3
    lag_step: int = 250
    ema: float = 0.99
    validate_every: int = 100
    velocity: float = 0.5
    fold: Fold | None = None
    teachers: tuple[str, ...] = ()
    trained: bool = False


def begin_generator(
    encoder: Encoder, shape: LandmarkConfig, seed: int, start: Path | None = None
) -> LandmarkGenerator:
    """A new generator for the encoder's features, determined by the seed; or the one in the folder `start`.

    Raises:
        InputError: there is no generator in `start`.
    """
    if start is not None:
        remedy = "Name the landmark_generator folder of a landmark run or of a pipeline"
        return load_network(start, [LandmarkGenerator], "landmark generator", remedy)
    torch.manual_seed(seed)
    return LandmarkGenerator(encoder.feature_dim, **asdict(shape))


def train_landmarks(
    data: Path,
    out: Path,
    encoder: Encoder,
    generator: LandmarkGenerator,
    stage: LandmarkStage = LandmarkStage(),
    seed: int = 0,
    device: str = "cpu",
    patience: int | None = None,
) -> dict:
    """Trains `generator` and `encoder.gate` on `data` (see `prepare`); a second run resumes exactly.

    Clips are stored in `out` and read on access, so memory does not grow with the corpus. It writes to `out`
    landmarks.pt: the state to resume from;
    lags.json: the clips' lags, which another run on the same clips uses from its first step;
    landmarks.jsonl: losses and validation scores;
    speech_encoder, landmark_generator, best.json: the weights with the best correlation, and their scores.
    Both networks end with the best weights.

    Args:
        patience: validations without a better score after which training ends; None: all steps.

    Returns:
        The best step's validation scores.

    Raises:
        InputError: `data` was not prepared, a teacher learnt from other clips, or the run in `out` was begun
            with other data, networks or settings.
    """
    accelerator = start_processes(device, out, find_unused_parameters=True)
    torch.manual_seed(seed)
    training = read_speech_clips(data, "train")
    clips = run_on_main(accelerator, lambda: StoredSpeech.store(out / "clips.bin", training))
    fold = stage.fold
    unseen = held_out(clips, fold) if fold else load_speech_clips(data, "val", MAX_VALIDATION)
    if not clips or not unseen:
        raise InputError(f"{data} has no speech to train on, or none to validate with", "Prepare more clips")
    trainer = LandmarkTrainer(clips, unseen, encoder, generator, stage, seed, accelerator, patience)
    trainer.run()
    best = json.loads((out / "best.json").read_text())
    encoder.gate.load_state_dict(type(encoder).from_pretrained(out / "speech_encoder").gate.state_dict())
    generator.load_state_dict(LandmarkGenerator.from_pretrained(out / "landmark_generator").state_dict())
    generator.eval()
    trainer.journal.write({"stage": asdict(stage), "seed": seed, "lags": trainer.state["lags"]})
    return best


class LandmarkTrainer:
    """Networks, optimiser, encoded clips and run folder.

    Attributes:
        state: other values that a resumed run needs: step, best score, validations since, lags, trust.
    """

    def __init__(
        self,
        clips: StoredSpeech,
        unseen: list[SpeechClip],
        encoder: Encoder,
        generator: LandmarkGenerator,
        stage: LandmarkStage,
        seed: int,
        accelerator: Accelerator,
        patience: int | None,
    ) -> None:
        self.accelerator, self.device, out = accelerator, accelerator.device, Path(accelerator.project_dir)
        self.unseen, self.out, self.encoder = unseen, out, encoder.to(self.device)
        self.generator, self.stage, self.seed = generator.to(self.device), stage, seed
        self.patience = patience
        key = data_key(encoder, clips)
        with accelerator.main_process_first():  # the others read its files
            features = out / f"features-{key}.pt"
            if features.exists():
                encoder.load_state_dict(torch.load(features, weights_only=True), strict=False)
            else:
                statistics = {} if stage.trained else fit_features(encoder, clips)
                with report_write_errors(features):
                    torch.save(statistics, features)
            raw = generator.hears_waveform
            self.versions = encode_versions(out, key, encoder, clips, stage.versions, seed, raw)
            if stage.teachers:
                runs = [Path(folder) for folder in stage.teachers]
                self.versions = teach_versions(out, key, self.versions, runs, encoder)
        rows = [(clip.stem, clip.speaker, len(clip.ok)) for clip in clips]
        self.stems, self.speakers, frames = (list(column) for column in zip(*rows, strict=True))
        mask = trained_on(self.speakers, stage.fold)
        if not stage.trained:
            fit_components(generator, compress(clips, mask))
        self.net = LandmarkNetworks(generator, encoder.gate).train()
        self.average = EMAModel(self.net.parameters(), decay=stage.ema)
        optimizer = torch.optim.AdamW(self.net.parameters(), stage.learning_rate, weight_decay=0.05)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.learning_rate, stage.steps + 1)
        self.model, self.optimizer = accelerator.prepare(self.net, optimizer)
        self.state: dict[str, Any] = {"step": 0, "best": -1.0, "stale": 0, "data": key}
        self.state |= {"lags": [0] * len(clips), "trust": [1.0] * len(clips)}
        self.shares = clip_shares(self.speakers, frames) * mask
        if (out / "lags.json").exists():
            lags = json.loads((out / "lags.json").read_text())
            self.state |= lags if lags.pop("clips") == self.stems else {}
        if (out / "landmarks.pt").exists():
            self._resume()
        self.journal = Journal(accelerator, "landmarks", self.state["step"])

    def run(self) -> None:
        """Trains to the last step, or until `patience` validations bring no better score."""
        stage, state, main = self.stage, self.state, self.accelerator.is_main_process
        while state["step"] < stage.steps and not (self.patience and state["stale"] >= self.patience):
            terms = self.train_step()
            if state["step"] % stage.lag_step == 0:
                with use_average(self.net, self.average):
                    measure = partial(measure_lags, self.net, self.speakers, self.versions[0], self.device)
                    state |= run_on_main(self.accelerator, measure)
                lags = {"clips": self.stems} | {key: state[key] for key in ("lags", "trust")}
                if main:
                    save_text(self.out / "lags.json", json.dumps(lags))
            if state["step"] % stage.validate_every == 0 or state["step"] == stage.steps:
                means = self.accelerator.reduce(terms, "mean")
                losses = {f"{name}_loss": value.item() for name, value in means.items()}
                self.journal.write({"step": state["step"]} | losses | self.validate())
                if main:
                    save_state(
                        self.out / "landmarks.pt", self._parts(), state=state, settings=self._settings()
                    )
        self.journal.close()

    def train_step(self) -> dict[str, Tensor]:
        """Takes one optimiser step; returns the loss's terms."""
        accelerator, stage, step = self.accelerator, self.stage, self.state["step"]
        mine = next(sample_numbers(accelerator, stage.batch, 0))
        total, rows = stage.batch * accelerator.num_processes, slice(mine.start, mine.stop)
        rng = np.random.default_rng([self.seed, step])
        share = self.shares * self.state["trust"]
        batch = draw_batch(self.versions, share, self.state["lags"], total, stage.frames, rng)
        generator = sample_generator(self.seed, step, self.device)
        noise = torch.randn(batch.acoustic.shape, generator=generator, device=self.device)[rows]
        batch = Batch(**{name: value[rows].to(self.device) for name, value in vars(batch).items()})
        seed_step(accelerator, self.seed, step)
        acoustic = batch.acoustic + 0.2 * noise
        frames = batch.target.shape[1]
        predicted = self.model(acoustic, batch.emotion, batch.identity, frames, batch.samples)
        across = mean_over_processes(accelerator)
        loss, terms = landmark_loss(predicted, batch.target, batch.identity, batch.ok, stage.velocity, across)
        self.optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.average.step(self.net.parameters())
        self.state["step"] += 1
        return {name: value.detach() for name, value in terms.items()}

    def validate(self) -> dict[str, float]:
        """Scores the averaged weights on unseen people, with each recording's own emotion; saves the best."""
        report, state = run_on_main(self.accelerator, self._report), self.state
        better = report["correlation"] > state["best"]
        state["best"] = max(report["correlation"], state["best"])
        state["stale"] = 0 if better else state["stale"] + 1
        return {name: value for name, value in report.items() if name != "clips"}

    def _report(self) -> dict:
        """Validation scores; saves the networks if they are the best."""
        with use_average(self.net, self.average):
            report = validate_landmarks(self.encoder, self.generator, self.unseen)
            if report["correlation"] > self.state["best"]:
                parts = {"speech_encoder": self.encoder, "landmark_generator": self.generator}
                save_networks(self.out, parts)
                entry = {"step": self.state["step"]} | report
                save_text(self.out / "best.json", json.dumps(entry, indent=1))
        return report

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("net", "average", "optimizer")}

    def _settings(self) -> dict[str, Any]:
        shape = shape_of(LandmarkConfig, self.generator.config)
        fold = self.stage.fold
        settings = {"landmark generator": asdict(shape), "seed": self.seed}
        return settings | {"fold": fold and asdict(fold), "teachers": list(self.stage.teachers)}

    def _resume(self) -> None:
        values = load_state(self.out / "landmarks.pt", self._parts(), self.device, self._settings())
        state = values["state"]
        if state["data"] != self.state["data"]:
            raise InputError(f"The run in {self.out} was begun with other data", "Choose another --out")
        self.average.to(self.device)
        self.state = state
        resume_schedule(self.schedule, state["step"])
