"""Prepared clips as WebDataset shards: plain tar files, read from front to back.

- A shard holds for each clip a .json (names and numbers) and a .npz (JPEG pictures, landmarks, sound).
- Every tool opens a tar file, and it streams alike from a disk, an object store or a pipe.
- WebDataset has one small dependency. `renderer.stream` adds the resuming that it lacks.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from atldiff.errors import InputError
from atldiff.system import atomic_write

MANIFEST = "manifest.json"
Sample = tuple[dict, dict[str, np.ndarray]]  # a clip's entry of names and numbers, and its arrays


def write_shard(path: Path, samples: Iterable[Sample]) -> tuple[int, int, str]:
    """Writes samples, each under its entry's "stem", into a tar file; whole or not at all.

    Returns:
        Number of samples, bytes, SHA-256; the same samples give the same file.

    Raises:
        InputError: the file cannot be written, for example because the disk is full.
    """
    return _write(path, ({"__key__": e["stem"], "json": _json(e), "npz": _npz(a)} for e, a in samples))


def join_shards(path: Path, parts: Iterable[Path]) -> tuple[int, int, str]:
    """Writes the samples of some shards into one; see `write_shard`."""
    return _write(path, (sample for part in parts for sample in _read(part)))


def read_shard(path: Path, keys: Iterable[int] | None = None) -> Iterator[Sample]:
    """The samples of a shard, in its order or in that of `keys`, their places in the shard.

    Raises:
        InputError: the shard is missing or broken.
    """
    raw: Iterable[dict] = _read(path)
    if keys is not None:
        samples = list(raw)  # undecoded, so that memory holds the shard's size
        raw = (samples[key] for key in keys)
    for sample in raw:
        with np.load(io.BytesIO(sample["npz"])) as arrays:
            yield json.loads(sample["json"]), dict(arrays)


def read_manifest(data: Path) -> dict:
    """The manifest that `prepare` wrote.

    Raises:
        InputError: the manifest is missing or broken.
    """
    try:
        return json.loads((data / MANIFEST).read_text())
    except FileNotFoundError as error:
        raise InputError(
            f"{data / MANIFEST} does not exist", "Run `python -m atldiff prepare` first"
        ) from error
    except ValueError as error:
        remedy = "Run `python -m atldiff prepare` again, which writes it anew"
        raise InputError(f"{data / MANIFEST} is broken", remedy) from error


def list_shards(data: Path, split: str) -> list[dict]:
    """The manifest's entries of a split's shards."""
    return [shard for shard in read_manifest(data)["shards"] if shard["split"] == split]


def read_prepared(data: Path, split: str) -> Iterator[Sample]:
    """Every prepared clip of a split, one at a time, from its shards.

    Raises:
        InputError: nothing was prepared there, or a shard is broken.
    """
    for shard in list_shards(data, split):
        yield from read_shard(data / f"{shard['name']}.tar")


def find_broken_shards(data: Path) -> list[str]:
    """Names of the shards with a missing file or another checksum than the manifest's."""
    files = [(data / f"{shard['name']}.tar", shard["sha256"]) for shard in read_manifest(data)["shards"]]
    return [file.stem for file, sha256 in files if not file.is_file() or _checksum(file) != sha256]


def write_error(path: Path, error: OSError) -> InputError:
    """The error for a file or folder that cannot be written."""
    return InputError(f"{path} cannot be written ({error.strerror})", "Make room, and run it again to go on")


def _write(path: Path, samples: Iterable[dict]) -> tuple[int, int, str]:
    import webdataset

    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            with (
                open(part, "wb") as file,
                webdataset.TarWriter(file, encoder=False, mtime=0, format="PAX_FORMAT") as writer,
            ):
                for sample in samples:
                    writer.write(sample)
                    count += 1
            size, checksum = part.stat().st_size, _checksum(part)
    except OSError as error:
        raise write_error(path, error) from error
    return count, size, checksum


def _read(path: Path) -> Iterator[dict]:
    """The undecoded samples of a shard."""
    import webdataset

    try:
        yield from webdataset.WebDataset(
            [str(path)], shardshuffle=False, nodesplitter=None, workersplitter=None, empty_check=False
        )
    except (OSError, tarfile.TarError, ValueError) as error:
        problem = f"The shard {path} cannot be read"
        raise InputError(problem, "Remove it and run `prepare` again, which makes it anew") from error


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(entry: dict) -> bytes:
    return json.dumps(entry, ensure_ascii=False).encode()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()
