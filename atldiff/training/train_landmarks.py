"""Trains the landmark generator (and the encoder's context gate) on prepared speech clips."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from atldiff import landmarks as lm
from atldiff.errors import InputError
from atldiff.evaluation.landmark_metrics import best_lag, correlation
from atldiff.evaluation.landmark_scores import MAX_LAG, validate_landmarks
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.speech_encoder import SpeechFeatures
from atldiff.speech.wav2vec2_encoder import Encoder
from atldiff.training.landmark_loss import landmark_loss
from atldiff.training.landmark_windows import Batch, clip_shares, draw_batch
from atldiff.training.resuming import averaged, load_state, save_state
from atldiff.training.speech_clips import (
    Example,
    SpeechClip,
    data_key,
    encoded_versions,
    fit_features,
    load_speech_clips,
)

MOUTH_WEIGHT = 2.0  # of the mouth's coordinates in the principal components


@dataclass(frozen=True)
class LandmarkStage:
    """Settings: windows a batch, frames a window, steps, peak learning rate, versions of each clip.

    Every `lag_step` steps the network measures how late each clip's picture is against its sound,
    and from there on the training corrects it. `velocity` weighs the loss of the speed.
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


def train_landmarks(
    data: Path,
    out: Path,
    encoder: Encoder,
    generator: LandmarkGenerator,
    stage: LandmarkStage = LandmarkStage(),
    seed: int = 0,
    device: str = "cpu",
) -> dict:
    """Trains `generator` and `encoder.gate` on `data` (see `prepare`); run again to resume exactly.

    Writes `out/landmarks.pt` (state to resume from), `out/lags.json` (a second run on the same clips
    that finds it there knows their lags from its first step), `out/landmarks.jsonl` (losses and
    validation scores), `out/best.json` and, at each best validation correlation, `out/speech_encoder`
    and `out/landmark_generator`. Leaves the best weights in both networks.

    Returns:
        The best step's validation scores.

    Raises:
        InputError: `data` was not prepared, or the run in `out` was begun with other data.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    clips, unseen = load_speech_clips(data, "train"), load_speech_clips(data, "val")
    if not clips or not unseen:
        raise InputError(f"{data} has no speech to train on, or none to validate with", "Prepare more clips")
    trainer = LandmarkTrainer(clips, unseen, out, encoder, generator, stage, seed, torch.device(device))
    trainer.run()
    best = json.loads((out / "best.json").read_text())
    encoder.gate.load_state_dict(type(encoder).from_pretrained(out / "speech_encoder").gate.state_dict())
    generator.load_state_dict(LandmarkGenerator.from_pretrained(out / "landmark_generator").state_dict())
    generator.eval()
    trainer.log({"stage": asdict(stage), "seed": seed, "lags": trainer.state["lags"]})
    return best


class LandmarkTrainer:
    """Networks, optimiser, encoded clips and run folder; `state` is what else a resumed run must know."""

    def __init__(
        self,
        clips: list[SpeechClip],
        unseen: list[SpeechClip],
        out: Path,
        encoder: Encoder,
        generator: LandmarkGenerator,
        stage: LandmarkStage,
        seed: int,
        device: torch.device,
    ) -> None:
        self.clips, self.unseen, self.out, self.encoder = clips, unseen, out, encoder.to(device)
        self.generator, self.stage, self.seed, self.device = generator.to(device), stage, seed, device
        key = data_key(encoder, clips)
        features = out / f"features-{key}.pt"
        if features.exists():
            encoder.load_state_dict(torch.load(features, weights_only=True), strict=False)
        else:
            torch.save(fit_features(encoder, clips), features)
        self.versions = encoded_versions(out, key, encoder, clips, stage.versions, seed)
        fit_components(generator, clips)
        self.net = nn.ModuleDict({"generator": generator, "gate": encoder.gate}).train()
        self.average = EMAModel(self.net.parameters(), decay=stage.ema)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), stage.learning_rate, weight_decay=0.05)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, stage.learning_rate, stage.steps + 1
        )
        self.state: dict[str, Any] = {"step": 0, "best": -1.0, "data": key}
        self.state |= {"lags": [0] * len(clips), "trust": [1.0] * len(clips)}
        self.stems = [clip.stem for clip in clips]
        if (out / "lags.json").exists():
            known = json.loads((out / "lags.json").read_text())
            self.state |= known if known.pop("clips") == self.stems else {}
        if (out / "landmarks.pt").exists():
            self._resume()

    def run(self) -> None:
        """Trains to the stage's last step; looks at the unseen clips and saves now and then."""
        stage, state = self.stage, self.state
        while state["step"] < stage.steps:
            terms = self.train_step()
            if state["step"] % stage.lag_step == 0:
                with averaged(self.net, self.average):
                    state |= measure_lags(self.net, self.clips, self.versions[0], self.device)
                lags = {"clips": self.stems} | {key: state[key] for key in ("lags", "trust")}
                (self.out / "lags.json").write_text(json.dumps(lags))
            if state["step"] % stage.validate_every == 0 or state["step"] == stage.steps:
                losses = {f"{name}_loss": value for name, value in terms.items()}
                self.log({"step": state["step"]} | losses | self.validate())
                save_state(self.out / "landmarks.pt", self._parts(), state=state)

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the loss's terms."""
        rng = np.random.default_rng([self.seed, self.state["step"]])
        share = clip_shares(self.clips) * self.state["trust"]
        size = self.stage.batch, self.stage.frames
        batch = draw_batch(self.versions, share, self.state["lags"], *size, rng)
        batch = Batch(**{name: value.to(self.device) for name, value in vars(batch).items()})
        loss, terms = landmark_loss(
            self._predicted(batch), batch.target, batch.identity, batch.ok, self.stage.velocity
        )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.average.step(self.net.parameters())
        self.state["step"] += 1
        return {name: value.item() for name, value in terms.items()}

    def _predicted(self, batch: Batch) -> Tensor:
        """Displacements of a batch (B, F, 68, 2) from its features under noise."""
        acoustic = batch.acoustic + 0.2 * torch.randn_like(batch.acoustic)
        features = SpeechFeatures(acoustic, self.net["gate"](acoustic, batch.emotion), batch.emotion)
        return self.net["generator"](features, batch.identity, batch.target.shape[1])

    def validate(self) -> dict[str, float]:
        """Scores of the averaged weights on people never seen, with the emotion heard in each recording;
        keeps the best.
        """
        with averaged(self.net, self.average):
            report = validate_landmarks(self.encoder, self.generator, self.unseen)
            if report["correlation"] > self.state["best"]:
                self.state["best"] = report["correlation"]
                self.encoder.save_pretrained(self.out / "speech_encoder")
                self.generator.save_pretrained(self.out / "landmark_generator")
                entry = {"step": self.state["step"]} | report
                (self.out / "best.json").write_text(json.dumps(entry, indent=1))
        return {name: value for name, value in report.items() if name != "clips"}

    def log(self, entry: dict) -> None:
        """Appends a line to landmarks.jsonl."""
        with open(self.out / "landmarks.jsonl", "a") as log:
            log.write(json.dumps({"time": round(time.time())} | entry) + "\n")

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("net", "average", "optimizer", "schedule")}

    def _resume(self) -> None:
        state = load_state(self.out / "landmarks.pt", self._parts(), self.device)["state"]
        if state["data"] != self.state["data"]:
            raise InputError(f"The run in {self.out} was begun with other data", "Choose another --out")
        self.average.to(self.device)
        self.state = state


