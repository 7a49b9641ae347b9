"""The command `dialogue`: two people speak in turn in one video."""

import argparse
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from atldiff.cli.jobs import Job, check_files, reserve_files
from atldiff.options import Options

if TYPE_CHECKING:
    from atldiff.cli.generate import Runner

ABOUT = """Make a video of two people who speak in turn. Both are in one photo (--face begins, the largest
other face answers), or --second names the other's photo, and they stand side by side."""


def add_dialogue(
    commands,
    make_command: Callable[..., argparse.ArgumentParser],
    add_settings: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], None],
) -> None:
    """Adds the command to the others."""
    parser = make_command(commands, "dialogue", run, ABOUT)
    parser.add_argument("photo", type=Path, help="a picture of two people, or of the one who begins")
    turns = "what they say, in turn: at least two"
    parser.add_argument("recordings", type=Path, nargs="+", metavar="recording", help=turns)
    parser.add_argument("--second", type=Path, metavar="PHOTO", help="a picture of the one who answers")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the video: .mp4")
    add_settings(parser)


def run_dialogue(args: argparse.Namespace, options: Options, make_runner: Callable[[], "Runner"]) -> str:
    """Makes the video; returns a line about it.

    Raises:
        InputError: a photo, a recording or the output cannot be used.
    """
    photos = [args.photo] if args.second is None else [args.photo, args.second]
    for photo, recording in product(photos, args.recordings):
        check_files(Job(photo, recording, args.out, options))
    from atldiff.dialogue import read_dialogue, render_dialogue
    from atldiff.media.video_writer import write_video
    from atldiff.system import interrupt_on_sigterm

    begin = time.perf_counter()
    with interrupt_on_sigterm(), reserve_files([args.out]):
        runner = make_runner()
        longest = runner.settings.max_seconds
        dialogue = read_dialogue(
            photos, args.recordings, options, runner.pipeline.landmarks, max_seconds=longest
        )
        for person in dialogue.people:
            for warning in person.portrait.warnings:
                print(f"note: {warning}", file=sys.stderr)
        write_video(args.out, render_dialogue(runner.pipeline, dialogue), dialogue.speech)
    took = time.perf_counter() - begin
    return f"{args.out}: {dialogue.speech.seconds:.1f} s of dialogue, made in {took:.1f} s"
