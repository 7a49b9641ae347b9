"""Recordings with emotion labels as log-mels in a file: RAVDESS, split by actor, or a prepared corpus."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from atldiff.config import SAMPLE_RATE
from atldiff.errors import InputError
from atldiff.speech.encoders import Encoder
from atldiff.speech.mel import to_training_level
from atldiff.training.data.array_file import ArrayFile, Row, StoredRows
from atldiff.training.data.corpora import table_rows
from atldiff.training.data.shards import read_prepared

TEST_ACTORS = ("19", "20", "21", "22")  # two men, two women


class Mels(StoredRows[Tensor]):
    """Log-mels (80, M) of recordings in a file, read on access."""

    def decode(self, row: Row) -> Tensor:
        """A row's log-mel (80, M)."""
        return torch.from_numpy(row["mel"])


def read_labels(rows: ArrayFile) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) int64 of the recordings, and which are held out, (n,) bool."""
    return np.array([int(row["label"]) for row in rows]), np.array([bool(row["held_out"]) for row in rows])


def store_emotional_speech(data: Path, encoder: Encoder, path: Path) -> ArrayFile:
    """Writes log-mels of the labelled recordings of `data` to the file `path`.

    `data` has an emotional_speech.csv, or else `prepare` wrote it; then the validation split is held out.

    Returns:
        A row for each recording, levelled: mel (80, M), label (), held_out ().

    Raises:
        InputError: no such data; no recording with an emotion of the encoder; a recording cannot be read;
            the disk is full.
    """
    recordings = _read_table(data) if (data / "emotional_speech.csv").exists() else _read_corpus(data)
    names, counts = encoder.emotion.names, [0, 0]

    def rows() -> Iterator[dict[str, np.ndarray]]:
        """A row for each recording with an emotion of the encoder."""
        for samples, emotion, held_out in recordings:
            if emotion in names:
                counts[held_out] += 1
                leveled = to_training_level(torch.from_numpy(samples)[None].to(encoder.device))
                mel = encoder.mel(leveled)[0].cpu()
                labels = {"label": np.array(names.index(emotion)), "held_out": np.array(held_out)}
                yield {"mel": mel.numpy()} | labels

    file = ArrayFile.write(path, rows())
    if 0 in counts:
        problem = f"{data} has no recordings of {', '.join(names)} to train on, or none to validate with"
        raise InputError(problem, "Name a corpus with labels, or the folder that holds emotional_speech.csv")
    return file


def _read_table(data: Path) -> Iterator[tuple[np.ndarray, str, bool]]:
    """(samples (n,) at 16 kHz, emotion, held out) of RAVDESS's recordings."""
    for row in table_rows(data / "emotional_speech.csv", ("file", "emotion", "actor")):
        path = data / "emotional_speech" / row["file"]
        try:
            sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError) as error:
            remedy = "Fetch it again, or take its row out of emotional_speech.csv"
            raise InputError(f"{path} cannot be read", remedy) from error
        yield _to_samples(sound, rate), row["emotion"], row["actor"] in TEST_ACTORS


def _to_samples(sound: np.ndarray, rate: int) -> np.ndarray:
    """Mixes sound (m, channels) to samples (n,) at 16 kHz."""
    mono = sound.mean(axis=1)
    if rate == SAMPLE_RATE:
        return mono
    import librosa  # takes seconds

    return librosa.resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE)


def _read_corpus(data: Path) -> Iterator[tuple[np.ndarray, str, bool]]:
    """(samples (n,) at 16 kHz, emotion, held out) of prepared clips with speech."""
    for split in ("train", "val"):
        for entry, arrays in read_prepared(data, split):
            if entry["kind"] == "speech":
                yield arrays["samples"], entry.get("emotion", ""), split == "val"
