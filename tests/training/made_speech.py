"""Made corpora of speech, small networks that learn them, and their training on one process or many."""

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import soundfile
import torch

from atldiff import landmarks as lm
from atldiff.config import PRESETS
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.training.data.shards import MANIFEST, Sample, write_shard
from atldiff.training.emotion.train import EmotionStage, train_emotion
from atldiff.training.landmarks.train import LandmarkStage, train_landmarks
from atldiff.training.renderer import batches
from atldiff.training.renderer import step as renderer_step
from atldiff.training.renderer import train as train_diffusion
from atldiff.training.renderer.critic import MouthCritic, WholeCritic

TINY = replace(PRESETS["starter"], unet=replace(PRESETS["starter"].unet, block_out_channels=(8, 16)))
SMALLEST = replace(TINY, view_sizes=(32, 64))


def face() -> np.ndarray:
    """A symmetric face in crop units with closed lips."""
    points = np.zeros((68, 2), np.float32)
    right = [*range(17, 22), 31, 32, *range(36, 42)]
    rng = np.random.default_rng(0)
    points[:17] = np.stack([np.linspace(0.2, 0.8, 17), 0.9 - 0.5 * np.linspace(-1, 1, 17) ** 2], -1)
    for index in right:
        points[index] = rng.uniform((0.3, 0.3), (0.45, 0.45))
    points[36], points[39] = (0.3, 0.4), (0.42, 0.4)
    points[27:31] = np.stack([np.full(4, 0.5), np.linspace(0.4, 0.55, 4)], -1)
    points[33] = (0.5, 0.58)
    points[48:55, 0], points[[54, 55, 56, 57, 58, 59, 48], 0] = (
        np.linspace(0.4, 0.6, 7),
        np.linspace(0.6, 0.4, 7),
    )
    points[60:65, 0], points[[64, 65, 66, 67, 60], 0] = np.linspace(0.42, 0.58, 5), np.linspace(0.58, 0.42, 5)
    points[lm.MOUTH, 1] = 0.7
    for index in right:
        points[lm.MIRROR[index]] = (1 - points[index, 0], points[index, 1])
    return points


def moved(opening: np.ndarray) -> np.ndarray:
    """Landmarks (F, 68, 2) of that face; the lower lips fall by opening (F,), in crop units."""
    points = np.repeat(face()[None], len(opening), 0)
    lower = [*lm.LOWER_INNER_LIP, 55, 56, 57, 58, 59]
    points[:, lower, 1] += opening[:, None]
    return points


def store(folder: Path, clips: list[Sample]) -> None:
    """Writes prepared clips as `prepare` does: a shard for each split, and the manifest."""
    shards = []
    for split in sorted({entry["split"] for entry, _ in clips}):
        name, samples = f"{split}-000000", [clip for clip in clips if clip[0]["split"] == split]
        count, size, checksum = write_shard(folder / f"{name}.tar", samples)
        shards.append({"name": name, "split": split, "samples": count, "bytes": size, "sha256": checksum})
    (folder / MANIFEST).write_text(json.dumps({"shards": shards}))


def corpus(folder, count: int = 4, late: int = 0, lag: float = 0.0) -> None:
    """Prepared clips of 3 s whose lips follow the sound's loudness, `late` frames after it.

    The clips' entries say that the lag is `lag` seconds.
    """
    clips = []
    for number in range(count):
        rng = np.random.default_rng(number)
        curve = np.clip(np.sin(np.arange(90) / 30 * 2 * np.pi * rng.uniform(1, 2) + rng.uniform(0, 6)), 0, 1)
        loud = np.interp(np.arange(48_000) / 1600 * 3, np.arange(90), curve)
        samples = (0.1 * (loud + 0.002) * rng.standard_normal(48_000)).astype(np.float32)
        points = moved(0.05 * np.roll(curve, late)).astype(np.float32)
        stem, split = f"clip{number}", "val" if number == count - 1 else "train"
        arrays = {"landmarks30": points, "ok30": np.ones(90, bool), "samples": samples}
        entry = {"stem": stem, "split": split, "identity": stem, "kind": "speech", "use": "both"}
        entry |= {"lag": lag}
        clips.append((entry, arrays))
    store(folder, clips)


def networks(**shape) -> tuple[StarterSpeechEncoder, LandmarkGenerator]:
    torch.manual_seed(0)
    encoder = StarterSpeechEncoder(
        width=8,
        layers=1,
        heads=2,
        kernel=7,
        symbols=3,
        bilabials=(1,),
        taps=(0,),
        emotion_width=16,
        emotion_layers=1,
    )
    shape |= {"width": 16, "heads": 2, "layers": 1, "channels": 2, "hidden": 8, "components": 4}
    return encoder, LandmarkGenerator(feature_dim=encoder.feature_dim, **shape)


