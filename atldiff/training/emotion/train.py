"""Trains the Conformer emotion recogniser on acted speech: RAVDESS, split by actor, or a prepared corpus."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.config import Preset
from atldiff.speech.emotion_recogniser import EmotionRecogniser
from atldiff.speech.encoders import Encoder, load_speech_encoder, make_speech_encoder
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.training.emotion.phonemes import copy_recogniser
from atldiff.training.emotion.speech import Mels, read_labels, store_emotional_speech
from atldiff.training.runs.average import EMAModel
from atldiff.training.runs.checkpoints import load_state, resume_schedule, save_state
from atldiff.training.runs.processes import (
    Journal,
    mean_over_processes,
    run_on_main,
    sample_numbers,
    seed_step,
    start_processes,
)


@dataclass(frozen=True)
class EmotionStage:
    """Settings of the training.

    Attributes:
        batch: recordings a batch of each process.
        steps: optimiser steps.
        learning_rate: peak of the one-cycle schedule.
        columns: mel columns of an example, 10 ms each.
        ema: decay of the averaged weights.
        save_seconds: seconds between saved states.
    """

    batch: int = 32
    steps: int = 2200
    learning_rate: float = 1.5e-3
    columns: int = 320
    ema: float = 0.995
    save_seconds: float = 120.0


def begin_encoder(preset: Preset, start: Path | None, seed: int) -> Encoder:
    """The encoder to train: that of the folder `start`, or a new one of the preset, determined by the seed.

    Raises:
        InputError: `start` has no encoder; the hub cannot be reached for a new one.
    """
    if start is not None:
        return load_speech_encoder(start)
    torch.manual_seed(seed)
    encoder = make_speech_encoder(preset.speech, preset.emotions)
    if isinstance(encoder, StarterSpeechEncoder):
        copy_recogniser(encoder.mel, encoder.phonetic)
    return encoder


def train_emotion(
    data: Path,
    out: Path,
    encoder: Encoder,
    stage: EmotionStage = EmotionStage(),
    seed: int = 0,
    device: str = "cpu",
) -> dict:
    """Trains `encoder.emotion` on `data` (see `store_emotional_speech`); a second run resumes exactly.

    Writes `out/emotion.pt` (state), `out/emotion.jsonl` (losses) and `out/mels.bin` (log-mels, read from disk
    on access). Leaves the trained weights and the emotions' prototypes in `encoder`.

    Returns:
        accuracy, and confusion (counts, rows = truth), on the held-out recordings.

    Raises:
        InputError: no such data; the run in `out` has other emotions or another seed.
    """
    accelerator = start_processes(device, out, find_unused_parameters=True)
    encoder.to(accelerator.device)
    rows = run_on_main(accelerator, lambda: store_emotional_speech(data, encoder, out / "mels.bin"))
    mels, labels, held_out = Mels(rows), *read_labels(rows)
    net = encoder.emotion.train()
    average = EMAModel(net.parameters(), decay=stage.ema)
    optimizer = torch.optim.AdamW(net.parameters(), stage.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.learning_rate, stage.steps + 1)
    model, optimizer = accelerator.prepare(Classifier(net), optimizer)
    parts = {"net": net, "average": average, "optimizer": optimizer}
    step, training, fixed = 0, np.flatnonzero(~held_out), {"list of emotions": list(net.names), "seed": seed}
    if (out / "emotion.pt").exists():
        step = load_state(out / "emotion.pt", parts, accelerator.device, fixed)["step"]
        resume_schedule(schedule, step)
    journal, weight = Journal(accelerator, "emotion", step), rarity(labels[training], len(net.names))
    batches, saved = sample_numbers(accelerator, stage.batch, step), time.monotonic()
    while step < stage.steps:
        examples, truth = draw_examples(mels, labels, training, next(batches), stage.columns, seed)
        seed_step(accelerator, seed, step)
        loss = emotion_loss(model, examples, truth, weight, accelerator)
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
            save_state(out / "emotion.pt", parts, step=step, settings=fixed)
            saved = time.monotonic()
    average.copy_to(net.parameters())
    net.eval()
    set_prototypes(encoder, (mels[i] for i in training.tolist()), labels[training])
    report = test_emotion(encoder, (mels[i] for i in np.flatnonzero(held_out).tolist()), labels[held_out])
    journal.write({"stage": asdict(stage)} | report)
    journal.close()
    return report


class Classifier(nn.Module):
    """The recogniser with its head: log-mels (B, 80, M) -> logits (B, emotions)."""

    def __init__(self, emotion: EmotionRecogniser) -> None:
        super().__init__()
        self.emotion = emotion

    def forward(self, mels: Tensor) -> Tensor:
        """Logits (B, emotions) of log-mels (B, 80, M), with dropout in training."""
        return self.emotion.head(F.dropout(self.emotion(mels), 0.2, self.training))


def emotion_loss(
    model: nn.Module, examples: Tensor, truth: Tensor, weight: Tensor, accelerator: Accelerator
) -> Tensor:
    """Cross entropy of log-mels (B, 80, M) with labels (B,), under class weights (emotions,)."""
    truth, share = truth.to(accelerator.device), weight.to(accelerator.device)
    scores = model(examples.to(accelerator.device))
    loss = F.cross_entropy(scores, truth, share, label_smoothing=0.1, reduction="sum")
    return loss / mean_over_processes(accelerator)(share[truth].sum())


def rarity(labels: np.ndarray, count: int) -> Tensor:
    """Class weights (count,): inverse frequencies among labels (n,), with mean 1."""
    weight = len(labels) / np.maximum(np.bincount(labels, minlength=count), 1)
    return torch.tensor(weight / weight.mean(), dtype=torch.float32)


def draw_examples(
    mels: Sequence[Tensor], labels: np.ndarray, training: np.ndarray, numbers: range, columns: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Augmented log-mels (B, 80, columns) and labels (B,) of the examples with these numbers.

    Args:
        mels: all log-mels (80, M).
        labels: (n,) of all.
        training: (k,) indices of the recordings to train on.
    """
    generators = [np.random.default_rng([seed, number]) for number in numbers]
    chosen = [int(rng.choice(training)) for rng in generators]
    versions = [augment(mels[i], columns, rng) for i, rng in zip(chosen, generators, strict=True)]
    return torch.stack(versions), torch.from_numpy(labels[chosen])


