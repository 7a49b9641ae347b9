"""Trains the landmark generator (and the encoder's context gate) on prepared speech clips."""

import copy
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE
from atldiff.evaluation.landmark_metrics import best_lag, correlation
from atldiff.evaluation.landmark_scores import MAX_LAG, validate_landmarks
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.phonetic_encoder import FEATURE_RATE
from atldiff.speech.speech_encoder import SpeechFeatures
from atldiff.training.landmark_loss import landmark_loss
from atldiff.training.speech_clips import (
    Encoder,
    Example,
    SpeechClip,
    cached_versions,
    fit_features,
    load_speech_clips,
)

MOUTH_WEIGHT = 2.0  # of the mouth's coordinates in the principal components


@dataclass(frozen=True)
class LandmarkStage:
    """Settings: windows a batch, frames a window, steps, peak learning rate, versions of each clip.

    Every `lag_step` steps the network measures how late each clip's picture is against its sound,
    and from there on the training corrects it.
    """

    batch: int = 16
    frames: int = 90
    steps: int = 600
    learning_rate: float = 1.5e-3
    versions: int = 3
    lag_step: int = 250
    ema: float = 0.99
    validate_every: int = 100


def train_landmarks(
    data: Path,
    out: Path,
    encoder: Encoder,
    generator: LandmarkGenerator,
    stage: LandmarkStage = LandmarkStage(),
    seed: int = 0,
) -> dict:
    """Trains `generator` and `encoder.gate` on `data` (see `prepare`); run again to resume.

    Writes `out/landmarks.pt` (state to resume from), `out/lags.json` (a second run that finds it
    there knows the clips' lags from its first step), `out/landmarks.jsonl` (losses and validation
    scores), `out/best.json` and, at each best validation correlation, `out/speech_encoder` and
    `out/landmark_generator`. Leaves the best weights in both networks.

    Returns:
        The best step's validation scores.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    clips, unseen = load_speech_clips(data, "train"), load_speech_clips(data, "val")
    if (out / "features.pt").exists():
        encoder.load_state_dict(torch.load(out / "features.pt", weights_only=True), strict=False)
    else:
        torch.save(fit_features(encoder, clips), out / "features.pt")
    versions = cached_versions(out, encoder, clips, stage.versions, seed)
    fit_components(generator, clips)
    net = nn.ModuleDict({"generator": generator, "gate": encoder.gate}).train()
    average = copy.deepcopy(net).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), stage.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.learning_rate, stage.steps + 1)
    parts = {"net": net, "average": average, "optimizer": optimizer, "schedule": schedule}
    state = {"step": 0, "best": -1.0, "lags": [0] * len(clips), "trust": [1.0] * len(clips)}
    if (out / "lags.json").exists():
        state |= json.loads((out / "lags.json").read_text())
    if (out / "landmarks.pt").exists():
        state = _resume(out / "landmarks.pt", parts)
    while state["step"] < stage.steps:
        rng = np.random.default_rng([seed, state["step"]])
        loss, terms = landmark_loss(*_predict_batch(net, versions, clips, state, stage, rng))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        state["step"] += 1
        _follow(average, net, min(stage.ema, state["step"] / (state["step"] + 10)))
        if state["step"] % stage.lag_step == 0:
            state |= measure_lags(average, clips, versions[0])
            (out / "lags.json").write_text(json.dumps({key: state[key] for key in ("lags", "trust")}))
        if state["step"] % stage.validate_every == 0 or state["step"] == stage.steps:
            _validate_and_save(unseen, out, encoder, average, parts, state, terms)
    best = json.loads((out / "best.json").read_text())
    encoder.gate.load_state_dict(type(encoder).from_pretrained(out / "speech_encoder").gate.state_dict())
    generator.load_state_dict(LandmarkGenerator.from_pretrained(out / "landmark_generator").state_dict())
    generator.eval()
    _log(out, {"stage": asdict(stage), "seed": seed, "lags": state["lags"]})
    return best


def _resume(path: Path, parts: dict) -> dict:
    saved = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return saved["state"]


@torch.no_grad()
def _follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    for mean, weight in zip(average.parameters(), net.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)


def fit_components(generator: LandmarkGenerator, clips: list[SpeechClip]) -> None:
    """Sets the generator's basis to the principal components of the clips' displacements."""
    moved = np.concatenate([clip.displacements[clip.ok][::3] for clip in clips])
    both = np.concatenate([moved, lm.mirror(moved, 0.0)]).reshape(-1, 2 * lm.NUM_LANDMARKS)
    weight = np.ones((lm.NUM_LANDMARKS, 2), np.float32)
    weight[lm.MOUTH] = MOUTH_WEIGHT
    mean = both.mean(0)
    _, values, rows = np.linalg.svd((both - mean) * weight.reshape(-1), full_matrices=False)
    count = len(generator.scale)
    generator.basis.copy_(torch.from_numpy(rows[:count] / weight.reshape(-1)))
    generator.scale.copy_(torch.from_numpy(values[:count] / len(both) ** 0.5))
    generator.mean.copy_(torch.from_numpy(mean))


def _predict_batch(
    net: nn.ModuleDict,
    versions: list[list[Example]],
    clips: list[SpeechClip],
    state: dict,
    stage: LandmarkStage,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draws windows and predicts them: displacements, targets, identity, ok."""
    share = clip_shares(clips) * state["trust"]
    drawn = rng.choice(len(clips), stage.batch, p=share / share.sum())
    lags = state["lags"]
    windows = [_window(versions[rng.integers(len(versions))][i], lags[i], stage.frames, rng) for i in drawn]
    acoustic, emotion, target, identity, ok = (torch.stack(column) for column in zip(*windows, strict=True))
    acoustic = acoustic + 0.2 * torch.randn_like(acoustic)
    for row in acoustic:  # SpecAugment in time
        start = int(rng.integers(row.shape[0]))
        row[start : start + int(rng.integers(0, 15))] = 0
    context = net["gate"](acoustic, emotion)
    features = SpeechFeatures(acoustic, context, emotion)
    return net["generator"](features, identity, stage.frames), target, identity, ok


