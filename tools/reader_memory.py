"""Measures the memory of training's readers while they give batches at full speed.

    python tools/reader_memory.py --data runs/data --seconds 600

It reads the renderer's batches, streamed from shards, then the landmark network's windows. Each sample is a
line of JSON: seconds, batches, and MiB of private memory (RssAnon) of this process and the loader's workers.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from atldiff.config import PRESETS
from atldiff.pipeline import STARTER
from atldiff.speech.encoders import load_speech_encoder
from atldiff.training.data.shards import MANIFEST, read_prepared, write_shard
from atldiff.training.landmarks.clips import StoredSpeech, data_key, read_speech_clips
from atldiff.training.landmarks.encoded import encode_versions
from atldiff.training.landmarks.windows import clip_shares, draw_batch
from atldiff.training.renderer.batches import Batches, DataConfig
from atldiff.training.renderer.samples import SampleConfig
from atldiff.training.runs.processes import start_processes

SHARD_CLIPS = 16


def main() -> None:
    """Runs both readers, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="what prepare wrote")
    parser.add_argument("--seconds", type=float, default=600.0, help="of each reader")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two samples")
    parser.add_argument("--clips", type=int, default=1000, help="of the landmark reader")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        data = args.data if (args.data / MANIFEST).exists() else as_shards(args.data, out / "shards")
        watch("renderer", renderer_batches(data, out), args.seconds, args.every)
        watch("landmarks", landmark_windows(args.data, out, args.clips), args.seconds, args.every)


def as_shards(data: Path, out: Path) -> Path:
    """Writes shards of the train clips in a folder of .npz files."""
    samples, shards = read_prepared(data, "train"), []
    for number in itertools.count():
        if not (chunk := list(itertools.islice(samples, SHARD_CLIPS))):
            break
        name = f"train-{number:06d}"
        count, size, _ = write_shard(out / f"{name}.tar", chunk)
        shards.append({"name": name, "split": "train", "samples": count, "bytes": size})
    (out / MANIFEST).write_text(json.dumps({"shards": shards}))
    return out


def renderer_batches(data: Path, out: Path) -> Callable[[], object]:
    """A reader of streamed batches, as for a corpus above `--memory`."""
    source = DataConfig(data, memory=0.0, batch=16)
    feed = iter(
        Batches(source, SampleConfig.from_preset(PRESETS["starter"]), start_processes("cpu", out / "run"))
    )
    return lambda: next(feed)


def landmark_windows(data: Path, out: Path, most: int) -> Callable[[], object]:
    """Returns what reads one batch of windows of at most `most` clips, which it encodes in `out`."""
    encoder = load_speech_encoder(STARTER / "speech_encoder")
    heard = itertools.islice(read_speech_clips(data, "train"), most)
    clips = StoredSpeech.store(out / "clips.bin", heard)
    versions = encode_versions(out, data_key(encoder, clips), encoder, clips, 1, seed=0)
    shares = clip_shares([clip.speaker for clip in clips], [len(clip.ok) for clip in clips])
    rng, lags = np.random.default_rng(0), [0] * len(clips)
    return lambda: draw_batch(versions, shares, lags, 16, 90, rng)


def watch(name: str, read: Callable[[], object], seconds: float, every: float) -> None:
    """Prints a sample each `every` seconds, for `seconds`."""
    begun, said, batches = time.monotonic(), 0.0, 0
    while (passed := time.monotonic() - begun) < seconds:
        read()
        batches += 1
        if passed >= said:
            held = [private(process) for process in (psutil.Process(), *psutil.Process().children())]
            line = {"reader": name, "s": round(passed), "batches": batches, "MiB": held}
            print(json.dumps(line), flush=True)
            said += every


def private(process: psutil.Process) -> int:
    """Private memory of a process, without its files in memory, MiB."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return round(int(line.split()[1]) / 1024)
    return 0


if __name__ == "__main__":
    main()
