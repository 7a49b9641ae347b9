"""Events of the page, and its API."""

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

MAX_VIDEOS = 4  # videos of a visit that the page shows
PRESET_OPTIONS = (*MOTION, "steps", "output", "background")  # the options of a preset


def copy_video(report: Report) -> str:
    """Copies the video, so that it outlives its job and errors show; returns the path."""
    return save_file_to_cache(str(report.video), get_upload_folder())


def make_endpoint(function: Callable, names: tuple[str, ...], description: str) -> Callable:
    """Turns a method of the service into gradio's form: values by position, and reported progress.

    Args:
        function: takes a dictionary of arguments and yields its outcomes.
        names: the arguments, in order.
        description: see `api.publish`.
    """
    tracker = inspect.Parameter("tracker", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=gr.Progress())

    def run(*values: Any) -> Iterator:
        """Yields the function's outcomes; reports go to the tracker."""
        *arguments, tracker = values
        for outcome in function(dict(zip(names, arguments, strict=True))):
            if not isinstance(outcome, Report):
                yield outcome
            elif outcome.video:
                yield copy_video(outcome)
            else:
                tracker(outcome.share or 0.0, outcome.words)
                yield None

    run.__name__ = function.__name__
    return api.publish(run, names, description, tracker)


def connect(page: Page, service: Service, steps: int) -> None:
    """Connects the page to the service, inside the current `gr.Blocks`.

    Args:
        page: the components.
        service: makes the videos.
        steps: the weights' default number of DDIM steps.
    """
    _offer_api(page, service)
    _tell_ours(page, service)
    _preview_changes(page, service)
    connect_inspection(page, service)
    _show_examples(page)
    _apply_presets(page, steps)
    _animate(page, service)
    _show_earlier(page)
    _clear_errors(page)


def _offer_api(page: Page, service: Service) -> None:
    buttons = [gr.Button(visible=False) for _ in range(3)]
    animate = make_endpoint(service.animate, api.ANIMATE, api.ANIMATE_TEXT)
    everything = [page.inputs[name] for name in api.ANIMATE]
    buttons[0].click(animate, everything, page.video, api_name="animate", **ANY)
    check = make_endpoint(service.check_portrait, api.CHECK, api.CHECK_TEXT)
    inputs, outputs = [page.inputs[name] for name in api.CHECK], [page.findings, page.picture]
    buttons[1].click(check, inputs, outputs, api_name="check_portrait", **LIGHT)
    verify = make_endpoint(service.verify, api.VERIFY, api.VERIFY_TEXT)
    buttons[2].click(verify, page.proof, page.verdict, api_name="verify", **LIGHT)


def _tell_ours(page: Page, service: Service) -> None:
    """Says of a file that was given whether it is ours."""

    def tell(path: str) -> Iterator[str]:
        """Shows the verdict, or the reason why there is none."""
        try:
            for verdict in service.verify({"file": path}):
                yield preview.note([verdict["sentence"]], ("good", "warn", "warn")[verdict["status"]])
        except Exception as error:  # the visitor reads of any error, and the page continues
            yield preview.note([request.explain(error)], "bad")

    shown: Any = {"api_visibility": "private", "show_progress_on": page.proof, **LIGHT}
    page.proof.upload(tell, page.proof, page.proof_note, **shown)
    page.proof.clear(lambda: "", None, page.proof_note, queue=False, **HIDDEN)


def _preview_changes(page: Page, service: Service) -> None:
    """Previews the motion at a click, and again at every change of it from then on."""
    inputs, outputs = [page.inputs[name] for name in api.PREVIEW], [page.saved, page.motion]
    move = make_endpoint(service.landmarks, api.PREVIEW, api.LANDMARKS_TEXT)
    click: Any = {"api_name": "landmarks", "show_progress_on": page.motion, **LIGHT}
    event = page.preview.click(move, inputs, outputs, **click)
    state = [page.previewed, page.tabs]
    event = event.success(lambda: (True, gr.Tabs(selected="motion")), None, state, **HIDDEN)
    event.then(None, js=scripts.SHOW_MOTION)

    def preview_again(previewed: bool, *values: Any) -> Iterator[tuple]:
        """Predicts the motion by the new settings, after a first preview."""
        by_name = dict(zip(api.PREVIEW, values, strict=True))
        yield from service.landmarks(by_name) if previewed else [(gr.skip(), gr.skip())]

    edits = [page.inputs[name].change for name in (*MOTION, "emotion", "seed", "file_format", "detector")]
    again: Any = {"trigger_mode": "always_last", **HIDDEN, **LIGHT}
    gr.on(edits, preview_again, [page.previewed, *inputs], outputs, **again)


def _show_examples(page: Page) -> None:
    """Shows a clicked example's photo, recording and ready video, or a clicked recording."""
    portrait, speech = page.inputs["portrait"], page.inputs["speech"]
    at_once: Any = {"queue": False, **HIDDEN}
    outputs = [portrait, speech, page.talk, page.status]
    for button, example in zip(page.examples, texts.EXAMPLES, strict=True):
        event = button.click(functools.partial(_example_values, example), None, outputs, **at_once)
        event.then(None, js=scripts.PLAY)
        event.then(None, js=scripts.SHOW_VIDEO)
    for button, path in zip(page.recordings, texts.RECORDINGS.values(), strict=True):
        button.click(functools.partial(str, path), None, speech, **at_once)


