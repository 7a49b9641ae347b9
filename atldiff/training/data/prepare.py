"""A corpus -> WebDataset shards: as many jobs at once as there are cores or machines, and again to go on.

The output folder holds `train-000000.tar`, ..., `manifest.json` (shards with their SHA-256), `skipped.csv`
(what was left out and why) and `index.sqlite` (what is done). While it runs, `parts/` holds the clips of the
shards that are not whole yet. Memory does not grow with the corpus, neither here nor in the jobs.
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
from atldiff.system import usable_cores
from atldiff.training.data.clip_index import ClipIndex
from atldiff.training.data.corpora import ClipRecord, read_corpus
from atldiff.training.data.engines import WorkerDied, open_engine, run_jobs
from atldiff.training.data.extract import PROTOCOLS, PrepareConfig, extract
from atldiff.training.data.shards import MANIFEST, join_shards, unwritable, write_shard
from atldiff.training.data.splits import RULES

MAX_TRIES = 3  # of a clip at which the process dies
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
    """Prepares what `out` does not hold yet of a corpus. Run again to go on, or when the corpus has grown.

    What is left out is tried again only when its files have changed. A shard that was removed is made anew.

    Args:
        corpus: a key of `corpora.CORPORA`, or "auto".
        split: "speakers": the people of each split are in no other; "clips": the paper's, by clip, so that
            the people who test were trained on. Splits that a clips.csv names are kept.
        engine: "local" or "ray" (see `engines`).  workers: processes; None: one a core.

    Returns:
        The manifest.

    Raises:
        InputError: no such corpus, or it holds no video; `out` was begun with other settings; nothing can be
            written there, for example because the disk is full (what is done stays).
        WorkerDied: processes die again and again.
    """
    if split not in RULES:
        raise InputError(f"There is no split by {split!r}", f"Choose one of {', '.join(RULES)}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    listing = read_corpus(data, corpus)
    with ClipIndex(out / "index.sqlite") as index:
        settings = asdict(config) | {"split": split}
        index.settle(settings)
        index.plan(listing, data, split, shard_clips)
        if not index.known():
            problem = f"There is no video in {data}"
            raise InputError(problem, "Name the folder with the corpus, and unpack what it holds")
        for shard in index.shards():
            if not (out / f"{shard['name']}.tar").exists():
                index.reopen(shard["name"])
                continue
            shutil.rmtree(out / "parts" / shard["name"], ignore_errors=True)
        try:
            _work_on(index, out, config, engine, workers or usable_cores())
            shutil.rmtree(out / "parts", ignore_errors=True)
        finally:
            manifest = _write_manifest(index, out, settings)
    return manifest


def _work_on(index: ClipIndex, out: Path, config: PrepareConfig, engine: str, workers: int) -> None:
    """Runs all jobs that are left, also past clips at which their process dies.

    Raises:
        WorkerDied: more than MAX_TRIES times without a clip that was done in between.
    """
    deaths, left = 0, index.count("new")
    while True:
        try:
            with open_engine(engine, workers) as pool:
                return _work(index, out, config, pool)
        except WorkerDied:
            deaths, before, left = deaths + 1, left, index.count("new")
            deaths = deaths if left == before else 1
            if deaths > MAX_TRIES:
                raise


def _work(index: ClipIndex, out: Path, config: PrepareConfig, pool) -> None:
    """Runs all jobs that are left: clips into parts, the parts of a full shard into the shard."""
    whole: deque[str] = deque()
    clips = _clips(index, whole)

    def next_job() -> tuple | None:
        """A full shard's joining before the next clip; None: nothing is left."""
        if not whole and (found := next(clips, None)) is not None:
            shard, clip = found
            return make_part, clip, config, _part(out, shard, clip.key)
        if not whole:
            return None
        shard = whole.popleft()
        return join_parts, out, shard, [_part(out, shard, key) for key in index.keys(shard)]

    with tqdm(total=index.count("new"), desc="clips", unit="clip", smoothing=0.05) as bar:
        for kind, name, *answer in run_jobs(pool, next_job):
            if kind == "clip":
                shard = index.made(name, *answer)
                whole.extend([shard] if shard and index.keys(shard) else [])
                bar.update()
            else:
                index.packed(name, *answer)
                shutil.rmtree(out / "parts" / name, ignore_errors=True)


def make_part(clip: ClipRecord, config: PrepareConfig, part: Path) -> tuple:
    """A job: one clip into a shard of its own.

    Returns:
        ("clip", key, number of samples, why there are none or None).
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
    """A job: the clips of a shard into its file.

    Returns:
        ("shard", name, number of samples, bytes, SHA-256).
    """
    return "shard", shard, *join_shards(out / f"{shard}.tar", parts)


def _leave(tries: Path) -> None:
    """Ends this process, which did not die over its clip: another worker did, or the run was killed."""
    tries.unlink(missing_ok=True)
    os._exit(1)


def _count_try(tries: Path) -> int:
    """How often a clip was begun, this time too; the file stays where the process dies over it."""
    try:
        tries.parent.mkdir(parents=True, exist_ok=True)
        with open(tries, "a") as file:
            file.write("x")
            return file.tell()
    except OSError as error:
        raise unwritable(tries, error) from error


def _clips(index: ClipIndex, whole: deque[str]) -> Iterator[tuple[str, ClipRecord]]:
    """(shard, clip) of all that are to be made; shards that only want joining go into `whole`."""
    for shard, clips in index.unfinished():
        whole.extend([] if clips else [shard])
        for clip in clips:
            yield shard, replace(clip, split=shard.rsplit("-", 1)[0])


def _part(out: Path, shard: str, key: str) -> Path:
    return out / "parts" / shard / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.tar"


def _write_manifest(index: ClipIndex, out: Path, settings: dict) -> dict:
    """Writes manifest.json and skipped.csv as things stand."""
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
        part = out / f"{MANIFEST}.writing"
        part.write_text(json.dumps(manifest, indent=1))
        part.replace(out / MANIFEST)
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror})", "Make room and run it again"
        ) from error
    return manifest