def augment(mel: Tensor, columns: int, rng: np.random.Generator) -> Tensor:
    """One random version (80, columns) of a log-mel (80, M).

    It changes speed, vocal tract (shifted bands), microphone (slope over the bands) and noise floor, and
    adds SpecAugment's masks. Short recordings are padded with silence.
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
def set_prototypes(encoder: Encoder, mels: Iterable[Tensor], labels: np.ndarray) -> None:
    """Stores the mean embedding of each label, which `EmotionRecogniser.prototype` returns."""
    embeddings = torch.cat([encoder.emotion(mel[None].to(encoder.device)) for mel in mels])
    for label in set(labels.tolist()):
        encoder.emotion.prototypes[label] = embeddings[labels == label].mean(0)


@torch.no_grad()
def test_emotion(encoder: Encoder, mels: Iterable[Tensor], labels: np.ndarray) -> dict:
    """Accuracy, and confusion (counts, rows = truth, columns = prediction), on log-mels with labels (n,)."""
    embeddings = [encoder.emotion(mel[None].to(encoder.device)) for mel in mels]
    answers = np.array([int(encoder.emotion.head(embedding).argmax()) for embedding in embeddings])
    count = len(encoder.emotion.names)
    confusion = np.zeros((count, count), int)
    np.add.at(confusion, (labels, answers), 1)
    return {"accuracy": float((answers == labels).mean()), "confusion": confusion.tolist()}
