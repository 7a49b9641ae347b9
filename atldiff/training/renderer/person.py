"""One person's video -> a checkpoint whose renderer is fine-tuned on them, from the shipped weights."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from atldiff.config import FRAME_RATE, Preset
from atldiff.errors import InputError
from atldiff.media.speech import SAMPLE_RATE
from atldiff.pipeline import STARTER
from atldiff.training.data.corpora import ClipRecord
from atldiff.training.data.extract import extract
from atldiff.training.data.shards import MANIFEST, Sample, read_manifest, write_shard
from atldiff.training.export import export, mean_weights
from atldiff.training.renderer.clips import MIN_FRAMES, stored_clip
from atldiff.training.renderer.networks import make_networks
from atldiff.training.renderer.train import DEFAULT_RUN, RunConfig, train_diffusion
from atldiff.training.runs.checkpoints import report_write_errors, save_networks, save_text
from atldiff.training.runs.processes import run_on_main, start_processes

STEPS = 600
UNSEEN = 0.2  # of each video, its end, chooses the best weights
PIECE = 1.0  # seconds of each piece of it
SAVE_SECONDS = 90.0
OWN = 0.7  # of the person's weights in the mean with those that training began from


def fine_tune(
    videos: Sequence[Path],
    out: Path,
    start: Path = STARTER,
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    run: RunConfig = DEFAULT_RUN,
) -> Path:
    """Fine-tunes the renderer of a pipeline's folder on somebody's videos; run again to resume.

    Writes `out/data` (the prepared video), `out/renderer` (the run, as `train_diffusion`) and `out/pipeline`.
    The pipeline's weights are a mean of the best ones and those of `start` (Wortsman et al. 2022, "Robust
    fine-tuning"): with the best alone, a mouth that is held flickers more than before. Where training does
    not make the end of the videos better, they stay those of `start`.

    Args:
        videos: with one face, of the same person; a minute is enough.

    Returns:
        The pipeline's folder, for `--weights`.

    Raises:
        InputError: a video cannot be used, or `out` was begun with others; `start` is no pipeline's folder;
            the disk is full.
    """
    accelerator = start_processes(device, out)
    row = _row_of(start)
    run_on_main(accelerator, partial(prepare_person, videos, out / "data"))
    if run.save_seconds is None:
        run = replace(run, save_seconds=SAVE_SECONDS)
    best = train_diffusion(
        out / "data",
        out / "renderer",
        "temporal",
        row,
        steps=STEPS if steps is None else steps,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        device=device,
        start=start,
        speech_encoder=start / "speech_encoder",
        run=run,
    )
    if accelerator.is_main_process:
        first, own = (make_networks(row, "temporal", folder) for folder in (start, best))
        mean = mean_weights([first, own], [1 - OWN, OWN])
        parts = {"unet": mean.unet, "identity_encoder": mean.identity}
        save_networks(out / "renderer" / "mean", parts)
        with report_write_errors(out / "pipeline"):
            export(out / "pipeline", [out / "renderer" / "mean"], start, row)
    return out / "pipeline"


def _row_of(pipeline: Path) -> Preset:
    """The preset of a pipeline's folder."""
    try:
        return Preset.from_dict(json.loads((pipeline / "model_index.json").read_text())["preset"])
    except (OSError, ValueError, KeyError) as error:
        remedy = "Name a folder that `train export` wrote, or leave --start out"
        raise InputError(f"There is no pipeline in {pipeline}", remedy) from error


def prepare_person(videos: Sequence[Path], out: Path) -> None:
    """Writes the training data of somebody's videos to `out`, unless it is there: of each its end to validate
    with, in pieces, and the rest to train on.

    Raises:
        InputError: a video cannot be read or hardly shows a face; `out` was made from others.
    """
    names = [f"{video.name} ({video.stat().st_size if video.exists() else 0} bytes)" for video in videos]
    if (out / MANIFEST).exists():
        if read_manifest(out)["videos"] != names:
            raise InputError(f"{out} was prepared from other videos", "Give another --out")
        return
    parts: dict[str, list[Sample]] = {"train": [], "val": []}
    for number, video in enumerate(videos):
        (whole,) = extract(ClipRecord(f"{number:03d}", video, identity="person"))
        for sample in split_clip(*whole):
            parts[sample[0]["split"]].append(sample)
    for samples in parts.values():
        if not any(stored_clip(*sample) for sample in samples):
            problem = "The videos hardly show a face from the front"
            raise InputError(problem, "Use half a minute or more of one person looking at the camera")
    shards = []
    for split, samples in parts.items():
        name = f"{split}-000000"
        count, size, sha256 = write_shard(out / f"{name}.tar", samples)
        shards.append({"name": name, "split": split, "samples": count, "bytes": size, "sha256": sha256})
    save_text(out / MANIFEST, json.dumps({"videos": names, "shards": shards}, indent=1))


def split_clip(entry: dict, arrays: dict[str, np.ndarray]) -> list[Sample]:
    """A prepared clip's beginning, to train on, and the pieces of its end, to validate with."""
    frames, piece = entry["frames"], max(MIN_FRAMES, round(PIECE * entry["fps"]))
    seen = frames - round(UNSEEN * frames)
    bounds = [(0, seen), *((first, first + piece) for first in range(seen, frames - piece + 1, piece))]
    samples = []
    for number, (first, last) in enumerate(bounds):
        told = {"stem": f"{entry['stem']}/{number:03d}", "split": "val" if number else "train"}
        told |= {"frames": last - first, "seconds": (last - first) / entry["fps"]}
        samples.append((entry | told, _cut(arrays, first, last, entry["fps"])))
    return samples


def _cut(arrays: dict[str, np.ndarray], first: int, last: int, fps: float) -> dict[str, np.ndarray]:
    """Frames `first` to `last` of a prepared clip, and what was said meanwhile."""
    cut = dict(arrays)
    offsets = arrays["offsets"][first : last + 1]
    cut |= {"jpeg": arrays["jpeg"][offsets[0] : offsets[-1]], "offsets": offsets - offsets[0]}
    for name, rate in (
        ("landmarks", fps),
        ("ok", fps),
        ("samples", SAMPLE_RATE),
        ("landmarks30", FRAME_RATE),
        ("ok30", FRAME_RATE),
    ):
        if name in arrays:
            cut[name] = arrays[name][round(first / fps * rate) : round(last / fps * rate)]
    return cut
