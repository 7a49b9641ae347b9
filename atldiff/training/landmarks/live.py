"""Teaches a trained speech encoder to hear with little future, as a live portrait does.

- Live, a window of sound ends 0.1 s after the wanted frames. There the Conformer's convolutions meet nothing,
  and its features are far from those in the middle of a recording: that is what live lips lose.
- The encoder learns the features that it gave with all of the recording (self-distillation), in short windows
  and in long ones. The landmark generator stays, and tells which differences move the lips.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.speech.encoders import Encoder
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.mel import FEATURE_HOP, FEATURE_RATE
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.training.landmarks.clips import StoredSpeech, data_key, read_speech_clips
from atldiff.training.landmarks.encoded import EncodedSpeech, Example, encode_versions
from atldiff.training.runs.average import EMAModel
from atldiff.training.runs.checkpoints import (
    load_state,
    resume_schedule,
    save_networks,
    save_state,
)
from atldiff.training.runs.processes import Journal, start_processes

STEP = 3  # frames of 0.1 s, where frames and features meet
SIDE = 0.3  # weight of the features beside the wanted frames
SPARSE = 8  # every so-many-th clip tells how far mouths move


@dataclass(frozen=True)
class LiveStage:
    """Settings of the training.

    Attributes:
        batch: short windows a batch.
        long_batch, long_frames: long windows a batch, and their frames: what videos hear.
        past: frames of sound before the wanted ones, at most; a third of the windows has less.
        future: frames after them; a third of the windows has two or three times as many.
        steps: optimiser steps.
        learning_rate: peak of the one-cycle schedule.
        ema: decay of the averaged weights.
        save_every: steps between saved states.
    """

    batch: int = 16
    long_batch: int = 2
    long_frames: int = 120
    past: int = 30
    future: int = 3
    steps: int = 2000
    learning_rate: float = 3e-4
    ema: float = 0.995
    save_every: int = 100


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of recordings.

    Attributes:
        samples: (B, n) levelled.
        acoustic: (B, T, D) features with all of the recording.
        emotion: (B, E) embedding.
        identity: (B, 68, 2) face units.
    """

    samples: Tensor
    acoustic: Tensor
    emotion: Tensor
    identity: Tensor


def train_live(
    data: Path,
    out: Path,
    encoder: Encoder,
    generator: LandmarkGenerator,
    stage: LiveStage = LiveStage(),
    seed: int = 0,
    device: str = "cpu",
) -> dict[str, float]:
    """Trains the blocks of `encoder.phonetic` that give features; a second run resumes exactly.

    Writes to `out` live.pt (the state to resume from), live.jsonl (losses), and at the end speech_encoder and
    landmark_generator, which `export` takes. Leaves the averaged weights in `encoder`.

    Returns:
        The last losses, see `LiveTask.losses`.

    Raises:
        InputError: `data` was not prepared, or has no clip as long as a long window; the encoder is another
            than the starter's; the generator is not trained; the run in `out` was begun with other data;
            there are several processes.
    """
    if not isinstance(encoder, StarterSpeechEncoder):
        raise InputError("Only the starter's speech encoder can learn this", "Give --start such a folder")
    accelerator = start_processes(device, out)
    if accelerator.num_processes > 1:
        raise InputError("This training takes one process", "Start it without accelerate launch and torchrun")
    encoder.to(accelerator.device)
    generator.to(accelerator.device).requires_grad_(False)
    task = LiveTask.begin(data, out, encoder, generator, stage, seed)
    parts = nn.ModuleList(encoder.phonetic.blocks[: max(encoder.config.taps) + 1]).requires_grad_(True)
    average = EMAModel(parts.parameters(), decay=stage.ema)
    optimizer = torch.optim.AdamW(parts.parameters(), stage.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.learning_rate, stage.steps + 1)
    state = {"net": parts, "average": average, "optimizer": optimizer}
    settings, step, losses = {"seed": seed, "data": task.key}, 0, dict[str, Tensor]()
    if (out / "live.pt").exists():
        step = load_state(out / "live.pt", state, accelerator.device, settings)["step"]
        resume_schedule(schedule, step)
    journal = Journal(accelerator, "live", step)
    while step < stage.steps:
        losses = task.losses(np.random.default_rng([seed, step]))
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.step(parts.parameters())
        step += 1
        if step % stage.save_every == 0 or step == stage.steps:
            journal.write({"step": step} | {name: value.item() for name, value in losses.items()})
            save_state(out / "live.pt", state, step=step, settings=settings)
    journal.write({"stage": asdict(stage), "seed": seed})
    journal.close()
    average.copy_to(parts.parameters())
    parts.requires_grad_(False)
    save_networks(out, {"speech_encoder": encoder, "landmark_generator": generator})
    return {name: value.item() for name, value in losses.items()}


