"""Prepared clips for the landmark network: speech with pose-free displacements.

A target excludes the motion of the head: each frame is aligned to the clip's identity frame by the points of
the skull, then expressed in face units.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE
from atldiff.media.speech import SAMPLE_RATE, Speech
from atldiff.speech.encoders import Encoder
from atldiff.training.data.array_file import ArrayFile, Row, StoredRows
from atldiff.training.data.shards import read_prepared

MAX_YAW = 0.5  # frames turned further show the mouth too foreshortened
TEXTS = ("stem", "speaker")  # a clip's fields that are no arrays
# McGurk stimuli: the sound is another syllable than that of the lips.
INCONGRUENT = (
    "mcgurk_filyp__0c261e1f",
    "mcgurk_filyp__4def856c",
    "mcgurk_filyp__572b0642",
    "mcgurk_filyp__57dbf3a1",
    "mcgurk_filyp__b8612c79",
    "mcgurk_filyp__bf4550a3",
    "mcgurk_luvgho__04737138",
    "mcgurk_luvgho__1aa0431b",
    "mcgurk_luvgho__6d628360",
    "mcgurk_luvgho__82e70396",
    "mcgurk_luvgho__9c3431b5",
    "mcgurk_luvgho__d1fc90be",
)


@dataclass(frozen=True, eq=False)
class SpeechClip:
    """One clip.

    Attributes:
        stem: name of the clip.
        speaker: name of the person.
        samples: (n,) float32 at 16 kHz.
        displacements: (F, 68, 2) float32 face units at 30 fps, from `identity`.
        identity: (68, 2) float32 face units, a closed-mouth frame of the clip.
        ok: (F,) bool, the frame is tracked and faces the camera.
    """

    stem: str
    speaker: str
    samples: np.ndarray
    displacements: np.ndarray
    identity: np.ndarray
    ok: np.ndarray

    @property
    def speech(self) -> Speech:
        """The sound as the encoder's input."""
        return Speech(self.samples, self.samples[:, None], SAMPLE_RATE)


class StoredSpeech(StoredRows[SpeechClip]):
    """Speech clips in a file, read on access."""

    def decode(self, row: Row) -> SpeechClip:
        """The clip of a row."""
        texts: dict[str, Any] = {name: row[name].tobytes().decode() for name in TEXTS}
        return SpeechClip(**row | texts)

    @classmethod
    def store(cls, path: Path, clips: Iterable[SpeechClip]) -> "StoredSpeech":
        """Writes clips to the file `path`.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        return cls(ArrayFile.write(path, map(_row, clips)))


def _row(clip: SpeechClip) -> dict[str, np.ndarray]:
    return vars(clip) | {name: np.frombuffer(getattr(clip, name).encode(), np.uint8) for name in TEXTS}


def load_speech_clips(data: Path, split: str, most: int | None = None) -> list[SpeechClip]:
    """The split's speech clips from the folder `data` that `prepare` wrote; at most `most` of them.

    Raises:
        InputError: the folder was not prepared.
    """
    return list(islice(read_speech_clips(data, split), most))


def read_speech_clips(data: Path, split: str) -> Iterator[SpeechClip]:
    """The same clips one at a time; arguments and errors as in `load_speech_clips`.

    Training clips are moved by their measured lag. Clips of other splits stay as they were recorded.
    """
    for entry, arrays in read_prepared(data, split):
        if entry["kind"] != "speech" or Path(entry["stem"]).name in INCONGRUENT:
            continue
        points, ok, samples = arrays["landmarks30"], arrays["ok30"], arrays["samples"]
        frames = min(len(points), int(len(samples) / SAMPLE_RATE * FRAME_RATE))
        lag = round(FRAME_RATE * entry.get("lag", 0.0)) if split == "train" else 0
        numbers, inside = lagged_numbers(frames, lag)
        points, ok = points[numbers], ok[numbers] & inside
        ok &= np.abs(lm.yaw(points)) < MAX_YAW
        if ok.sum() < FRAME_RATE // 2:
            continue
        displacements, identity = remove_pose(points, ok)
        yield SpeechClip(entry["stem"], entry["identity"], samples, displacements, identity, ok)


def lagged_numbers(frames: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture (F,) of each frame of the sound, `lag` frames after it, and which exist, (F,) bool."""
    numbers = np.arange(frames) + lag
    return numbers.clip(0, frames - 1), (numbers >= 0) & (numbers < frames)


def remove_pose(points: np.ndarray, ok: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (F, 68, 2) and identity (68, 2), face units, of landmarks (F, 68, 2) in any unit.

    The identity frame is the one with the mouth most closed at the clip's usual yaw.
    """
    turn = np.abs(lm.yaw(points) - np.median(lm.yaw(points)[ok]))
    still = int(np.argmin(lm.mouth_opening(points) + 0.5 * turn + 10.0 * ~ok))
    face = lm.FaceFrame.from_landmarks(points[still])
    identity = face.to_face(points[still])
    points = face.to_face(lm.align_rigid(points, points[still]))
    return (points - identity).astype(np.float32), identity.astype(np.float32)


def data_key(encoder: Encoder, clips: Iterable[SpeechClip]) -> str:
    """A hash of the clips and of the encoder's fixed weights, which names their cached features."""
    digest = hashlib.blake2b(digest_size=8)
    for clip in clips:
        digest.update(clip.stem.encode())
        for array in (clip.samples, clip.displacements, clip.identity, clip.ok):
            digest.update(np.ascontiguousarray(array).tobytes())
    for name, value in encoder.state_dict().items():
        if name.split(".")[0] not in (
            "gate",
            "mean",
            "std",
        ):  # training changes the first, `fit_features` the others
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
