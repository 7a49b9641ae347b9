"""A corpus -> WebDataset shards, by parallel jobs; a second run resumes.

- `train-000000.tar`, ...: the shards.
- `manifest.json`: the shards with their SHA-256; `skipped.csv`: skipped files with reasons.
- `index.sqlite`: the state of each clip; `parts/`: clips of unfinished shards, during a run.
- Memory does not grow with the corpus, neither here nor in the jobs.
"""

import csv
import hashlib
import json
import os
import shutil
import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from atldiff import __version__
from atldiff.errors import InputError
from atldiff.system import atomic_write, usable_cores
from atldiff.training.data.clip_index import ClipIndex
from atldiff.training.data.corpora import ClipRecord, read_corpus
from atldiff.training.data.engines import WorkerDied, open_engine, run_jobs
from atldiff.training.data.extract import PROTOCOLS, PrepareConfig, extract
from atldiff.training.data.shards import MANIFEST, join_shards, write_error, write_shard
from atldiff.training.data.splits import RULES

MAX_TRIES = 3  # of a clip that makes the process die
SHARD_CLIPS = 64  # clips a shard: some 20 to 100 MB


def prepare(
    data: Path,
    out: Path,
    *,
    corpus: str = "auto",
    config: PrepareConfig = PROTOCOLS["starter"],
    split: str = "speakers",
    engine: str = "local",
    workers: int | None = None,
    shard_clips: int = SHARD_CLIPS,
) -> dict:
    """Prepares the clips of a corpus that `out` does not hold yet. Run it again when the corpus has grown.

    A skipped clip is tried again when its files have changed. A removed shard is made anew.

    Args:
        data: the corpus's folder.
        out: the output folder.
        corpus: a key of `corpora.CORPORA`, or "auto".
        config: how clips are stored.
        split: "speakers": no person is in two splits; "clips": the paper's split, with each person in all
            splits. Splits of a clips.csv have priority.
        engine: "local" or "ray" (see `engines`).
        workers: number of processes; None: one a core.
        shard_clips: clips a shard.

    Returns:
        The manifest.

    Raises:
        InputError: no such corpus, or it has no video; `out` was begun with other settings; `out` cannot be
            written, for example because the disk is full (finished clips stay).
        WorkerDied: processes die again and again.
    """
    if split not in RULES:
        raise InputError(f"There is no split by {split!r}", f"Choose one of {', '.join(RULES)}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    listing = read_corpus(data, corpus)
    with ClipIndex(out / "index.sqlite") as index:
        settings = asdict(config) | {"split": split}
        index.settle(settings)
        index.plan(listing, data, split, shard_clips)
        if not index.count_files():
            problem = f"There is no video in {data}"
            raise InputError(problem, "Name the folder with the corpus, and unpack what it holds")
        for shard in index.shards():
            if not (out / f"{shard['name']}.tar").exists():
                index.reopen(shard["name"])
                continue
            shutil.rmtree(out / "parts" / shard["name"], ignore_errors=True)
        try:
            _run_all(index, out, config, engine, workers or usable_cores())
            shutil.rmtree(out / "parts", ignore_errors=True)
        finally:
            manifest = _write_manifest(index, out, settings)
    return manifest


def _run_all(index: ClipIndex, out: Path, config: PrepareConfig, engine: str, workers: int) -> None:
    """Runs all remaining jobs, and starts the engine again after a process has died.

    Raises:
        WorkerDied: processes died more than MAX_TRIES times without a finished clip in between.
    """
    deaths, left = 0, index.count("new")
    while True:
        try:
            with open_engine(engine, workers) as pool:
                return _run_jobs(index, out, config, pool)
        except WorkerDied:
            deaths, last, left = deaths + 1, left, index.count("new")
            deaths = deaths if left == last else 1
            if deaths > MAX_TRIES:
                raise


def _run_jobs(index: ClipIndex, out: Path, config: PrepareConfig, pool) -> None:
    """Runs all remaining jobs on an engine: clips into parts, the parts of a full shard into the shard."""
    full: deque[str] = deque()  # shards with all their parts
    clips = _list_clips(index, full)

    def next_job() -> tuple | None:
        """The next job: full shards before clips; None if nothing is left."""
        if not full and (item := next(clips, None)) is not None:
            shard, clip = item
            return make_part, clip, config, _part_path(out, shard, clip.key)
        if not full:
            return None
        shard = full.popleft()
        return join_parts, out, shard, [_part_path(out, shard, key) for key in index.keys(shard)]

    with tqdm(total=index.count("new"), desc="clips", unit="clip", smoothing=0.05) as bar:
        for kind, name, *answer in run_jobs(pool, next_job):
            if kind == "clip":
                shard = index.record_clip(name, *answer)
                full.extend([shard] if shard and index.keys(shard) else [])
                bar.update()
            else:
                index.record_shard(name, *answer)
                shutil.rmtree(out / "parts" / name, ignore_errors=True)


def make_part(clip: ClipRecord, config: PrepareConfig, part: Path) -> tuple:
    """A job: writes one clip into a shard of its own.

    Returns:
        ("clip", key, number of samples, None or the reason why there are none).
    """
    tries = part.with_suffix(".tries")
    previous = signal.signal(signal.SIGTERM, lambda *_: _leave(tries))
    try:
        if _count_try(tries) > MAX_TRIES:
            return "clip", clip.key, 0, f"the process that read it died, {MAX_TRIES} times"
        try:
            samples = extract(clip, config)
        except (InputError, MemoryError) as error:
            return "clip", clip.key, 0, str(error) or "the memory is too small for it"
        write_shard(part, samples)
    finally:
        tries.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, previous)
    return "clip", clip.key, len(samples), None