def clip_shares(clips: list[SpeechClip]) -> np.ndarray:
    """How often each clip is drawn: long ones more often, those of a speaker with many clips less."""
    speakers = [clip.speaker for clip in clips]
    return np.array([len(clip.ok) ** 0.5 / speakers.count(clip.speaker) ** 0.25 for clip in clips])


def _window(example: Example, lag: int, frames: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """A random window: acoustic (T, D), emotion (E,), targets (F, 68, 2), identity (68, 2), ok (F,).

    Half of them mirrored; a quarter from another identity frame, whose mouth may be open.
    """
    total = len(example.ok)
    start = 3 * int(rng.integers(0, max(1, (total - frames) // 3 + 1)))
    first, count = start * FEATURE_RATE // FRAME_RATE, frames * FEATURE_RATE // FRAME_RATE + 1
    acoustic = example.acoustic[0, first : first + count].float()
    acoustic = torch.cat([acoustic, acoustic[-1:].expand(count - len(acoustic), -1)])
    shown = torch.arange(start, start + frames) + lag
    ok = (shown >= 0) & (shown < total)
    shown = shown.clamp(0, total - 1)
    target, identity = example.displacements[shown], example.identity
    if rng.random() < 0.25 and example.ok.any():
        other = example.displacements[rng.choice(np.flatnonzero(example.ok.numpy()))]
        target, identity = target - other, identity + other
    if rng.random() < 0.5:
        target, identity = mirrored(target), mirrored(identity)
    return acoustic, example.emotion[0], target, identity, ok & example.ok[shown]


def mirrored(vectors: Tensor) -> Tensor:
    """Displacements or landmarks (..., 68, 2) in face units of the mirrored face."""
    return vectors[..., torch.from_numpy(lm.MIRROR.copy()), :] * torch.tensor([-1.0, 1.0])


@torch.no_grad()
def measure_lags(net: nn.ModuleDict, clips: list[SpeechClip], examples: list[Example]) -> dict[str, list]:
    """How late each clip's picture comes after its sound, in frames, and how far the network trusts it.

    The network itself may be early or late; speakers vote on that, one vote each. A clip's trust is
    its correlation at its lag, at least 0.1.
    """
    found, trust = [], []
    for example in examples:
        acoustic = example.acoustic.float()
        features = SpeechFeatures(acoustic, net["gate"](acoustic, example.emotion), example.emotion)
        moved = net["generator"](features, example.identity[None], len(example.ok))[0]
        opening, seen = (
            lm.mouth_opening((d + example.identity).numpy()) for d in (moved, example.displacements)
        )
        seen = np.where(example.ok.numpy(), seen, np.nan)
        lag, at_lag = best_lag(seen, opening, MAX_LAG)
        at_lag, at_zero = np.nan_to_num([at_lag, correlation(seen, opening)]).tolist()
        found.append((lag if at_lag > at_zero + 0.02 else 0) if at_lag > 0.4 else None)
        trust.append(max(0.1, at_lag))
    votes: dict[str, list[int]] = {}
    for clip, lag in zip(clips, found, strict=True):
        if lag is not None:
            votes.setdefault(clip.speaker, []).append(lag)
    centre = round(float(np.mean([np.median(lags) for lags in votes.values()]))) if votes else 0
    return {"lags": [0 if lag is None else lag - centre for lag in found], "trust": trust}


def _validate_and_save(
    unseen: list[SpeechClip],
    out: Path,
    encoder: Encoder,
    average: nn.ModuleDict,
    parts: dict,
    state: dict,
    terms: dict,
) -> None:
    gate, encoder.gate = encoder.gate, average["gate"]
    report = validate_landmarks(encoder, average["generator"], unseen)
    if report["correlation"] > state["best"]:
        state["best"] = report["correlation"]
        encoder.save_pretrained(out / "speech_encoder")
        average["generator"].save_pretrained(out / "landmark_generator")
        (out / "best.json").write_text(json.dumps({"step": state["step"]} | report, indent=1))
    encoder.gate = gate
    means = {name: value for name, value in report.items() if name != "clips"}
    losses = {f"{name}_loss": value.item() for name, value in terms.items()}
    _log(out, {"step": state["step"]} | losses | means)
    torch.save({name: part.state_dict() for name, part in parts.items()} | {"state": state}, out / "new.pt")
    (out / "new.pt").replace(out / "landmarks.pt")


def _log(out: Path, entry: dict) -> None:
    with open(out / "landmarks.jsonl", "a") as log:
        log.write(json.dumps({"time": round(time.time())} | entry) + "\n")
