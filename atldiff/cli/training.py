"""The training commands, in order: `prepare`, `train emotion`, `landmarks`, `live`, `diffusion`, `export`."""

import argparse
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from atldiff.cli.arguments import whole_number
from atldiff.cli.training_options import (
    CLIPS,
    FACES,
    add_diffusion,
    add_export,
    add_landmarks,
    add_person,
    add_prepare,
    add_run,
    add_tracks,
)
from atldiff.config import PRESETS, read_preset
from atldiff.errors import InputError
from atldiff.portrait.fan import Fan
from atldiff.portrait.mesh import check_detector


def add_training(commands, add_command: Callable, add_device: Callable) -> None:
    """Adds the training commands.

    Args:
        commands: the subparsers of the command line.
        add_command: (commands, name, run, text) -> the new command's parser.
        add_device: adds to a parser the option --device and `resolve`, which reads it.
    """

    def add_writer(commands, name: str, run: Callable, text: str) -> argparse.ArgumentParser:
        return add_command(commands, name, partial(_run_alone, run), text)

    add_prepare(add_writer(commands, "prepare", _prepare, "Turn a corpus of clips into training data."))
    faces = add_writer(commands, "prepare-faces", _prepare_faces, "Turn single photos into training data.")
    faces.add_argument("--data", type=Path, required=True, help="folder with faces.csv")
    faces.add_argument("--out", type=Path, default=FACES, help="folder of the training data")
    train = commands.add_parser("train", help="Train one of the networks; run again to resume.")
    parts = train.add_subparsers(required=True, metavar="PART")
    emotion = add_writer(parts, "emotion", _train_emotion, "Train the recogniser of emotions.")
    emotion_data = "what prepare wrote, or the folder with emotional_speech.csv"
    emotion.add_argument("--data", type=Path, required=True, help=emotion_data)
    emotion.add_argument("--start", type=Path, help="speech encoder to begin from; a new one if left out")
    marks = add_writer(parts, "landmarks", _train_landmarks, "Train the landmark generator on speech clips.")
    add_landmarks(marks)
    live = add_writer(parts, "live", _train_live, "Teach the speech encoder to hear with little future.")
    trained = "folder with speech_encoder/ and landmark_generator/: a landmark run's, or a pipeline's"
    live.add_argument("--start", type=Path, required=True, help=trained)
    renderer = "Train the renderer: spatial, then temporal."
    diffusion = add_writer(parts, "diffusion", _train_diffusion, renderer)
    add_diffusion(diffusion)
    person = add_writer(parts, "person", _train_person, "Fine-tune the renderer on somebody's video.")
    add_person(person)
    mouth = add_command(parts, "mouth", _fit_mouth, "Fit the layered mouth's numbers to open mouths.")
    mouth.add_argument("--data", type=Path, default=CLIPS, help="what prepare wrote")
    mouth.add_argument("--faces", type=Path, default=FACES, help="what prepare-faces wrote")
    mouth.add_argument("--tries", type=whole_number(1), default=400, help="shapes to try")
    add_tracks(add_command(parts, "head-tracks", _head_tracks, "Build and judge the bank of head motion."))
    table = add_writer(parts, "ablations", _run_ablations, "Train the rows of the ablation table.")
    table.add_argument("rows", nargs="*", metavar="NAME", help="such as without-kfusion; all if left out")
    table.add_argument("--start", type=Path, required=True, help="speech encoder of the landmarks' rows")
    stage_steps = "optimiser steps of each stage of a renderer"
    table.add_argument("--renderer-steps", type=whole_number(1), help=stage_steps)
    export = add_writer(parts, "export", _export, "Put trained networks together: a folder for --weights.")
    add_export(export)
    for part in (marks, live, diffusion, table):
        part.add_argument("--data", type=Path, default=CLIPS, help="what prepare wrote")
    for part in (emotion, marks, diffusion, table, export):
        part.add_argument("--preset", default="starter", help=f"{', '.join(PRESETS)}, or a .json file of one")
    patience = "end after so many validations without a better score"
    for part in (diffusion, person):
        add_run(part)
    for part in (marks, diffusion, person):
        part.add_argument("--patience", type=whole_number(1), metavar="N", help=patience)
    steps = "optimiser steps; the stage's own number if left out"
    for part in (emotion, marks, live, diffusion, person, table):
        part.add_argument("--out", type=Path, required=True, help="run folder")
        part.add_argument("--steps", type=whole_number(1), help=steps)
        part.add_argument("--seed", type=whole_number(0), default=0, help="of weights and samples")
        add_device(part)


def _run_alone(run: Callable, args: argparse.Namespace) -> None:
    """Runs a command while no other command writes to its --out."""
    from atldiff.training.runs.run_folder import lock_folder

    with lock_folder(args.out):
        run(args)


def _prepare(args: argparse.Namespace) -> None:
    from atldiff.training.data.extract import PROTOCOLS, STORED_MARGIN
    from atldiff.training.data.prepare import prepare
    from atldiff.training.data.shards import find_broken_shards

    config = replace(PROTOCOLS[args.protocol], detector=args.detector)
    check_detector(args.detector)
    if args.detector == "face-alignment":
        Fan()  # fails at once if its weights are missing
    if args.size:
        config = replace(config, size=round(args.size * STORED_MARGIN))
    names = ("corpus", "split", "engine", "workers")
    manifest = prepare(args.data, args.out, config=config, **{name: getattr(args, name) for name in names})
    for split, total in manifest["splits"].items():
        people = manifest["speakers"][split]
        print(f"{split}: {total['clips']} clips ({total['samples']} samples) of {people} people")
    print(f"left out: {manifest['skipped']}, listed in {args.out / 'skipped.csv'}")
    broken = find_broken_shards(args.out) if args.check else []
    if broken:
        remedy = f"Remove their .tar from {args.out} and run it again, which makes them anew"
        raise InputError(f"Broken shards: {', '.join(broken)}", remedy)


