"""What happens on the page when something is clicked or changed, and its API."""

import html
import inspect
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from atldiff.options import DEFAULTS, MOTION
from atldiff.portrait.face import load_portrait
from atldiff.web import api, request, texts
from atldiff.web.layout import Page
from atldiff.web.preview import face_at, progress, spoken_time
from atldiff.web.service import REPORT_EVERY, Service

HIDDEN: Any = {"api_visibility": "private", "show_progress": "hidden"}
HEAVY: Any = {"concurrency_id": "videos", "concurrency_limit": 1}
LIGHT: Any = {"concurrency_id": "looks", "concurrency_limit": 2}
STYLED = (*MOTION, "steps", "output", "background")  # what a preset sets


@contextmanager
def explained() -> Iterator[None]:
    """Turns errors into sentences for the visitor."""
    try:
        yield
    except Exception as error:
        raise gr.Error(html.escape(request.explain(error)), print_exception=False) from error


def endpoint(function: Callable, names: tuple[str, ...], about: str) -> Callable:
    """What the service makes, as gradio calls it: values by position, errors explained, steps as progress."""
    tracker = inspect.Parameter("tracker", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=gr.Progress())

    def run(*values: Any) -> Iterator:
        *given, tracker = values
        with explained():
            reported = 0.0
            for outcome in function(dict(zip(names, given, strict=True))):
                if not isinstance(outcome[0], request.Step):
                    yield outcome
                elif outcome[0].video:
                    yield str(outcome[0].video)
                elif time.monotonic() > reported + REPORT_EVERY:
                    reported, (step, left) = time.monotonic(), outcome
                    tracker((step.done, step.total), f"{spoken_time(left)} left", unit="frames")
                    yield None

    run.__name__ = function.__name__
    return api.described(run, names, about, tracker)


def connect(page: Page, service: Service, steps: int) -> None:
    """Wires the page to the service, inside the `gr.Blocks` at hand.

    Args:
        steps: the weights' own.
    """
    _offer_api(page, service)
    _preview_changes(page, service)
    _inspect_inputs(page, service)
    _apply_presets(page, steps)
    _animate(page, service)


def _offer_api(page: Page, service: Service) -> None:
    hidden, buttons = page.hidden, [gr.Button(visible=False) for _ in range(2)]
    animate = endpoint(service.animate, api.ANIMATE, api.ABOUT_ANIMATE)
    everything = [page.inputs[name] for name in api.ANIMATE]
    buttons[0].click(animate, everything, hidden["video"], api_name="animate", **HEAVY)
    check = endpoint(service.check_portrait, api.CHECK, api.ABOUT_CHECK)
    found = [hidden["findings"], hidden["picture"]]
    checked = [page.inputs[name] for name in api.CHECK]
    buttons[1].click(check, checked, found, api_name="check_portrait", **LIGHT)


def _preview_changes(page: Page, service: Service) -> None:
    """The button that shows the motion, and every change of it from then on."""
    previewed = page.hidden["previewed"]
    sketch, sketched = [page.inputs[name] for name in api.PREVIEW], [page.saved, page.motion]
    move = endpoint(service.landmarks, api.PREVIEW, api.ABOUT_LANDMARKS)
    shown: Any = {"show_progress_on": page.motion, **LIGHT}
    moved = page.preview.click(move, sketch, sketched, api_name="landmarks", **shown)
    moved.success(lambda: (True, gr.Tabs(selected="motion")), None, [previewed, page.tabs], **HIDDEN)

    def preview_again(wanted: bool, *values: Any) -> Iterator[tuple]:
        with explained():
            by_name = dict(zip(api.PREVIEW, values, strict=True))
            yield from service.landmarks(by_name) if wanted else [(gr.skip(), gr.skip())]

    edits = [page.inputs[name].change for name in (*MOTION, "emotion", "seed", "file_format")]
    again: Any = {"trigger_mode": "always_last", **HIDDEN, **LIGHT}
    gr.on(edits, preview_again, [previewed, *sketch], sketched, **again)


