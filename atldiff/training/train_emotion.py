"""Trains the Conformer emotion recogniser on acted speech: RAVDESS, split by actor, or a prepared corpus."""

import csv
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
from atldiff.speech.emotion_recogniser import EmotionRecogniser
from atldiff.speech.phonetic_encoder import SAMPLE_RATE, level
from atldiff.speech.wav2vec2_encoder import Encoder
from atldiff.training.processes import (
    Journal,
    over_processes,
    sample_numbers,
    seed_step,
    start_processes,
)
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
    accelerator = start_processes(device, out, find_unused_parameters=True)
    mels, labels, held_out = load_emotional_speech(data, encoder)
    net = encoder.to(accelerator.device).emotion.train()
    average = EMAModel(net.parameters(), decay=stage.ema)
    optimizer = torch.optim.AdamW(net.parameters(), stage.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.learning_rate, stage.steps + 1)
    model, optimizer = accelerator.prepare(Classifier(net), optimizer)
    parts = {"net": net, "average": average, "optimizer": optimizer, "schedule": schedule}
    step, saved, known = 0, time.monotonic(), np.flatnonzero(~held_out)
    if (out / "emotion.pt").exists():
        step = load_state(out / "emotion.pt", parts, accelerator.device)["step"]
    journal, weight = Journal(accelerator, "emotion", step), rarity(labels[known], len(net.names))
    batches = sample_numbers(accelerator, stage.batch, step)
    while step < stage.steps:
        examples, truth = draw_examples(mels, labels, known, next(batches), stage.columns, seed)
        seed_step(accelerator, seed, step)
        scores = model(examples.to(accelerator.device))
        truth, share = truth.to(accelerator.device), weight.to(accelerator.device)
        loss = F.cross_entropy(scores, truth, share, label_smoothing=0.1, reduction="sum")
        loss = loss / over_processes(accelerator)(share[truth].sum())
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.step(net.parameters())
        step += 1
        if step % 50 == 0:
            journal.write({"step": step, "loss": accelerator.reduce(loss.detach(), "mean").item()})
        due = time.monotonic() - saved > stage.save_seconds or step == stage.steps
        if due and accelerator.is_main_process:
            save_state(out / "emotion.pt", parts, step=step)
            saved = time.monotonic()
    average.copy_to(net.parameters())
    net.eval()
    set_prototypes(encoder, [mels[i] for i in known], labels[known])
    report = test_emotion(encoder, [mels[i] for i in np.flatnonzero(held_out)], labels[held_out])
    journal.write({"stage": asdict(stage)} | report)
    journal.close()
    return report


class Classifier(nn.Module):
    """The recogniser with its head, as it is trained: log-mels (B, 80, M) -> scores (B, emotions)."""

    def __init__(self, emotion: EmotionRecogniser) -> None:
        super().__init__()
        self.emotion = emotion

    def forward(self, mels: Tensor) -> Tensor:
        """Scores of the emotions."""
        return self.emotion.head(F.dropout(self.emotion(mels), 0.2, self.training))


def rarity(labels: np.ndarray, count: int) -> Tensor:
    """Weights (count,) of the emotions, by how rare they are among labels (n,); 1 in the mean."""
    weight = len(labels) / np.maximum(np.bincount(labels, minlength=count), 1)
    return torch.tensor(weight / weight.mean(), dtype=torch.float32)


def draw_examples(
    mels: list[Tensor], labels: np.ndarray, known: np.ndarray, numbers: range, columns: int, seed: int
) -> tuple[Tensor, Tensor]:
    """The examples with these numbers: augmented log-mels (B, 80, columns) and labels (B,)."""
    generators = [np.random.default_rng([seed, number]) for number in numbers]
    chosen = [int(rng.choice(known)) for rng in generators]
    versions = [augment(mels[i], columns, rng) for i, rng in zip(chosen, generators, strict=True)]
    return torch.stack(versions), torch.from_numpy(labels[chosen])


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
    noise = torch.from_numpy(rng.standard_normal(mel.shape, np.float32))
    mel = torch.logaddexp(mel, floor + 0.3 * noise)
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
