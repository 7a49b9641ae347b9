"""What happens on the page when something is clicked or changed, and its API."""

import functools
import inspect
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from atldiff.options import DEFAULTS, MOTION
from atldiff.web import api, preview, scripts, texts
from atldiff.web.components import ANY, HIDDEN, LIGHT
from atldiff.web.inspection import connect_inspection
from atldiff.web.jobs import request
from atldiff.web.jobs.service import Report, Service
from atldiff.web.layout import Page
from atldiff.web.preview import progress

KEPT = 4  # videos of a visit that stay in sight
STYLED = (*MOTION, "steps", "output", "background")  # what a preset sets


def kept(report: Report) -> str:
    """The path of a copy of the video that outlives its job: gradio would copy it where no error is told."""
    return save_file_to_cache(str(report.video), get_upload_folder())


def endpoint(function: Callable, names: tuple[str, ...], about: str) -> Callable:
    """What the service makes, as gradio calls it: values by position, progress reported."""
    tracker = inspect.Parameter("tracker", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=gr.Progress())

    def run(*values: Any) -> Iterator:
        """The function's outcomes; reports go to the tracker."""
        *given, tracker = values
        for outcome in function(dict(zip(names, given, strict=True))):
            if not isinstance(outcome, Report):
                yield outcome
            elif outcome.video:
                yield kept(outcome)
            else:
                tracker(outcome.share or 0.0, outcome.words)
                yield None

    run.__name__ = function.__name__
    return api.publish(run, names, about, tracker)


def connect(page: Page, service: Service, steps: int) -> None:
    """Wires the page to the service, inside the `gr.Blocks` at hand.

    Args:
        steps: the weights' own.
    """
    _offer_api(page, service)
    _preview_changes(page, service)
    connect_inspection(page, service)
    _show_examples(page)
    _apply_presets(page, steps)
    _animate(page, service)
    _after(page)


def _offer_api(page: Page, service: Service) -> None:
    buttons = [gr.Button(visible=False) for _ in range(2)]
    animate = endpoint(service.animate, api.ANIMATE, api.ABOUT_ANIMATE)
    everything = [page.inputs[name] for name in api.ANIMATE]
    buttons[0].click(animate, everything, page.video, api_name="animate", **ANY)
    check = endpoint(service.check_portrait, api.CHECK, api.ABOUT_CHECK)
    found = [page.findings, page.picture]
    checked = [page.inputs[name] for name in api.CHECK]
    buttons[1].click(check, checked, found, api_name="check_portrait", **LIGHT)


def _preview_changes(page: Page, service: Service) -> None:
    """The button that shows the motion, and every change of it from then on."""
    previewed = page.previewed
    sketch, sketched = [page.inputs[name] for name in api.PREVIEW], [page.saved, page.motion]
    move = endpoint(service.landmarks, api.PREVIEW, api.ABOUT_LANDMARKS)
    shown: Any = {"show_progress_on": page.motion, **LIGHT}
    moved = page.preview.click(move, sketch, sketched, api_name="landmarks", **shown)
    moved = moved.success(lambda: (True, gr.Tabs(selected="motion")), None, [previewed, page.tabs], **HIDDEN)
    moved.then(None, js=scripts.SHOW_MOTION)

    def preview_again(wanted: bool, *values: Any) -> Iterator[tuple]:
        """The motion by the new settings, where one was shown before."""
        by_name = dict(zip(api.PREVIEW, values, strict=True))
        yield from service.landmarks(by_name) if wanted else [(gr.skip(), gr.skip())]

    edits = [page.inputs[name].change for name in (*MOTION, "emotion", "seed", "file_format", "detector")]
    again: Any = {"trigger_mode": "always_last", **HIDDEN, **LIGHT}
    gr.on(edits, preview_again, [previewed, *sketch], sketched, **again)


def _show_examples(page: Page) -> None:
    """An example's photo, recording and ready video at once; a recording's words."""
    portrait, speech = page.inputs["portrait"], page.inputs["speech"]
    at_once: Any = {"queue": False, **HIDDEN}
    chosen = [portrait, speech, page.talk, page.status]
    for button, example in zip(page.examples, texts.EXAMPLES, strict=True):
        shown = button.click(functools.partial(_ready, example), None, chosen, **at_once)
        shown.then(None, js=scripts.PLAY)
        shown.then(None, js=scripts.SHOW_VIDEO)
    for button, path in zip(page.recordings, texts.RECORDINGS.values(), strict=True):
        button.click(functools.partial(str, path), None, speech, **at_once)


def _ready(example: texts.Example) -> tuple:
    """An example's photo, recording, video and what is said of it."""
    there = example.video.is_file()
    video, words = (str(example.video), progress(texts.SHOWN)) if there else (gr.skip(), gr.skip())
    return str(example.portrait), str(example.recording), video, words


