"""The command line: `python -m atldiff generate PHOTO RECORDING -o VIDEO`, and all that trains and measures.

Exit status: 0 done, 2 the input cannot be used (one sentence on stderr, nothing left behind), 130 stopped.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from atldiff.errors import InputError
from atldiff.training.commands import add_training

GAINS = ("expression", "lips", "silence", "blinks", "sway", "smoothing", "closure")


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    args = make_parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="atldiff", description="One portrait and one recording: a talking video."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_generate(commands)
    _add_batch(commands)
    add_training(commands, _command, _add_device)
    _add_measures(commands)
    return parser


def _command(commands, name: str, run, text: str) -> argparse.ArgumentParser:
    form = argparse.ArgumentDefaultsHelpFormatter
    parser = commands.add_parser(name, help=text, description=text, formatter_class=form)
    parser.set_defaults(run=run)
    return parser


def _add_generate(commands) -> None:
    parser = _command(commands, "generate", _generate, "Make a talking video of one photo and one recording.")
    parser.add_argument("photo", type=Path, help="a picture of one person from the front")
    parser.add_argument(
        "recording", type=Path, help="speech: wav, mp3, m4a, flac, ogg, ... or a video's sound"
    )
    parser.add_argument(
        "-o", "--out", type=Path, help="the video: .mp4; .webm or .mov for --background matte"
    )
    parser.add_argument(
        "--landmarks", type=Path, action="append", default=[], metavar="FILE",
        help="save the landmarks (.npz, .json) or draw them (.mp4); may be given more than once",
    )  # fmt: skip
    parser.add_argument(
        "--from-landmarks", type=Path, metavar="FILE", help="render these instead (.npz, .json)"
    )
    _add_settings(parser)


def _add_batch(commands) -> None:
    parser = _command(commands, "batch", _batch, "Make many videos.")
    parser.add_argument(
        "jobs", type=Path, help="a .csv with columns photo,recording[,output], or a folder of pairs"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the videos")
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """The options of whatever makes videos; `_settings` reads them."""
    add = parser.add_argument
    add("--face", type=int, default=0, metavar="N", help="which face of the photo, 0 = the largest")
    add(
        "--detector", choices=("mediapipe", "face-alignment"), default="mediapipe", help="finds the landmarks"
    )
    add("--emotion", metavar="NAME", help="such as happy; as heard in the recording if left out")
    add("--steps", type=int, metavar="N", help="DDIM steps, 1 to 100; the weights' own if left out")
    add("--seed", type=int, default=0, metavar="N", help="of noise, blinks and sway")
    add(
        "--output", choices=("photo", "square", "crop"), default="photo", help="whole photo, 512x512, 128x128"
    )
    add("--background", choices=("keep", "green", "matte"), default="keep", help="matte = transparent")
    for name in GAINS:
        meaning = "1 = as predicted" if name in ("expression", "lips") else "1 = natural, 0 = off"
        add(f"--{name}", type=_gain, default=1.0, metavar="X", help=f"landmark edit, {meaning}")
    add("--weights", metavar="DIR", help="a pipeline's folder or hub id; the embedded starter if left out")
    _add_device(parser)
    add("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="auto = the fastest")
    add("--max-seconds", type=float, default=600.0, metavar="S", help="the longest recording accepted")
    add("--quiet", action="store_true", help="no progress bar")


def _add_device(parser: argparse.ArgumentParser) -> None:
    """The option --device, and `resolve`, which says what "auto" is here."""
    choices = ("auto", "cpu", "cuda")
    parser.add_argument("--device", choices=choices, default="auto", help="auto = a GPU if there is one")
    parser.set_defaults(resolve=_device)


def _gain(text: str) -> float:
    """0 to 3; more tears a face apart."""
    value = float(text)
    if not 0 <= value <= 3:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 3")
    return value


def _add_measures(commands) -> None:
    score = _command(commands, "validate", _validate, "Score a checkpoint on the validation clips.")
    score.add_argument("--data", type=Path, default=Path("runs/data"), help="what prepare wrote")
    score.add_argument(
        "--steps", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of DDIM steps to try"
    )
    score.add_argument("--clips", type=int, help="at most so many")
    score.add_argument("--out", type=Path, help="also write the scores here, as JSON")
    time = _command(commands, "benchmark", _benchmark, "Measure time by stage and peak memory.")
    time.add_argument(
        "--seconds", type=float, nargs="+", default=[4, 30, 300], help="lengths of the recordings"
    )
    time.add_argument("--size", type=int, default=512, help="side of the square photo in pixels")
    time.add_argument("--photo", type=Path, default=Path("examples/astronaut.jpg"), help="whose photo")
    time.add_argument(
        "--recording", type=Path, default=Path("examples/busy_line.flac"), help="repeated to length"
    )
    for parser in (score, time):
        parser.add_argument(
            "--weights", metavar="DIR", help="a pipeline's folder; the embedded starter if left out"
        )
        _add_device(parser)


def _settings(args: argparse.Namespace):
    import torch

    from atldiff.cli.runner import Settings
    from atldiff.speech.motion import Motion

    motion = Motion(**{name: getattr(args, name) for name in GAINS})
    dtype = None if args.dtype == "auto" else getattr(torch, args.dtype)
    given = vars(args) | {"motion": motion, "dtype": dtype, "device": _device(args.device)}
    return Settings(**{field.name: given[field.name] for field in fields(Settings)})


def _device(name: str) -> str:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("There is no CUDA device here", "Leave --device out, or choose cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _generate(args: argparse.Namespace) -> None:
    from atldiff.cli.jobs import Job
    from atldiff.cli.runner import Studio

    job = Job(args.photo, args.recording, args.out, tuple(args.landmarks), args.from_landmarks)
    for line in Studio(_settings(args)).run(job):
        print(line)


def _batch(args: argparse.Namespace) -> int:
    """Runs all jobs; one that cannot be done is reported and the others go on."""
    from atldiff.cli.jobs import read_jobs
    from atldiff.cli.runner import Studio

    jobs, studio, failed = read_jobs(args.jobs, args.out), Studio(_settings(args)), 0
    for number, job in enumerate(jobs, start=1):
        try:
            print(f"[{number}/{len(jobs)}]", *studio.run(job), flush=True)
        except InputError as error:
            print(f"[{number}/{len(jobs)}] error: {job.output}: {error}", file=sys.stderr, flush=True)
            failed += 1
    return 2 if failed else 0


def _validate(args: argparse.Namespace) -> None:
    from atldiff.evaluation.validate import as_table, validate

    scores = validate(args.data, args.weights, tuple(args.steps), args.clips, _device(args.device), args.out)
    print(as_table(scores))


def _benchmark(args: argparse.Namespace) -> None:
    from atldiff.evaluation.benchmark import as_table, benchmark

    about = (tuple(args.seconds), args.size, _device(args.device), args.weights)
    rows = benchmark(args.photo, args.recording, *about)
    print(as_table(rows))


if __name__ == "__main__":
    sys.exit(main())
