"""The command `evaluate`: systems against true clips, as a report."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atldiff.cli.arguments import positive_number, whole_number
from atldiff.config import SAMPLE_RATE
from atldiff.errors import InputError

if TYPE_CHECKING:
    from atldiff.evaluation.report.run import System
    from atldiff.evaluation.report.takes import Reference
    from atldiff.media.video_reader import Clip

WARP, STARTER = "warp prior", "starter"
PROTOCOLS = ("paper", "photo")
_REMEDY = "Name a folder with clips.csv, a folder that prepare wrote, or a folder of videos"


def add_evaluate(commands, add_command: Callable, add_device: Callable) -> None:
    """Adds the command; the arguments are those of `training.add_training`."""
    parser = add_command(commands, "evaluate", _evaluate, "Score systems on true clips; run again to resume.")
    add = parser.add_argument
    add("clips", type=Path, help="a folder with clips.csv, what prepare wrote, or a folder of videos")
    add("--out", type=Path, required=True, metavar="DIR", help="of report, scores, videos and inputs")
    add("--split", default="val", help="of the clips that have one")
    add("--limit", type=whole_number(1), metavar="N", help="clips, of as many people as can be")
    add("--seconds", type=positive_number, metavar="S", help="of a whole clip, at most")
    add(
        "--pieces",
        type=whole_number(1),
        default=3,
        metavar="N",
        help="seconds of a clip in the paper's protocol",
    )
    add("--protocol", choices=("both", *PROTOCOLS), default="both", help="seconds at 128x128, or whole clips")
    steps = "DDIM steps; the weights' own if left out"
    add("--steps", type=whole_number(1), nargs="+", default=[None], metavar="N", help=steps)
    system = "finished videos, called like the files in DIR/inputs; or a pipeline, which is run"
    add("--system", action="append", default=[], metavar="NAME=FOLDER", help=system)
    add(
        "--networks",
        type=Path,
        metavar="FOLDER",
        help="of FVD, identity and LSE: i3d.pt, identity.pt, syncnet_v2.model",
    )
    add("--speed", action="store_true", help="also time 2 s of speech by system and steps")
    add("--seed", type=whole_number(0), default=0, help="the same seed gives the same numbers")
    add_device(parser)


def _evaluate(args: argparse.Namespace) -> None:
    from atldiff.evaluation.measures.networks import Networks
    from atldiff.evaluation.report.run import evaluate
    from atldiff.evaluation.report.speed import measure_speed
    from atldiff.evaluation.report.systems import Renderings
    from atldiff.evaluation.report.takes import PROTOCOLS as ROWS
    from atldiff.evaluation.report.takes import Cut
    from atldiff.evaluation.report.write import write_report
    from atldiff.loading import load_pipeline
    from atldiff.provenance.origin import hash_weights

    if find_spec("matplotlib") is None:
        raise InputError(
            "matplotlib, which draws the plots, is not installed", "pip install 'atldiff[train]'"
        )
    references, notes = read_references(args.clips, args.split, args.limit)
    networks, device = Networks.load(args.networks), args.resolve(args.device)
    starter = load_pipeline(None, device)
    systems = make_systems(starter, args.system, args.steps, args.seed, partial(load_pipeline, device=device))
    protocols = [ROWS[name] for name in PROTOCOLS if args.protocol in ("both", name)]
    encoder, cut = starter.speech_encoder, Cut(args.seconds, args.pieces)
    ours = [system for system in systems if isinstance(system, Renderings)]
    folders = {system.title: system.pipeline.name_or_path for system in ours if system.steps}
    settings = {"seed": args.seed, "not available": sorted(networks.missing)}
    settings |= {f"weights of {title}": hash_weights(folder) for title, folder in folders.items()}
    results = evaluate(references, systems, protocols, args.out, encoder, settings, cut, networks)
    results.skipped[:0] = notes
    for note in results.skipped:
        print(f"left out: {note}", file=sys.stderr)
    times = None
    if args.speed:
        timed = {(s.title, folders[s.title], s.steps): None for s in ours if s.steps}
        times = measure_speed(args.out, list(timed), device)
    print(write_report(args.out, results, networks.missing, args.seed, times))


def make_systems(
    starter, named: Sequence[str], steps: Sequence[int | None], seed: int, load: Callable
) -> "list[System]":
    """Still frame, warp prior, starter, then the systems of --system.

    Raises:
        InputError: a --system is not NAME=FOLDER, or its folder holds neither videos nor a pipeline.
    """
    from atldiff.evaluation.report.finished import FinishedVideos
    from atldiff.evaluation.report.systems import SOURCES, Renderings, StillFrame, without_network

    systems: list[System] = [StillFrame()]
    pipelines = {WARP: without_network(starter), STARTER: starter}
    finished: list[System] = []
    for text in named:
        name, _, folder = text.partition("=")
        if not name or not folder or name in (*pipelines, StillFrame.name):
            raise InputError(f"--system {text} cannot be used", "Give NAME=FOLDER, with a new name")
        if (Path(folder) / "model_index.json").exists():
            pipelines[name] = load(folder)
        else:
            finished.append(FinishedVideos.from_folder(name, Path(folder)))
    for name, pipeline in pipelines.items():
        counts = [None] if name == WARP else [count or pipeline.preset.steps for count in steps]
        for count in counts:
            systems += [Renderings(name, pipeline, source, count, seed) for source in SOURCES]
    return systems + finished


def read_references(clips: Path, split: str, limit: int | None) -> "tuple[list[Reference], list[str]]":
    """The true clips with sound, one of each person before a second of any; then why others are left out.

    Raises:
        InputError: the folder does not exist or holds no clip of the split.
    """
    from atldiff.training.data.shards import MANIFEST

    if not clips.is_dir():
        raise InputError(f"The folder {clips} does not exist", _REMEDY)
    prepared = (clips / MANIFEST).exists()
    references, notes = _read_prepared(clips, split) if prepared else _read_corpus(clips, split)
    if not references:
        raise InputError(f"There is no clip with sound of the split {split} in {clips}", _REMEDY)
    return _take_turns(references)[:limit], notes


def _take_turns(references: "Iterable[Reference]") -> "list[Reference]":
    """The first clip of each person, then the second of each, and so on; people and clips by name."""
    order, seen = [], dict[str, int]()
    for reference in sorted(references, key=lambda reference: (reference.person, reference.name)):
        seen[reference.person] = seen.get(reference.person, -1) + 1
        order.append((seen[reference.person], reference))
    return [reference for _, reference in sorted(order, key=lambda entry: entry[0])]


def _read_corpus(clips: Path, split: str) -> "tuple[list[Reference], list[str]]":
    """The clips of a folder of videos of any of `corpora.CORPORA`."""
    from atldiff.evaluation.report.takes import Reference
    from atldiff.training.data.corpora import Skipped, read_corpus

    references, notes, without = [], [], 0
    for entry in read_corpus(clips):
        if isinstance(entry, Skipped):
            notes.append(f"{entry.file}: {entry.reason}")
        elif entry.split in ("", split):
            if entry.kind == "silent" or entry.use == "landmarks":
                without += 1
                continue
            name = entry.key.removeprefix("clips/")
            references.append(Reference(name, entry.identity, partial(_read_video, entry.video, entry.audio)))
    if without:
        notes.append(f"{without} clips of the split are mute, or show a small or turned face")
    return references, notes


def _read_video(video: Path, audio: Path | None) -> "Clip":
    from dataclasses import replace

    from atldiff.media.speech import load_speech
    from atldiff.media.video_reader import read_clip

    clip = read_clip(video)
    return clip if audio is None else replace(clip, speech=load_speech(audio))


def _read_prepared(clips: Path, split: str) -> "tuple[list[Reference], list[str]]":
    """The clips of shards."""
    from atldiff.evaluation.report.takes import Reference
    from atldiff.training.data.shards import read_prepared

    references, mute = [], 0
    for entry, arrays in read_prepared(clips, split):
        if entry["kind"] == "silent" or len(arrays["offsets"]) < 2:
            mute += 1
            continue
        references.append(Reference(entry["stem"], entry["identity"], partial(_decode, arrays)))
    return references, [f"{mute} clips of the split have no sound or no pictures"] if mute else []


def _decode(arrays: dict[str, np.ndarray]) -> "Clip":
    """A prepared clip's frames and sound."""
    import cv2

    from atldiff.media.speech import Speech
    from atldiff.media.video_reader import Clip

    jpeg, offsets = arrays["jpeg"], arrays["offsets"]
    spans = zip(offsets[:-1], offsets[1:], strict=True)
    pictures = (cv2.imdecode(jpeg[start:stop], cv2.IMREAD_COLOR) for start, stop in spans)
    frames = [np.asarray(picture)[..., ::-1] for picture in pictures]
    return Clip(np.stack(frames), float(arrays["fps"]), Speech.from_samples(arrays["samples"], SAMPLE_RATE))