def _apply_presets(page: Page, steps: int) -> None:
    def values_of(name: str) -> tuple:
        """What a preset sets, and its words."""
        if name == texts.CUSTOM:
            return *(gr.skip() for _ in STYLED), gr.Radio(info="As you set it.")
        changes, words = texts.PRESETS[name]
        values = {"steps": steps} | changes
        return *(values.get(option, getattr(DEFAULTS, option)) for option in STYLED), gr.Radio(info=words)

    styled = [page.inputs[name] for name in STYLED]
    page.preset.input(values_of, page.preset, [*styled, page.preset], **HIDDEN)
    by_hand = [component.input for component in styled]

    def custom() -> gr.Radio:
        return gr.Radio(value=texts.CUSTOM, info="As you set it.")

    gr.on(by_hand, custom, None, page.preset, queue=False, **HIDDEN)
    page.dice.click(lambda: random.randrange(10**6), None, page.inputs["seed"], **HIDDEN)


def _animate(page: Page, service: Service) -> None:
    """Animate and Cancel. While a video is made its frames are shown in the place of the one before, which
    comes back when the work is cancelled or fails. What is said meanwhile has a place of its own, which is
    hidden afterwards: a report that comes late, after Cancel, is not seen.
    """
    start, stop, talk, still = page.start, page.stop, page.talk, page.still
    shown = [start, stop, talk, still, page.making, page.status]

    def state(busy: bool, line: str) -> dict:
        """What is to be seen while a video is made, or not."""
        return {
            start: gr.Button(interactive=not busy),
            stop: gr.Button(visible=busy),
            talk: gr.Video(visible=not busy),
            still: gr.HTML(visible=busy) if not busy else gr.HTML("", visible=True),
            page.making: gr.HTML(line if busy else "", visible=busy),
            page.status: gr.HTML(visible=False) if busy else gr.HTML(line, visible=True),
        }

    def watch(made: list, *values: Any) -> Iterator[dict]:
        """The making, report by report; `made`: videos of the visit."""
        try:
            for report in service.animate(dict(zip(api.ANIMATE, values, strict=True))):
                if report.video:
                    paths = [kept(report), *made]
                    yield state(False, progress(report.words, kind="done")) | results(paths)
                else:
                    picture = {still: preview.still(report.picture)} if report.picture else {}
                    yield {page.making: progress(report.words, report.share)} | picture
        except Exception as error:  # of whatever kind: the visitor is told, and the page goes on
            yield state(False, progress(request.explain(error), kind="bad"))

    def results(paths: list[str]) -> dict:
        """The newest video in the player, and the last few side by side."""
        paths = [path for path in paths if Path(path).is_file()][:KEPT]
        return {
            talk: gr.Video(paths[0], visible=True),
            page.download: gr.DownloadButton(value=paths[0], interactive=True),
            page.made: paths,
            page.earlier: gr.Gallery(paths, visible=len(paths) > 1),
        }

    at_once: Any = {"queue": False, **HIDDEN}
    everything = [page.made, *(page.inputs[name] for name in api.ANIMATE)]
    waiting = progress("Waiting for the server")
    started = start.click(lambda: state(True, waiting), None, shown, js=scripts.SHOW_RESULT, **at_once)
    started.then(None, js=scripts.FOCUS)
    produced = [*shown, page.download, page.made, page.earlier]
    # "multiple": the browser may not hear the end of a cancelled run, and would drop the next as its double
    run = started.then(watch, everything, produced, trigger_mode="multiple", **HIDDEN, **ANY)
    run.then(None, js=scripts.FOCUS).then(None, js=scripts.PLAY)
    cancelled = progress(texts.CANCELLED, kind="done")
    stopped = stop.click(lambda: state(False, cancelled), None, shown, cancels=run, **at_once)
    stopped.then(None, js=scripts.FOCUS)


def _after(page: Page) -> None:
    """An earlier video of the visit again; a mistake that is mended is told no longer."""

    def show_again(paths: list[str], at: gr.SelectData) -> tuple:
        path = paths[at.index]
        return (path, path) if Path(path).is_file() else (gr.skip(), gr.skip())

    def mended(line: str) -> Any:
        return progress("") if "role='alert'" in line else gr.skip()

    at_once: Any = {"queue": False, **HIDDEN}
    given = [page.inputs[name].change for name in ("portrait", "speech")]
    gr.on(given, mended, page.status, page.status, **at_once)
    again = page.earlier.select(show_again, page.made, [page.talk, page.download], **at_once)
    again.then(None, js=scripts.PLAY)
