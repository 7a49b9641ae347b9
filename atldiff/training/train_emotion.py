"""Trains the Conformer emotion recogniser on acted speech (RAVDESS), split by actor."""

import csv
import json
import time
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
from atldiff.speech.speech_encoder import StarterSpeechEncoder
from atldiff.training.resuming import load_state, save_state

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
    encoder: StarterSpeechEncoder,
    stage: EmotionStage = EmotionStage(),
    seed: int = 0,
    device: str = "cpu",
) -> dict:
    """Trains `encoder.emotion` on `data/emotional_speech.csv`; run again to resume exactly.

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


def load_emotional_speech(
    data: Path, encoder: StarterSpeechEncoder
) -> tuple[list[Tensor], np.ndarray, np.ndarray]:
    """Every recording of `data/emotional_speech.csv`.

    Returns:
        log-mels (80, M) of the levelled recordings, labels (n,) int64, held out (n,) bool.
    """
    table = data / "emotional_speech.csv"
    if not table.exists():
        raise InputError(f"{table} does not exist", "Name the folder that holds emotional_speech.csv")
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    mels = []
    for row in rows:
        samples, rate = soundfile.read(
            data / "emotional_speech" / row["file"], dtype="float32", always_2d=True
        )
        mono = torch.from_numpy(soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE))[None]
        mels.append(encoder.mel(level(mono.to(encoder.device)))[0].cpu())
    labels = np.array([encoder.emotion.names.index(row["emotion"]) for row in rows])
    return mels, labels, np.array([row["actor"] in TEST_ACTORS for row in rows])


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
def set_prototypes(encoder: StarterSpeechEncoder, mels: list[Tensor], labels: np.ndarray) -> None:
    """Stores the mean embedding of each label: what `EmotionRecogniser.prototype` returns."""
    embeddings = torch.cat([encoder.emotion(mel[None].to(encoder.device)) for mel in mels])
    for label in set(labels.tolist()):
        encoder.emotion.prototypes[label] = embeddings[labels == label].mean(0)


@torch.no_grad()
def test_emotion(encoder: StarterSpeechEncoder, mels: list[Tensor], labels: np.ndarray) -> dict:
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
