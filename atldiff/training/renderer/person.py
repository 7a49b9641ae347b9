"""Fine-tunes the renderer of a pipeline on one person's videos."""

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
UNSEEN = 0.2  # share of each video, at its end, that chooses the best weights
PIECE = 1.0  # seconds of each piece of that end
SAVE_SECONDS = 90.0
OWN = 0.7  # share of the person's weights in the mean with the starting weights


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
    """Fine-tunes the renderer of a pipeline's folder on a person's videos; a second run resumes.

    Writes `out/data` (prepared videos), `out/renderer` (the run, as `train_diffusion`) and `out/pipeline`.
    The pipeline has the mean of the best weights and those of `start` (Wortsman et al. 2022, "Robust
    fine-tuning"); the best alone flicker more in a still mouth. If training does not improve the end of the
    videos, the best weights are those of `start`.

    Args:
        videos: videos of one face and the same person; a minute is enough.
        out: the output folder.
        start: a pipeline's folder.
        steps, batch, learning_rate, seed, device, run: as in `train_diffusion`.

    Returns:
        The pipeline's folder, for `--weights`.

    Raises:
        InputError: a video cannot be used; `out` has other videos; `start` is no pipeline's folder; the disk
            is full.
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
            export(out / "pipeline", [out / "renderer" / "mean"], [start], row)
    return out / "pipeline"


def _row_of(pipeline: Path) -> Preset:
    """The preset of a pipeline's folder."""
    try:
        return Preset.from_dict(json.loads((pipeline / "model_index.json").read_text())["preset"])
    except (OSError, ValueError, KeyError) as error:
        remedy = "Name a folder that `train export` wrote, or leave --start out"
        raise InputError(f"There is no pipeline in {pipeline}", remedy) from error


def prepare_person(videos: Sequence[Path], out: Path) -> None:
    """Writes the training data of a person's videos to `out`, unless it exists.

    The end of each video, cut into pieces, is for validation, the rest for training.

    Raises:
        InputError: a video cannot be read or hardly shows a face; `out` has the data of other videos.
    """
    names = [f"{video.name} ({video.stat().st_size if video.exists() else 0} bytes)" for video in videos]
    if (out / MANIFEST).exists():
        if read_manifest(out)["videos"] != names:
            raise InputError(f"{out} was prepared from other videos", "Give another --out")
        return
    parts: dict[str, list[Sample]] = {"train": [], "val": []}
    for number, video in enumerate(videos):
        ((entry, arrays),) = extract(ClipRecord(f"{number:03d}", video, identity="person"))
        for sample in split_clip(entry, arrays):
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
    """Splits a prepared clip into its beginning (training) and pieces of its end (validation)."""
    frames, piece = entry["frames"], max(MIN_FRAMES, round(PIECE * entry["fps"]))
    border = frames - round(UNSEEN * frames)
    bounds = [(0, border), *((first, first + piece) for first in range(border, frames - piece + 1, piece))]
    samples = []
    for number, (first, last) in enumerate(bounds):
        changes = {"stem": f"{entry['stem']}/{number:03d}", "split": "val" if number else "train"}
        changes |= {"frames": last - first, "seconds": (last - first) / entry["fps"]}
        samples.append((entry | changes, _cut(arrays, first, last, entry["fps"])))
    return samples


def _cut(arrays: dict[str, np.ndarray], first: int, last: int, fps: float) -> dict[str, np.ndarray]:
    """Frames `first` to `last` (exclusive) of a prepared clip, with their sound."""
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