def emotional_speech(folder) -> None:
    """Neutral is noise that swells slowly, angry that beats fast; of two actors one is held out."""
    (folder / "emotional_speech").mkdir(parents=True)
    rows = ["file,emotion,actor"]
    for actor in ("01", "19"):
        for emotion, hertz in (("neutral", 1), ("angry", 6)):
            loud = np.sin(np.pi * hertz * np.arange(16_000) / 16_000) ** 2
            wave = 0.1 * loud * np.random.default_rng(int(actor)).standard_normal(16_000)
            rows.append(f"{actor}-{emotion}.wav,{emotion},{actor}")
            soundfile.write(folder / "emotional_speech" / f"{actor}-{emotion}.wav", wave, 16_000)
    (folder / "emotional_speech.csv").write_text("\n".join(rows))


def train_all(pictures: Path, speech: Path, out: Path, batch: int) -> None:
    """A few steps of each network, without dropout where it can be left out; `batch` samples a process."""
    taken = train_diffusion.STAGES
    taken["spatial"] = replace(taken["spatial"], batch=batch, steps=3, critic_from=1, save_seconds=-1.0)
    train_diffusion.train_diffusion(pictures, out / "renderer", preset=SMALLEST)
    encoder, generator = networks(dropout=0.0)
    short = LandmarkStage(batch, frames=30, steps=4, versions=1, lag_step=3, validate_every=2)
    train_landmarks(speech, out / "landmarks", encoder, generator, short)
    train_emotion(speech, out / "emotion", encoder, EmotionStage(batch, steps=2, columns=80))


def narrow_critic(guides: int) -> MouthCritic:
    """The critic with few channels."""
    critic = MouthCritic(guides, (8, 12, 16))
    critic.mouth = WholeCritic(guides, (8, 12, 16, 16))
    return critic


def use_float64(replace_attribute=setattr) -> None:
    """Computes the renderer's training in float64, where the order of a sum does not show.

    In float32 it shows: the first steps of Adam go by the signs of gradients that are almost zero.
    `replace_attribute` is `setattr`, or that of a test which takes it back.
    """
    make = train_diffusion.make_networks
    call, scores = renderer_step.RendererStep.__call__, train_diffusion.validation_scores
    replace_attribute(renderer_step, "compute_dtype", lambda _: torch.float32)  # no autocast
    replace_attribute(renderer_step, "_to", to_float64)
    replace_attribute(train_diffusion, "make_networks", lambda *words: make(*words).double())
    replace_attribute(renderer_step, "MouthCritic", lambda guides: narrow_critic(guides).double())
    replace_attribute(
        renderer_step.RendererStep, "__call__", lambda step, *words: in_float64(call, step, *words)
    )
    replace_attribute(
        train_diffusion,
        "validation_scores",
        lambda networks, samples, device: in_float64(
            scores, networks, [to_float64(sample, device) for sample in samples], device
        ),
    )


def in_float64(function, *words):
    """Calls a function whose `Tensor.float` gives float64."""
    with patch.object(torch.Tensor, "float", torch.Tensor.double):
        return function(*words)


def to_float64(batch, device):
    if isinstance(batch, dict):
        return {key: to_float64(value, device) for key, value in batch.items()}
    if isinstance(batch, list):
        return [to_float64(value, device) for value in batch]
    return batch.to(device, torch.float64 if batch.is_floating_point() else None)


def train_exactly(pictures: Path, speech: Path, out: Path, batch: int) -> None:
    """`train_all` in a process of its own, in float64, with no sample more than it takes."""
    batches.AHEAD = 1
    use_float64()
    train_all(pictures, speech, out, batch)


def train_until_killed(pictures: Path, out: Path, stage: train_diffusion.Stage) -> None:
    """Trains in a process of its own, which is killed before it saves the third state."""
    save = train_diffusion.Trainer.save

    def save_or_die(trainer, batches):
        if trainer.step == 3:
            readers = [str(process.pid) for process in multiprocessing.active_children()]
            (out / "readers.txt").write_text("\n".join(readers))
            os.kill(os.getpid(), signal.SIGKILL)
        save(trainer, batches)

    train_diffusion.Trainer.save = save_or_die
    train_diffusion.STAGES["spatial"] = stage
    renderer_step.MouthCritic = narrow_critic
    train_diffusion.train_diffusion(pictures, out, preset=SMALLEST, run=train_diffusion.RunConfig(memory=0))