def fit_components(generator: LandmarkGenerator, clips: list[SpeechClip]) -> None:
    """Sets the generator's basis to the principal components of the clips' displacements."""
    moved = np.concatenate([clip.displacements[clip.ok][::3] for clip in clips])
    both = np.concatenate([moved, lm.mirror(moved, 0.0)]).reshape(-1, 2 * lm.NUM_LANDMARKS)
    weight = np.ones((lm.NUM_LANDMARKS, 2), np.float32)
    weight[lm.MOUTH] = MOUTH_WEIGHT
    mean = both.mean(0)
    centred = ((both - mean) * weight.reshape(-1)).astype(np.float64)
    variances, columns = np.linalg.eigh(centred.T @ centred / len(both))  # a whole basis, however few frames
    order = np.argsort(-variances)[: len(generator.scale)]
    generator.basis.copy_(torch.from_numpy(columns[:, order].T / weight.reshape(-1)))
    generator.scale.copy_(torch.from_numpy(np.sqrt(variances[order].clip(min=0))))
    generator.mean.copy_(torch.from_numpy(mean))


@torch.no_grad()
def measure_lags(
    net: nn.ModuleDict, clips: list[SpeechClip], examples: list[Example], device: torch.device
) -> dict[str, list]:
    """How late each clip's picture comes after its sound, in frames, and how far the network trusts it.

    The network itself may be early or late; speakers vote on that, one vote each. A clip's trust is
    its correlation at its lag, at least 0.1.
    """
    found: list[int | None] = []
    trust: list[float] = []
    for example in examples:
        acoustic, emotion = example.acoustic.float().to(device), example.emotion.to(device)
        features = SpeechFeatures(acoustic, net["gate"](acoustic, emotion), emotion)
        moved = net["generator"](features, example.identity[None].to(device), len(example.ok))[0].cpu()
        opening, seen = (
            lm.mouth_opening((d + example.identity).numpy()) for d in (moved, example.displacements)
        )
        seen = np.where(example.ok.numpy(), seen, np.nan)
        lag, at_lag = best_lag(seen, opening, MAX_LAG)
        at_lag, at_zero = np.nan_to_num([at_lag, correlation(seen, opening)]).tolist()
        found.append((lag if at_lag > at_zero + 0.02 else 0) if at_lag > 0.4 else None)
        trust.append(max(0.1, at_lag))
    votes: dict[str, list[int]] = {}
    for clip, vote in zip(clips, found, strict=True):
        if vote is not None:
            votes.setdefault(clip.speaker, []).append(vote)
    centre = round(float(np.mean([np.median(lags) for lags in votes.values()]))) if votes else 0
    return {"lags": [0 if vote is None else vote - centre for vote in found], "trust": trust}
