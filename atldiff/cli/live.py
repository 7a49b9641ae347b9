"""The command `live`: a portrait speaks as sound arrives, through the same path as the page's tab."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from atldiff.cli.arguments import whole_number
from atldiff.cli.jobs import reserve_files
from atldiff.cli.live_now import MICROPHONE, check_now, is_file, read_photo, run_now
from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.options import Options

if TYPE_CHECKING:
    from atldiff.cli.generate import Runner
    from atldiff.live.session import LiveSession
    from atldiff.live.tape import Tape
    from atldiff.media.speech import Speech

ABOUT = """Let a portrait speak live. It hears 100 ms ahead, and never the rest; 200 ms where a file or
the standard input becomes a file, for nobody waits there."""
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # that an .mp4's sound may have
BLOCK = 0.1  # seconds of sound in one step


def add_live(
    commands,
    make_command: Callable[..., argparse.ArgumentParser],
    add_settings: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], None],
) -> None:
    """Adds the command to the others."""
    parser = make_command(commands, "live", run, ABOUT)
    parser.add_argument("photo", type=Path, help="a picture of one person from the front")
    sources = "speech: a file; - = raw PCM of 16 bits on the standard input; microphone"
    parser.add_argument("--input", required=True, metavar="SOUND", help=sources)
    outlets = "the video: .mp4; page = a page of this machine; camera; or rtmp://host/application/key"
    parser.add_argument("-o", "--out", required=True, metavar="VIDEO", help=outlets)
    rates = f"of the PCM: samples a second, one of {', '.join(map(str, RATES))}"
    parser.add_argument("--rate", type=int, choices=RATES, default=16_000, metavar="N", help=rates)
    parser.add_argument("--channels", type=whole_number(1), default=1, metavar="N", help="of the PCM: 1 or 2")
    add_settings(parser)


def run_live(args: argparse.Namespace, options: Options, make_runner: Callable[[], "Runner"]) -> str:
    """Makes the video; returns a line about it.

    Raises:
        InputError: photo, sound or output cannot be used.
    """
    _check(args)
    if args.input == MICROPHONE or not is_file(args.out):
        check_now(args, options)
        return run_now(args, options, make_runner)
    from atldiff.live.session import AMPLE, LiveSession
    from atldiff.live.tape import Tape
    from atldiff.media.speech import load_speech
    from atldiff.media.video_writer import write_video
    from atldiff.system import interrupt_on_sigterm

    begin, output = time.perf_counter(), Path(args.out)
    with interrupt_on_sigterm(), reserve_files([output]):
        portrait, runner = read_photo(args, options), make_runner()
        session = LiveSession(runner.pipeline, portrait, options, lookahead=AMPLE, mark=False)
        sound: Speech | Tape
        if args.input == "-":
            sound = Tape(args.rate, args.channels)
            frames = speak_stream(session, sys.stdin.buffer, sound)
        else:
            sound = load_speech(Path(args.input), runner.settings.max_seconds)
            frames = speak_file(session, sound)
        counted = _Counter(frames)
        write_video(output, counted, sound, origin=runner.pipeline.origin(portrait, options))
    took = time.perf_counter() - begin
    return f"{output}: {counted.count / FRAME_RATE:.1f} s of live video, made in {took:.1f} s"


def speak_file(session: "LiveSession", speech: "Speech") -> Iterator[np.ndarray]:
    """Yields the frames (H, W, C) of a recording."""
    block, left = round(BLOCK * speech.sound_rate), speech.num_frames
    for start in range(0, len(speech.sound), block):
        session.push(speech.sound[start : start + block], speech.sound_rate)
        for frame in session.frames():
            left -= 1
            yield frame.image
    session.flush()
    for frame in session.frames():
        left -= 1
        if left >= 0:
            yield frame.image


def speak_stream(session: "LiveSession", source: BinaryIO, tape: "Tape") -> Iterator[np.ndarray]:
    """Yields the frames (H, W, C) of raw PCM, and writes its sound to the tape.

    Raises:
        InputError: the stream holds not one frame of sound.
    """
    channels, rate = tape.shape[1], tape.sound_rate
    block = round(BLOCK * rate) * channels * 2
    while len(data := source.read(block)) >= 2 * channels:
        sound = np.frombuffer(data[: len(data) // (2 * channels) * 2 * channels], "<i2")
        samples = sound.reshape(-1, channels).astype(np.float32) / 32768
        tape.append(samples)
        session.push(samples, rate)
        yield from (frame.image for frame in session.frames())
    if len(tape) * FRAME_RATE < rate:
        raise InputError("The standard input holds no sound", "Pipe in raw PCM: 16 bits, little endian")
    session.flush()
    left = -(-len(tape) * FRAME_RATE // rate)
    yield from (frame.image for frame in session.frames() if frame.index < left)


class _Counter(Iterator[np.ndarray]):
    """Counts frames that pass."""

    def __init__(self, frames: Iterator[np.ndarray]) -> None:
        self.count, self._frames = 0, frames

    def __next__(self) -> np.ndarray:
        """The next frame."""
        frame = next(self._frames)
        self.count += 1
        return frame


def _check(args: argparse.Namespace) -> None:
    """Checks channels and the file's name.

    Raises:
        InputError: there can be no such sound or file.
    """
    if args.channels > 2:
        raise InputError(f"Sound cannot have {args.channels} channels here", "Give 1 or 2")
    if is_file(args.out) and Path(args.out).suffix.lower() != ".mp4":
        raise InputError(f"A live video cannot be named {Path(args.out).name}", "End its name in .mp4")