def _inspect_inputs(page: Page, service: Service) -> None:
    """What is said of photo and recording before the wait."""
    portrait, face, speech = (page.inputs[name] for name in ("portrait", "face", "speech"))

    def inspect_photo(path: str | None, number: int = DEFAULTS.face) -> tuple:
        picture, several, words = _warned(service.inspect_photo(path, number))
        return picture, gr.Number(value=number, visible=several), words, gr.Tabs(selected="seen")

    def choose_face(path: str, at: gr.SelectData) -> tuple:
        return inspect_photo(path, face_at(load_portrait(path), *at.index) or DEFAULTS.face)

    inspected = [page.seen, face, page.photo_note, page.tabs]
    portrait.change(inspect_photo, portrait, inspected, **HIDDEN, **LIGHT)
    face.input(inspect_photo, [portrait, face], inspected, **HIDDEN, **LIGHT)
    page.seen.select(choose_face, portrait, inspected, **HIDDEN, **LIGHT)
    steps, output = page.inputs["steps"], page.inputs["output"]
    changes = [speech.change, portrait.change, steps.change, output.change]

    def inspect_speech(*values: Any) -> str:
        return _warned(service.inspect_speech(*values))[0]

    gr.on(changes, inspect_speech, [speech, portrait, steps, output], page.speech_note, **HIDDEN, **LIGHT)


def _warned(outputs: tuple) -> tuple:
    """All outputs but the last, a problem, which is shown as a warning."""
    *shown, problem = outputs
    if problem:
        gr.Warning(html.escape(problem))
    return tuple(shown)


def _apply_presets(page: Page, steps: int) -> None:
    def values_of(name: str) -> tuple:
        changes, words = texts.PRESETS[name]
        values = {"steps": steps} | changes
        return *(values.get(option, getattr(DEFAULTS, option)) for option in STYLED), gr.Radio(info=words)

    styled = [page.inputs[name] for name in STYLED]
    page.preset.input(values_of, page.preset, [*styled, page.preset], **HIDDEN)
    page.dice.click(lambda: random.randrange(10**6), None, page.inputs["seed"], **HIDDEN)


def _animate(page: Page, service: Service) -> None:
    """Animate, Cancel, and what the page shows meanwhile."""
    start, stop, talk, status, download = page.start, page.stop, page.talk, page.status, page.download

    def busy(now: bool) -> tuple[gr.Button, gr.Button]:
        return gr.Button(visible=not now), gr.Button(visible=now)

    def begin() -> tuple:
        waiting = progress("Waiting for a place in the queue")
        return *busy(True), gr.Video(value=None, autoplay=True), waiting, gr.Button(interactive=False)

    def watch(live: bool, *values: Any) -> Iterator[tuple]:
        with explained():
            for outputs in service.watch(dict(zip(api.ANIMATE, values, strict=True)), live):
                yield tuple(gr.skip() if value is None else value for value in outputs)

    at_once: Any = {"queue": False, **HIDDEN}
    everything = [page.inputs[name] for name in api.ANIMATE]
    started = start.click(begin, None, [start, stop, talk, status, download], js=texts.SHOW_VIDEO, **at_once)
    run = started.then(watch, [page.live, *everything], [talk, status, download], **HIDDEN, **HEAVY)
    over = [start, stop, download]
    run.success(lambda: (*busy(False), gr.Button(interactive=True)), None, over, **at_once)
    calm = [start, stop, status]
    run.failure(lambda: (*busy(False), progress("")), None, calm, **at_once)  # .then would not run
    stop.click(lambda: (*busy(False), progress("Cancelled.")), None, calm, cancels=run, **at_once)
    talk.end(lambda path: gr.Video(value=path, autoplay=False), download, talk, **at_once)
