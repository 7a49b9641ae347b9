"""Trains the Conformer emotion recogniser on acted speech: RAVDESS, split by actor, or a prepared corpus."""

import csv
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.errors import InputError
from atldiff.speech.phonetic_encoder import SAMPLE_RATE, level
from atldiff.speech.wav2vec2_encoder import Encoder
from atldiff.training.resuming import load_state, save_state
from atldiff.training.shards import read_prepared

TEST_ACTORS = ("19", "20", "21", "22")  # two men, two women


@dataclass(frozen=True)
class EmotionStage:
    """Settings: recordings a batch, steps, peak learning rate, mel columns (10 ms) of an example."""

    batch: int = 32
    steps: int = 2200
    learning_rate: float = 1.5e-3
    columns: int = 320
    ema: float = 0.995
    save_seconds: float = 120.0


def train_emotion(
    data: Path,
    out: Path,
    encoder: Encoder,
    stage: EmotionStage = EmotionStage(),
    seed: int = 0,
    device: str = "cpu",
) -> dict:
    """Trains `encoder.emotion` on `data` (see `load_emotional_speech`); run again to resume exactly.

    Writes `out/emotion.pt` (state to resume from) and `out/emotion.jsonl` (losses), and leaves the
    trained weights and the emotions' prototypes in `encoder`.

    Returns:
        accuracy, confusion (rows = truth) and per-emotion counts on the actors that were held out.

    Raises:
        InputError: there is no such data.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    mels, labels, held_out = load_emotional_speech(data, encoder)
    net, names = encoder.to(device).emotion.train(), encoder.emotion.names
    average = EMAModel(net.parameters(), decay=stage.ema)
    optimizer = torch.optim.AdamW(net.parameters(), stage.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.learning_rate, stage.steps + 1)
    parts = {"net": net, "average": average, "optimizer": optimizer, "schedule": schedule}
    step, saved = 0, time.monotonic()
    if (out / "emotion.pt").exists():
        step = load_state(out / "emotion.pt", parts, torch.device(device))["step"]
        average.to(device)
    known = np.flatnonzero(~held_out)
    rarity = len(known) / np.maximum(np.bincount(labels[known], minlength=len(names)), 1)
    weight = torch.tensor(rarity / rarity.mean(), dtype=torch.float32, device=device)
    while step < stage.steps:
        rng = np.random.default_rng([seed, step])
        batch = rng.choice(known, stage.batch)
        examples = torch.stack([augment(mels[index], stage.columns, rng) for index in batch])
        scores = net.head(F.dropout(net(examples.to(device)), 0.2))
        truth = torch.from_numpy(labels[batch]).to(device)
        loss = F.cross_entropy(scores, truth, weight, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.step(net.parameters())
        step += 1
        if step % 50 == 0:
            _log(out / "emotion.jsonl", {"step": step, "loss": loss.item()})
        if time.monotonic() - saved > stage.save_seconds or step == stage.steps:
            save_state(out / "emotion.pt", parts, step=step)
            saved = time.monotonic()
    average.copy_to(net.parameters())
    net.eval()
    set_prototypes(encoder, [mels[i] for i in known], labels[known])
    report = test_emotion(encoder, [mels[i] for i in np.flatnonzero(held_out)], labels[held_out])
    _log(out / "emotion.jsonl", {"stage": asdict(stage)} | report)
    return report


def load_emotional_speech(data: Path, encoder: Encoder) -> tuple[list[Tensor], np.ndarray, np.ndarray]:
    """Every labelled recording of `data/emotional_speech.csv`, or else of what `prepare` wrote to `data`,
    whose validation split is held out.

    Returns:
        log-mels (80, M) of the levelled recordings, labels (n,) int64, held out (n,) bool.

    Raises:
        InputError: no such data, or no recording with an emotion that the encoder has.
    """
    recordings = _table(data) if (data / "emotional_speech.csv").exists() else _prepared(data)
    names, mels, labels, held = encoder.emotion.names, [], [], []
    for samples, emotion, apart in recordings:
        if emotion in names:
            mels.append(encoder.mel(level(torch.from_numpy(samples)[None].to(encoder.device)))[0].cpu())
            labels.append(names.index(emotion))
            held.append(apart)
    held_out = np.array(held, bool)
    if not held_out.any() or held_out.all():
        problem = f"{data} has no recordings of {', '.join(names)} to train on, or none to validate with"
        raise InputError(problem, "Name a corpus with labels, or the folder that holds emotional_speech.csv")
    return mels, np.array(labels), held_out


def _table(data: Path) -> Iterator[tuple[np.ndarray, str, bool]]:
    """Samples (n,) at 16 kHz, emotion, held out."""
    with open(data / "emotional_speech.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        path = data / "emotional_speech" / row["file"]
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        yield (
            soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE),
            row["emotion"],
            row["actor"] in TEST_ACTORS,
        )


def _prepared(data: Path) -> Iterator[tuple[np.ndarray, str, bool]]:
    for split in ("train", "val"):
        for entry, arrays in read_prepared(data, split):
            if entry["kind"] == "speech":
                yield arrays["samples"], entry.get("emotion", ""), split == "val"


def augment(mel: Tensor, columns: int, rng: np.random.Generator) -> Tensor:
    """One random version (80, columns) of a log-mel (80, M).

    Another speed, another vocal tract (bands shifted), another microphone (slope over the
    bands), a noise floor, and SpecAugment's masks; shorter recordings are padded with silence.
    """
    bands, length = mel.shape
    stretched = int(length * rng.uniform(0.87, 1.15))
    mel = F.interpolate(mel[None], stretched, mode="linear")[0]
    mel = torch.roll(mel, int(rng.integers(-2, 3)), 0)
    mel = mel + float(rng.normal(0, 0.7)) * torch.linspace(-1, 1, bands)[:, None]
    floor = mel.amax() - float(rng.uniform(9, 20))
    mel = torch.logaddexp(mel, floor + 0.3 * torch.randn(mel.shape))
    start = int(rng.integers(0, max(1, stretched - columns + 1)))
    mel = mel[:, start : start + columns]
    mel = F.pad(mel, (0, columns - mel.shape[1]), value=float(mel.amin()))
    for _ in range(2):
        band, column = int(rng.integers(0, bands - 12)), int(rng.integers(0, columns - 40))
        mel[band : band + int(rng.integers(0, 12))] = mel.mean()
        mel[:, column : column + int(rng.integers(0, 40))] = mel.mean()
    return mel


@torch.no_grad()
def set_prototypes(encoder: Encoder, mels: list[Tensor], labels: np.ndarray) -> None:
    """Stores the mean embedding of each label: what `EmotionRecogniser.prototype` returns."""
    embeddings = torch.cat([encoder.emotion(mel[None].to(encoder.device)) for mel in mels])
    for label in set(labels.tolist()):
        encoder.emotion.prototypes[label] = embeddings[labels == label].mean(0)


@torch.no_grad()
def test_emotion(encoder: Encoder, mels: list[Tensor], labels: np.ndarray) -> dict:
    """Accuracy and confusion (rows = truth, columns = answer, counts) on log-mels with these labels."""
    embeddings = [encoder.emotion(mel[None].to(encoder.device)) for mel in mels]
    answers = np.array([int(encoder.emotion.head(embedding).argmax()) for embedding in embeddings])
    count = len(encoder.emotion.names)
    confusion = np.zeros((count, count), int)
    np.add.at(confusion, (labels, answers), 1)
    return {"accuracy": float((answers == labels).mean()), "confusion": confusion.tolist()}


def _log(path: Path, entry: dict) -> None:
    with open(path, "a") as log:
        log.write(json.dumps(entry) + "\n")
