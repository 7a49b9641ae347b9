"""The command `live` in real time: from a microphone, or to a page, a camera or an address."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from atldiff.cli.jobs import reserve_files
from atldiff.errors import InputError
from atldiff.options import Options

if TYPE_CHECKING:
    from atldiff.cli.generate import Runner
    from atldiff.live.devices.inlets import Inlet
    from atldiff.live.session import LiveSession
    from atldiff.live.visit import Visit
    from atldiff.portrait.portrait import Portrait
    from atldiff.provenance.origin import Origin

MICROPHONE, PAGE, CAMERA = "microphone", "page", "camera"


def is_file(out: str) -> bool:
    """Whether an output is a file's name."""
    return "://" not in out and out not in (PAGE, CAMERA)


def check_now(args: argparse.Namespace, options: Options) -> None:
    """Checks what can be checked before anything is loaded.

    Raises:
        InputError: there is no such output, or pictures cannot be transparent.
    """
    if args.out == CAMERA and find_spec("pyvirtualcam") is None:
        raise InputError("The package pyvirtualcam is not installed", "Install it: pip install pyvirtualcam")
    if "://" in args.out:
        from atldiff.live.devices.broadcast import check_address

        check_address(args.out)
    if options.background == "matte":
        raise InputError("A live picture cannot be transparent", "Choose another --background")


def read_photo(args: argparse.Namespace, options: Options) -> "Portrait":
    """Reads the photo; prints what it warns of.

    Raises:
        InputError: it cannot be used.
    """
    from atldiff.portrait.portrait import load_portrait

    matte = options.background != "keep"
    portrait = load_portrait(args.photo, options.face, options.detector, matte, options.zoom)
    for warning in portrait.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return portrait


def run_now(args: argparse.Namespace, options: Options, make_runner: Callable[[], "Runner"]) -> str:
    """Plays the portrait until its sound is over, or until Ctrl-C; returns a line about it.

    Raises:
        InputError: photo, sound or output cannot be used.
    """
    from atldiff.live.session import LiveSession
    from atldiff.system import interrupt_on_sigterm

    with ExitStack() as stack, interrupt_on_sigterm():
        if is_file(args.out):
            stack.enter_context(reserve_files([Path(args.out)]))
        runner = make_runner()
        inlet = stack.enter_context(_open_inlet(args, runner.settings.max_seconds))
        portrait = read_photo(args, options)
        session = LiveSession(runner.pipeline, portrait, options, mark=False)
        if args.out == PAGE:
            seconds = _show_page(session, inlet)
        else:
            assert inlet is not None
            seconds = _leave(session, inlet, args.out, runner.pipeline.origin(portrait, options))
    return f"{args.out if is_file(args.out) else 'live'}: {seconds:.1f} s of live video"


def _open_inlet(args: argparse.Namespace, max_seconds: float) -> AbstractContextManager["Inlet | None"]:
    """Opens the sound; None: the page's own microphone."""
    from atldiff.live.devices.inlets import Recording, open_microphone, read_pcm
    from atldiff.media.speech import load_speech

    if args.input == MICROPHONE:
        return nullcontext(None) if args.out == PAGE else open_microphone()
    if args.input == "-":
        return nullcontext(read_pcm(open(0, "rb", buffering=0, closefd=False), args.rate, args.channels))
    return nullcontext(Recording(load_speech(Path(args.input), max_seconds)))


@contextmanager
def _visit(session: "LiveSession") -> Iterator["Visit"]:
    """A visit that ends with the block; Python does not end under its threads."""
    from atldiff.live.visit import Visit

    visit = Visit(session)
    try:
        yield visit
    finally:
        visit.close()
        visit.join(10.0)


def _leave(session: "LiveSession", inlet: "Inlet", out: str, origin: "Origin") -> float:
    """Plays to a file, an address or the camera; gives the seconds of sound that left."""
    from atldiff.live.clock import BLOCK
    from atldiff.live.devices.camera import open_camera
    from atldiff.live.devices.play import play
    from atldiff.live.film import Film, Footage, Transmission
    from atldiff.live.visit import RATE

    with open_camera(session.size) if out == CAMERA else nullcontext() as show, _visit(session) as visit:
        footage: Footage | None = None
        if "://" in out:
            footage = Transmission(out, RATE, session.photo)
        elif out != CAMERA:
            footage = Film(out, RATE, origin)
        visit.record(footage)
        print("Ctrl-C ends it.", file=sys.stderr)
        with suppress(KeyboardInterrupt):
            play(visit, inlet, show, is_over=lambda: footage is not None and footage.problem is not None)
        if footage is not None:
            footage.close()
        return visit.clock.cursor * BLOCK


def _show_page(session: "LiveSession", inlet: "Inlet | None") -> float:
    """Plays to the page until it is closed; gives the seconds of sound that left."""
    from atldiff.live.clock import BLOCK
    from atldiff.live.devices.play import play
    from atldiff.live.devices.viewer import Viewer
    from atldiff.live.visit import Visit

    with closing(Viewer(session.photo, inlet is None, partial(Visit, session))) as viewer:
        print(f"Open {viewer.address} in a browser of this machine. Ctrl-C ends it.", flush=True)
        with suppress(KeyboardInterrupt):
            visit = viewer.wait()
            if inlet is None:
                viewer.has_left.wait()
            else:
                play(visit, inlet, leaves=False, is_over=viewer.has_left.is_set)
        if viewer.visit is None:
            return 0.0
        if viewer.visit.problem is not None:
            raise viewer.visit.problem
        return viewer.visit.clock.cursor * BLOCK