def _example_values(example: texts.Example) -> tuple:
    """An example's photo, recording, video and status line."""
    video, words = gr.skip(), gr.skip()
    if example.video.is_file():
        video, words = str(example.video), progress(texts.SHOWN)
    return str(example.portrait), str(example.recording), video, words


def _apply_presets(page: Page, steps: int) -> None:
    def values_of(name: str) -> tuple:
        """A preset's values, and its description."""
        if name == texts.CUSTOM:
            return *(gr.skip() for _ in PRESET_OPTIONS), gr.Radio(info="As you set it.")
        changes, words = texts.PRESETS[name]
        values = {"steps": steps} | changes
        return *(values.get(option, getattr(DEFAULTS, option)) for option in PRESET_OPTIONS), gr.Radio(
            info=words
        )

    inputs = [page.inputs[name] for name in PRESET_OPTIONS]
    page.preset.input(values_of, page.preset, [*inputs, page.preset], **HIDDEN)
    by_hand = [component.input for component in inputs]

    def custom() -> gr.Radio:
        return gr.Radio(value=texts.CUSTOM, info="As you set it.")

    gr.on(by_hand, custom, None, page.preset, queue=False, **HIDDEN)
    page.dice.click(lambda: random.randrange(10**6), None, page.inputs["seed"], **HIDDEN)


def _animate(page: Page, service: Service) -> None:
    """Connects Animate and Cancel.

    During the work its frames replace the previous video, which returns after Cancel or an error.
    Reports have a line of their own, which is hidden afterwards: a report after Cancel is not seen.
    """
    start, stop, talk, still = page.start, page.stop, page.talk, page.still
    outputs = [start, stop, talk, still, page.making, page.status]

    def state(busy: bool, line: str) -> dict:
        """The components during the work, or after it."""
        return {
            start: gr.Button(interactive=not busy),
            stop: gr.Button(visible=busy),
            talk: gr.Video(visible=not busy),
            still: gr.HTML(visible=busy) if not busy else gr.HTML("", visible=True),
            page.making: gr.HTML(line if busy else "", visible=busy),
            page.status: gr.HTML(visible=False) if busy else gr.HTML(line, visible=True),
        }

    def watch(videos: list, *values: Any) -> Iterator[dict]:
        """Makes a video and shows each report; `videos` are the visit's earlier ones."""
        try:
            for report in service.animate(dict(zip(api.ANIMATE, values, strict=True))):
                if report.video:
                    paths = [copy_video(report), *videos]
                    yield state(False, progress(report.words, kind="done")) | results(paths)
                else:
                    picture = {still: preview.still(report.picture)} if report.picture else {}
                    yield {page.making: progress(report.words, report.share)} | picture
        except Exception as error:  # the visitor reads of any error, and the page continues
            yield state(False, progress(request.explain(error), kind="bad"))

    def results(paths: list[str]) -> dict:
        """The newest video in the player, and the last few in the gallery."""
        paths = [path for path in paths if Path(path).is_file()][:MAX_VIDEOS]
        return {
            talk: gr.Video(paths[0], visible=True),
            page.download: gr.DownloadButton(value=paths[0], interactive=True),
            page.videos: paths,
            page.earlier: gr.Gallery(paths, visible=len(paths) > 1),
        }

    at_once: Any = {"queue": False, **HIDDEN}
    everything = [page.videos, *(page.inputs[name] for name in api.ANIMATE)]
    waiting = progress("Waiting for the server")
    start_event = start.click(lambda: state(True, waiting), None, outputs, js=scripts.SHOW_RESULT, **at_once)
    start_event.then(None, js=scripts.FOCUS)
    run_outputs = [*outputs, page.download, page.videos, page.earlier]
    # "multiple": the browser may miss the end of a cancelled run, and would drop the next run as a duplicate
    run = start_event.then(watch, everything, run_outputs, trigger_mode="multiple", **HIDDEN, **ANY)
    run.then(None, js=scripts.FOCUS).then(None, js=scripts.PLAY)
    cancelled = progress(texts.CANCELLED, kind="done")
    stop_event = stop.click(lambda: state(False, cancelled), None, outputs, cancels=run, **at_once)
    stop_event.then(None, js=scripts.FOCUS)


def _show_earlier(page: Page) -> None:
    """Shows an earlier video of the visit again at a click."""

    def show_again(paths: list[str], at: gr.SelectData) -> tuple:
        path = paths[at.index]
        return (path, path) if Path(path).is_file() else (gr.skip(), gr.skip())

    outputs = [page.talk, page.download]
    event = page.earlier.select(show_again, page.videos, outputs, queue=False, **HIDDEN)
    event.then(None, js=scripts.PLAY)


def _clear_errors(page: Page) -> None:
    """Clears an error message at the next upload."""

    def clear(line: str) -> Any:
        return progress("") if "role='alert'" in line else gr.skip()

    changes = [page.inputs[name].change for name in ("portrait", "speech")]
    gr.on(changes, clear, page.status, page.status, queue=False, **HIDDEN)
