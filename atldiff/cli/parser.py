"""The command line: `python -m atldiff generate PHOTO RECORDING -o VIDEO`, and other commands.

Exit status:

- 0: done.
- 1: a benchmark is worse than its reference; `verify` is in doubt.
- 2: an input cannot be used. There is one sentence on stderr, and no file is left behind. `verify`: nothing
  of ours was found.
- 130: stopped.
"""

import argparse
import io
import sys
from functools import partial
from pathlib import Path

from atldiff.cli.arguments import positive_number, whole_number
from atldiff.cli.dialogue import add_dialogue, run_dialogue
from atldiff.cli.evaluate import add_evaluate
from atldiff.cli.live import add_live, run_live
from atldiff.cli.training import add_training
from atldiff.cli.verify import add_verify
from atldiff.config import MAX_SECONDS
from atldiff.errors import InputError
from atldiff.options import OPTIONS, Options, help_text


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack letters of a file's name
        sys.stdout.reconfigure(errors="backslashreplace")
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
    """Builds the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="atldiff", description="One portrait and one recording: a talking video."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_generate(commands)
    _add_batch(commands)
    add_dialogue(commands, _command, _add_settings, _dialogue)
    add_live(commands, _command, _add_settings, _live)
    add_verify(commands, _command)
    add_training(commands, _command, _add_device)
    add_evaluate(commands, _command, _add_device)
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
    turns = "the head's turns instead of the voice's: .csv of yaw,pitch,roll in degrees, a line a frame"
    video = "its head, brows and blinks instead of the voice's; its mouth and sound are not used"
    motion = parser.add_mutually_exclusive_group()
    motion.add_argument("--poses", type=Path, metavar="FILE", help=turns)
    motion.add_argument("--driving-video", type=Path, metavar="FILE", help=video)
    behind = "a picture to lay behind the person, with --background keep"
    parser.add_argument("--backdrop", type=Path, metavar="FILE", help=behind)
    _add_settings(parser)


def _add_batch(commands) -> None:
    parser = _command(commands, "batch", _batch, "Make many videos.")
    parser.add_argument(
        "jobs",
        type=Path,
        help="a folder of pairs, or a .csv with columns photo,recording[,video] and any option",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the videos")
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a video, and the settings of the machine."""
    add = parser.add_argument
    for name, option in OPTIONS.items():
        flag = f"--{name.replace('_', '-')}"
        if "switch" in option.metadata:
            add(flag, action="store_true", help=option.metadata["help"])
            continue
        choices = option.metadata.get("choices")
        metavar = "{" + ",".join(choices) + "}" if choices else "NAME" if choices == () else "N"
        default = argparse.SUPPRESS if option.default is None else option.default
        add(flag, default=default, metavar=metavar, help=help_text(name))
    add("--weights", metavar="DIR", help="a pipeline's folder or hub id; the embedded starter if left out")
    _add_device(parser)
    add("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="auto = the fastest")
    longest = "the longest recording accepted"
    add("--max-seconds", type=positive_number, default=MAX_SECONDS, metavar="S", help=longest)
    add("--quiet", action="store_true", help="no progress bar")


def _add_device(parser: argparse.ArgumentParser) -> None:
    """Adds the option --device, and `resolve`, which turns "auto" into this machine's device."""
    choices = ("auto", "cpu", "cuda")
    parser.add_argument("--device", choices=choices, default="auto", help="auto = a GPU if there is one")
    parser.set_defaults(resolve=_device)


def _add_measures(commands) -> None:
    score = _command(
        commands,
        "validate",
        partial(_run_measurement, _validate),
        "Score a checkpoint on the validation clips.",
    )
    score.add_argument("--data", type=Path, default=Path("runs/data"), help="what prepare wrote")
    score.add_argument(
        "--steps", type=whole_number(1), nargs="+", default=[1, 2, 4, 8], help="numbers of DDIM steps to try"
    )
    score.add_argument("--clips", type=whole_number(1), help="at most so many")
    score.add_argument(
        "--out", type=Path, dest="results", metavar="FILE", help="also write the scores here, as JSON"
    )
    score.add_argument("--fid", action="store_true", help="also the FID; downloads the Inception network")
    score.add_argument(
        "--mouths", action="store_true", help="score the mouth's inside instead, and ask a judge (minutes)"
    )
    time = _command(
        commands, "benchmark", partial(_run_measurement, _benchmark), "Measure time by stage and peak memory."
    )
    time.add_argument(
        "--seconds", type=positive_number, nargs="+", default=[4, 30, 300], help="lengths of the recordings"
    )
    time.add_argument("--size", type=whole_number(64), default=512, help="side of the square photo in pixels")
    time.add_argument("--photo", type=Path, default=Path("examples/astronaut.jpg"), help="whose photo")
    time.add_argument(
        "--recording", type=Path, default=Path("examples/busy_line.flac"), help="repeated to length"
    )
    time.add_argument("--avx2", action="store_true", help="as on a CPU with AVX2 alone, in float32")
    time.add_argument(
        "--save", type=Path, dest="results", metavar="FILE", help="also write the result here, as JSON"
    )
    time.add_argument(
        "--against",
        type=Path,
        metavar="PATH",
        help="compare with a saved result, or by turns with a checkout",
    )
    for parser in (score, time):
        parser.add_argument(
            "--weights", metavar="DIR", help="a pipeline's folder; the embedded starter if left out"
        )
        _add_device(parser)


def _options(args: argparse.Namespace) -> Options:
    return Options(**{name: value for name, value in vars(args).items() if name in OPTIONS})


def _runner(args: argparse.Namespace):  # noqa: ANN202 - its module takes a second to import
    import torch

    from atldiff.cli.generate import Runner, Settings

    dtype = None if args.dtype == "auto" else getattr(torch, args.dtype)
    device = _device(args.device)
    return Runner(Settings(args.max_seconds, args.weights, device, dtype, args.quiet))


def _device(name: str) -> str:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("There is no CUDA device here", "Leave --device out, or choose cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _generate(args: argparse.Namespace) -> None:
    from atldiff.cli.jobs import Job

    job = Job(
        args.photo,
        args.recording,
        args.out,
        _options(args),
        landmarks=tuple(args.landmarks),
        landmark_file=args.from_landmarks,
        poses=args.poses,
        driving_video=args.driving_video,
        backdrop=args.backdrop,
    )
    for line in _runner(args).run(job):
        print(line)


def _batch(args: argparse.Namespace) -> int:
    """Runs all jobs; reports one that fails and continues with the others."""
    from atldiff.cli.batch import read_jobs

    batch, failed = read_jobs(args.jobs, args.out, _options(args)), 0
    jobs, runner = batch.jobs, _runner(args)
    for text in batch.notes:
        print(f"note: {text}", file=sys.stderr)
    for number, job in enumerate(jobs, start=1):
        try:
            print(f"[{number}/{len(jobs)}]", *runner.run(job), flush=True)
        except InputError as error:
            print(f"[{number}/{len(jobs)}] error: {job.output}: {error}", file=sys.stderr, flush=True)
            failed += 1
    return 2 if failed else 0


def _dialogue(args: argparse.Namespace) -> None:
    print(run_dialogue(args, _options(args), lambda: _runner(args)))


def _live(args: argparse.Namespace) -> None:
    print(run_live(args, _options(args), lambda: _runner(args)))


def _run_measurement(run, args: argparse.Namespace) -> int:
    """Runs a measurement after checking that its results can be written."""
    from atldiff.cli.jobs import reserve_files

    with reserve_files([args.results] if args.results else []):
        return run(args) or 0


def _validate(args: argparse.Namespace) -> None:
    from atldiff.evaluation.validate import as_table, validate
    from atldiff.loading import load_pipeline
    from atldiff.training.landmarks.clips import load_speech_clips
    from atldiff.training.renderer.clips import load_clips

    pipeline = load_pipeline(args.weights, _device(args.device))
    clips = load_clips(args.data, "val", pipeline.speech_encoder)
    if args.mouths:
        from atldiff.evaluation.mouths import mouths_as_table, validate_mouths
        from atldiff.memory import keep_memory

        keep_memory()  # for the training of a judge
        train = load_clips(args.data, "train", pipeline.speech_encoder)
        print(mouths_as_table(validate_mouths(pipeline, train, clips, tuple(args.steps), args.results)))
        return
    speech_clips = load_speech_clips(args.data, "val")
    result = validate(pipeline, clips, speech_clips, tuple(args.steps), args.clips, args.results, args.fid)
    print(as_table(result))


def _benchmark(args: argparse.Namespace) -> int:
    """Runs the benchmark; returns 1 if time, first picture or memory is a tenth worse than the reference."""
    from atldiff.evaluation.benchmark.compare import TOLERANCE, Case, as_table, benchmark, ratios, save

    device = _device(args.device)
    case = Case(args.photo, args.recording, args.size, device, args.weights, args.avx2)
    rows, others = benchmark(case, tuple(args.seconds), args.against)
    print(as_table(rows))
    if args.results:
        save(args.results, rows)
    comparison = ratios(rows, others)
    for name, ratio in comparison.items():
        print(f"{name}: {ratio:.2f} of {args.against}'s" + (" (worse)" if ratio > TOLERANCE else ""))
    return int(any(ratio > TOLERANCE for ratio in comparison.values()))