def join_parts(out: Path, shard: str, parts: list[Path]) -> tuple:
    """A job: joins the clips of a shard into its file.

    Returns:
        ("shard", name, number of samples, bytes, SHA-256).
    """
    return "shard", shard, *join_shards(out / f"{shard}.tar", parts)


def _leave(tries: Path) -> None:
    """Ends this process without counting a try: another worker died, or the run was killed."""
    tries.unlink(missing_ok=True)
    os._exit(1)


def _count_try(tries: Path) -> int:
    """Counts the tries of a clip, this one included. The file stays if the clip makes the process die."""
    try:
        tries.parent.mkdir(parents=True, exist_ok=True)
        with open(tries, "a") as file:
            file.write("x")
            return file.tell()
    except OSError as error:
        raise write_error(tries, error) from error


def _list_clips(index: ClipIndex, full: deque[str]) -> Iterator[tuple[str, ClipRecord]]:
    """(shard, clip) of all new clips; shards without new clips are added to `full`."""
    for shard, clips in index.unfinished():
        full.extend([] if clips else [shard])
        for clip in clips:
            yield shard, replace(clip, split=shard.rsplit("-", 1)[0])


def _part_path(out: Path, shard: str, key: str) -> Path:
    return out / "parts" / shard / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.tar"


def _write_manifest(index: ClipIndex, out: Path, settings: dict) -> dict:
    """Writes manifest.json and skipped.csv from the index; returns the manifest."""
    shards, totals = index.shards(), dict[str, dict[str, int]]()
    for shard in shards:
        total = totals.setdefault(shard["split"], {"shards": 0, "clips": 0, "samples": 0, "bytes": 0})
        total["shards"] += 1
        for name in ("clips", "samples", "bytes"):
            total[name] += shard[name]
    skipped = 0
    try:
        with open(out / "skipped.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("file", "reason"))
            for row in index.skipped():
                writer.writerow(row)
                skipped += 1
        manifest: dict[str, Any] = {
            "format": "webdataset",
            "atldiff": __version__,
            "settings": settings,
            "splits": totals,
        }
        manifest |= {"speakers": index.speakers(), "skipped": skipped, "unfinished": index.count("new")}
        manifest |= {"shards": shards}
        with atomic_write(out / MANIFEST) as part:
            part.write_text(json.dumps(manifest, indent=1))
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror})", "Make room and run it again"
        ) from error
    return manifest