def _prepare_faces(args: argparse.Namespace) -> None:
    from atldiff.training.data.photos import prepare_faces

    faces, skipped = prepare_faces(args.data, args.out)
    print(f"{args.out}: {faces} faces\nleft out: {skipped}, listed in {args.out / 'skipped.csv'}")


def _fit_mouth(args: argparse.Namespace) -> None:
    from atldiff.training.renderer.clips import load_clips
    from atldiff.training.renderer.fit_mouth import fit_mouth, open_mouths
    from atldiff.training.renderer.reopened import load_faces

    mouths = open_mouths(load_clips(args.data, "train"), load_faces(args.faces, "train"), count=460)
    shape, loss = fit_mouth(mouths, args.tries)
    print(f"{shape}\nloss {loss:.4f} over {len(mouths)} open mouths")


def _head_tracks(args: argparse.Namespace) -> None:
    from atldiff.training.data.head_tracks import build_bank

    print(build_bank(args.data, args.out))


def _train_emotion(args: argparse.Namespace) -> None:
    from accelerate import PartialState

    from atldiff.evaluation.pictures import as_json
    from atldiff.training.emotion.train import EmotionStage, begin_encoder, train_emotion
    from atldiff.training.runs.checkpoints import save_networks
    from atldiff.training.runs.processes import finish

    encoder = begin_encoder(read_preset(args.preset), args.start, args.seed)
    stage = _with_steps(EmotionStage(), args.steps)
    scores = train_emotion(args.data, args.out, encoder, stage, args.seed, args.resolve(args.device))
    if PartialState().is_main_process:
        save_networks(args.out, {"speech_encoder": encoder})
    finish(as_json(scores))


def _train_landmarks(args: argparse.Namespace) -> None:
    from atldiff.evaluation.pictures import as_json
    from atldiff.speech.encoders import load_speech_encoder
    from atldiff.training.landmarks.folds import Fold
    from atldiff.training.landmarks.train import LandmarkStage, begin_generator, train_landmarks
    from atldiff.training.runs.processes import finish

    encoder = load_speech_encoder(args.start)
    generator = begin_generator(encoder, read_preset(args.preset).landmarks, args.seed, args.generator)
    fold = Fold.from_text(args.fold) if args.fold else None
    stage = LandmarkStage(fold=fold, teachers=tuple(args.teachers), trained=args.generator is not None)
    if args.learning_rate:
        stage = replace(stage, learning_rate=args.learning_rate)
    stage, device = _with_steps(stage, args.steps), args.resolve(args.device)
    scores = train_landmarks(args.data, args.out, encoder, generator, stage, args.seed, device, args.patience)
    finish(as_json({name: value for name, value in scores.items() if name != "clips"}))


def _train_live(args: argparse.Namespace) -> None:
    from atldiff.evaluation.pictures import as_json
    from atldiff.training.export import load_speech_networks
    from atldiff.training.landmarks.live import LiveStage, train_live
    from atldiff.training.runs.processes import finish

    encoder, generator = load_speech_networks(args.start)
    stage, device = _with_steps(LiveStage(), args.steps), args.resolve(args.device)
    finish(as_json(train_live(args.data, args.out, encoder, generator, stage, args.seed, device)))


def _run_ablations(args: argparse.Namespace) -> None:
    from atldiff.training.ablations import ABLATIONS, as_table, run_ablations
    from atldiff.training.runs.processes import finish

    table = run_ablations(
        args.data,
        args.out,
        read_preset(args.preset),
        args.start,
        args.rows or tuple(ABLATIONS),
        args.steps,
        args.renderer_steps,
        args.seed,
        args.resolve(args.device),
    )
    finish(as_table(table))


def _train_diffusion(args: argparse.Namespace) -> None:
    from atldiff.training.renderer.train import train_diffusion
    from atldiff.training.runs.processes import finish

    names = ("stage", "preset", "frames", "start", "speech_encoder", "faces")
    options = {name: getattr(args, name) for name in names} | _run_options(args)
    finish(str(train_diffusion(args.data, args.out, **options)))


def _train_person(args: argparse.Namespace) -> None:
    from atldiff.pipeline import STARTER
    from atldiff.training.renderer.person import fine_tune
    from atldiff.training.runs.processes import finish

    finish(str(fine_tune(args.videos, args.out, args.start or STARTER, **_run_options(args))))


def _run_options(args: argparse.Namespace) -> dict[str, Any]:
    """The common arguments of `train_diffusion` and `fine_tune`."""
    from atldiff.training.renderer.train import RunConfig

    names = ("steps", "batch", "learning_rate", "seed")
    run = RunConfig(**{field.name: getattr(args, field.name) for field in fields(RunConfig)})
    options = {name: getattr(args, name) for name in names}
    return options | {"device": args.resolve(args.device), "run": run}


def _export(args: argparse.Namespace) -> None:
    from atldiff.training.export import export

    export(args.out, args.renderer, args.speech, args.preset, args.shares)
    print(args.out)


def _with_steps(stage, steps: int | None):
    return stage if steps is None else replace(stage, steps=steps)