@dataclass(frozen=True, eq=False)
class LiveTask:
    """What the encoder learns from.

    Attributes:
        encoder: it learns.
        generator: the landmark generator, which stays.
        stage: settings.
        examples: the recordings with their samples.
        lengths: (N,) their frames.
        key: hash of the clips and of the encoder as it came.
        scale: deviation in time of the mouth's points as they are predicted, face units.
    """

    encoder: StarterSpeechEncoder
    generator: LandmarkGenerator
    stage: LiveStage
    examples: EncodedSpeech
    lengths: np.ndarray
    key: str
    scale: float

    @classmethod
    def begin(
        cls,
        data: Path,
        out: Path,
        encoder: StarterSpeechEncoder,
        generator: LandmarkGenerator,
        stage: LiveStage,
        seed: int,
    ) -> "LiveTask":
        """Encodes the clips of `data` into `out`; raises InputError as `train_live` does."""
        clips = StoredSpeech.store(out / "clips.bin", read_speech_clips(data, "train"))
        key = data_key(encoder, clips)
        (examples,) = encode_versions(out, key, encoder, clips, 1, seed, waveform=True)
        lengths = [example.acoustic.shape[1] * FRAME_RATE // FEATURE_RATE for example in examples]
        if max(lengths, default=0) <= stage.long_frames:
            raise InputError(f"{data} has no clip of {stage.long_frames} frames", "Prepare longer clips")
        moved = [move_whole(encoder, generator, examples[i]) for i in range(0, len(clips), SPARSE)]
        scale = float(torch.stack([lips.std(0).mean() for lips in moved]).mean())
        if not scale > 0:
            raise InputError("The landmark generator moves no lips", "Train it first: `train landmarks`")
        return cls(encoder, generator, stage, examples, np.array(lengths), key, scale)

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of one batch, which are summed.

        Returns:
            "short", "long": squared error of the features, in their variances; "lips": of the wanted frames'
            mouths, in their variance.
        """
        stage = self.stage
        past = stage.past if rng.random() < 2 / 3 else STEP * int(rng.integers(0, stage.past // STEP + 1))
        future = stage.future * (1 if rng.random() < 2 / 3 else int(rng.integers(2, 4)))
        short = self._draw(stage.batch, past + STEP + future, rng)
        heard = hear(self.encoder, short)
        weight = torch.full(heard.shape[1:2], SIDE, device=heard.device)
        weight[past * FEATURE_RATE // FRAME_RATE : (past + STEP) * FEATURE_RATE // FRAME_RATE + 1] = 1.0
        error = (heard - short.acoustic).square().mean((0, 2))
        lips, true = (
            move_lips(self.encoder, self.generator, features, short)[:, past : past + STEP]
            for features in (heard, short.acoustic)
        )
        long = self._draw(stage.long_batch, stage.long_frames, rng)
        return {
            "short": (weight * error).sum() / weight.sum(),
            "lips": 2 * ((lips - true) / self.scale).square().mean(),
            "long": 2 * (hear(self.encoder, long) - long.acoustic).square().mean(),
        }

    def _draw(self, size: int, frames: int, rng: np.random.Generator) -> Windows:
        """Draws windows of `frames` frames, a multiple of STEP; long recordings more often."""
        usable = np.where(self.lengths > frames, self.lengths, 0)
        indices = rng.choice(len(usable), size, p=usable / usable.sum()).tolist()
        starts = [STEP * int(rng.integers(0, (usable[i] - frames - 1) // STEP + 1)) for i in indices]
        rows = [cut(self.examples[i], start, frames) for i, start in zip(indices, starts, strict=True)]
        device = self.encoder.device
        return Windows(*(torch.stack(column).to(device) for column in zip(*rows, strict=True)))


def cut(example: Example, start: int, frames: int) -> tuple[Tensor, ...]:
    """The fields of `Windows`, without the batch axis, of the frames start, ..., start + frames - 1."""
    first, count = start * FEATURE_RATE // FRAME_RATE, frames * FEATURE_RATE // FRAME_RATE + 1
    samples = example.samples[0, first * FEATURE_HOP :][: (count - 1) * FEATURE_HOP].float()
    acoustic = example.acoustic[0, first : first + count].float()
    return samples, acoustic, example.emotion[0], example.identity.float()


def hear(encoder: StarterSpeechEncoder, windows: Windows) -> Tensor:
    """The features (B, T, D) that the encoder gives for the windows alone."""
    return encoder.acoustic_features(windows.samples)[0]


def move_lips(
    encoder: StarterSpeechEncoder, generator: LandmarkGenerator, acoustic: Tensor, windows: Windows
) -> Tensor:
    """The mouth's displacements (B, F, 20, 2) that the generator predicts from features (B, T, D)."""
    frames = (acoustic.shape[1] - 1) * FRAME_RATE // FEATURE_RATE
    features = SpeechFeatures(acoustic, encoder.gate(acoustic, windows.emotion), windows.emotion)
    return generator(features, windows.identity, frames)[:, :, lm.MOUTH]


@torch.no_grad()
def move_whole(encoder: StarterSpeechEncoder, generator: LandmarkGenerator, example: Example) -> Tensor:
    """The mouth's displacements (F, 20, 2) that are predicted for a whole example."""
    frames = (example.acoustic.shape[1] - 1) * FRAME_RATE // FEATURE_RATE // STEP * STEP
    whole = Windows(*(part[None].to(encoder.device) for part in cut(example, 0, frames)))
    return move_lips(encoder, generator, whole.acoustic, whole)[0]
