"""Teachers: finished landmark runs, whose mean prediction a new network learns beside the truth.

The mean of several networks follows lips better than one. A network that learns the mean costs no more than
one (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network").
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from atldiff.errors import InputError
from atldiff.loading import load_network
from atldiff.speech.encoders import Encoder, load_speech_encoder
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.training.data.array_file import ArrayFile
from atldiff.training.landmarks.clips import lagged_numbers
from atldiff.training.landmarks.encoded import EncodedSpeech, Example

TRUTH_SHARE = 0.3  # of the truth in a target; the teachers have the rest


class Teacher(nn.Module):
    """A finished run's generator and gate, for features of the same clips.

    Args:
        run: the run's folder.
        key: of clips and encoder (`data_key`).
        encoder: of the pupil.

    Raises:
        InputError: the folder has no landmark run, or one on other clips.
    """

    def __init__(self, run: Path, key: str, encoder: Encoder) -> None:
        super().__init__()
        own = load_speech_encoder(run / "speech_encoder")
        if not (run / f"features-{key}.pt").exists() or not _alike(own, encoder):
            remedy = "Name folders of runs of `train landmarks` with the same --data and --start"
            raise InputError(f"{run} is no landmark run on these clips", remedy)
        self.generator = load_network(
            run / "landmark_generator", [LandmarkGenerator], "landmark generator", "Let its run end first"
        )
        self.gate = own.gate

    @torch.no_grad()
    def displacements(self, example: Example) -> Tensor:
        """Predicts the displacements (F, 68, 2), face units, of a whole clip."""
        acoustic, emotion = example.acoustic.float(), example.emotion
        samples = example.samples.float() if self.generator.hears_waveform else None
        features = SpeechFeatures(acoustic, self.gate(acoustic, emotion), emotion, samples=samples)
        identity = example.identity.numpy()
        return torch.from_numpy(self.generator.predict(features, identity, len(example.ok)) - identity)


def teach_versions(
    out: Path, key: str, versions: Sequence[EncodedSpeech], runs: Sequence[Path], encoder: Encoder
) -> list[EncodedSpeech]:
    """Versions whose targets are the truth's share and the teachers' mean, cached in `out`.

    The truth is moved by the median of the lags that the teachers measured.

    Args:
        key: of clips and encoder (`data_key`).
        runs: the teachers' folders.
        encoder: of the pupil.

    Raises:
        InputError: a run is no teacher of these clips; the disk is full.
    """
    teachers = [Teacher(run, key, encoder).eval() for run in runs]
    lags = np.median([_measured_lags(run, len(versions[0])) for run in runs], axis=0).round().astype(int)
    digest = hashlib.blake2b(str([str(run.resolve()) for run in runs]).encode(), digest_size=8).hexdigest()
    taught = []
    for number, version in enumerate(versions):
        path = out / f"taught-{key}-{digest}-{number}.bin"
        rows = ArrayFile.open_existing(path)
        if rows is None:
            pairs = zip(version, lags, strict=True)
            rows = ArrayFile.write(path, (_teach(teachers, *pair) for pair in pairs))
        taught.append(EncodedSpeech(rows))
    return taught


def _alike(one: Encoder, other: Encoder) -> bool:
    """Do two encoders standardise their features alike, if they do at all?"""
    pairs = zip(one.buffers(recurse=False), other.buffers(recurse=False), strict=True)
    return all(torch.allclose(a.cpu(), b.cpu(), rtol=1e-3) for a, b in pairs)


def _measured_lags(run: Path, clips: int) -> list[int]:
    """The lag of each clip in frames; zeros if the run was too short to measure them."""
    file = run / "lags.json"
    return json.loads(file.read_text())["lags"] if file.exists() else [0] * clips


def _teach(teachers: Sequence[Teacher], example: Example, lag: int) -> dict[str, np.ndarray]:
    """The example as a row, with the pupil's target as its displacements."""
    mean = torch.stack([teacher.displacements(example) for teacher in teachers]).mean(0)
    numbers, inside = (torch.from_numpy(part) for part in lagged_numbers(len(example.ok), lag))
    target = mean.lerp(example.displacements[numbers], TRUTH_SHARE)
    changes = {"displacements": target, "ok": example.ok[numbers] & inside}
    return {name: value.numpy() for name, value in (vars(example) | changes).items()}
