"""Recordings with labelled emotions: RAVDESS, split by actor, or a prepared corpus, as log-mels in a file."""

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
    """Log-mels (80, M) of recordings, which are read from a file when they are asked for."""

    def made(self, row: Row) -> Tensor:
        """A recording's log-mel of its row."""
        return torch.from_numpy(row["mel"])


def labels_of(rows: ArrayFile) -> tuple[np.ndarray, np.ndarray]:
    """What recordings are called, (n,) int64, and whether they are held out, (n,) bool."""
    return np.array([int(row["label"]) for row in rows]), np.array([bool(row["held_out"]) for row in rows])


def store_emotional_speech(data: Path, encoder: Encoder, path: Path) -> ArrayFile:
    """Writes every labelled recording of `data/emotional_speech.csv`, or else of what `prepare` wrote to
    `data`, whose validation split is held out, to the file `path`.

    Returns:
        of each recording, levelled: mel (80, M), label (), held_out ().

    Raises:
        InputError: no such data, no recording with an emotion that the encoder has, or one that cannot be
            read; the disk is full.
    """
    recordings = _table(data) if (data / "emotional_speech.csv").exists() else _prepared(data)
    names, counts = encoder.emotion.names, [0, 0]

    def rows() -> Iterator[dict[str, np.ndarray]]:
        """One recording each, of the emotions that have a name here."""
        for samples, emotion, apart in recordings:
            if emotion in names:
                counts[apart] += 1
                leveled = to_training_level(torch.from_numpy(samples)[None].to(encoder.device))
                mel = encoder.mel(leveled)[0].cpu()
                told = {"label": np.array(names.index(emotion)), "held_out": np.array(apart)}
                yield {"mel": mel.numpy()} | told

    written = ArrayFile.write(path, rows())
    if 0 in counts:
        problem = f"{data} has no recordings of {', '.join(names)} to train on, or none to validate with"
        raise InputError(problem, "Name a corpus with labels, or the folder that holds emotional_speech.csv")
    return written


def _table(data: Path) -> Iterator[tuple[np.ndarray, str, bool]]:
    """Samples (n,) at 16 kHz, emotion, held out."""
    import librosa

    for row in table_rows(data / "emotional_speech.csv", ("file", "emotion", "actor")):
        path = data / "emotional_speech" / row["file"]
        try:
            with soundfile.SoundFile(path) as sound:
                samples, _ = librosa.load(sound, sr=SAMPLE_RATE)
        except (OSError, soundfile.SoundFileError) as error:
            remedy = "Fetch it again, or take its row out of emotional_speech.csv"
            raise InputError(f"{path} cannot be read", remedy) from error
        yield samples, row["emotion"], row["actor"] in TEST_ACTORS


def _prepared(data: Path) -> Iterator[tuple[np.ndarray, str, bool]]:
    for split in ("train", "val"):
        for entry, arrays in read_prepared(data, split):
            if entry["kind"] == "speech":
                yield arrays["samples"], entry.get("emotion", ""), split == "val"
