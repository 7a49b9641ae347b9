"""What a video was made from, for its credentials: names and hashes, never the files."""

import hashlib
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Origin:
    """The sources of a video; "" and {} where they are not known.

    Attributes:
        photo: SHA-256 of the photo's file, or of its pixels where there was no file.
        recording: the same of the recording.
        weights: name of the weights.
        weights_hash: see `hash_weights`.
        options: the choices for the video, by name.
    """

    photo: str = ""
    recording: str = ""
    weights: str = ""
    weights_hash: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


class Rendering(Iterator[np.ndarray]):
    """A video's frames, which know their origin.

    Args:
        frames: (H, W, 3 or 4) uint8 each.
        origin: of the video.
    """

    def __init__(self, frames: Iterator[np.ndarray], origin: Origin) -> None:
        self.origin, self._frames = origin, frames

    def __next__(self) -> np.ndarray:
        """The next frame."""
        return next(self._frames)

    def close(self) -> None:
        """Stops the rendering."""
        if isinstance(self._frames, Generator):
            self._frames.close()


def fingerprint(source: Any) -> str:
    """SHA-256 in hexadecimal of a file, of an array or a Pillow image's pixels; "" for anything else."""
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if isinstance(source, tuple):  # gradio's pair of a rate and samples
        source = source[1]
    if isinstance(source, np.ndarray | Image.Image):
        return hashlib.sha256(np.ascontiguousarray(source).tobytes()).hexdigest()
    return ""


def name_weights(folder: str | Path) -> str:
    """The name of the weights in a folder: the hub's for a copy of a repository, else the folder's own."""
    hub = re.search(r"models--(.+?)--(.+?)[/\\]snapshots", str(folder))
    return f"{hub[1]}/{hub[2]}" if hub else Path(folder).name


@cache
def hash_weights(folder: str | Path) -> str:
    """SHA-256 of what `sha256sum` prints for a folder's .safetensors files, sorted by path; "" without."""
    paths = sorted(Path(folder).rglob("*.safetensors"))
    lines = [f"{fingerprint(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""
