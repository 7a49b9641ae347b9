"""Connects the page's components to the service, and publishes the API."""

import functools
import inspect
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from atldiff.options import DEFAULTS, OPTIONS
from atldiff.web import api, preview, scripts, texts
from atldiff.web.components import ANY, HIDDEN, LAST, LIGHT, on_any
from atldiff.web.events.drawing import connect_drawing
from atldiff.web.events.inspection import connect_inspection
from atldiff.web.events.making import connect_clips, connect_making, copy_video
from atldiff.web.events.preview import connect_preview
from atldiff.web.events.takes import connect_takes
from atldiff.web.events.visit import connect_visit
from atldiff.web.jobs import request
from atldiff.web.jobs.service import Report, Service
from atldiff.web.layout import Page
from atldiff.web.preview import progress


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


def connect(demo: gr.Blocks, page: Page, service: Service, steps: int) -> None:
    """Connects the page to the service, inside the current `gr.Blocks`.

    Args:
        demo: the current `gr.Blocks`.
        page: the components.
        service: makes the videos.
        steps: the weights' default number of DDIM steps.
    """
    _offer_api(page, service)
    _tell_ours(page, service)
    connect_preview(page, service)
    connect_drawing(page, service)
    usual = {name: getattr(DEFAULTS, name) for name in OPTIONS} | {"steps": steps}
    connect_inspection(page, service)
    _show_examples(page)
    _apply_presets(page, usual)
    connect_making(page, service, usual)
    connect_clips(page, service)
    connect_takes(page, usual)
    connect_visit(demo, page, usual)
    _tell_motion_files(page)
    _begin_anew(page)


def _offer_api(page: Page, service: Service) -> None:
    buttons = [gr.Button(visible=False) for _ in range(4)]
    animate = make_endpoint(service.animate, api.ANIMATE, api.ANIMATE_TEXT)
    everything = [page.inputs[name] for name in api.ANIMATE]
    buttons[0].click(animate, everything, page.video, api_name="animate", **ANY)
    check = make_endpoint(service.check_portrait, api.CHECK, api.CHECK_TEXT)
    inputs, outputs = [page.inputs[name] for name in api.CHECK], [page.findings, page.picture]
    buttons[1].click(check, inputs, outputs, api_name="check_portrait", **LIGHT)
    verify = make_endpoint(service.verify, api.VERIFY, api.VERIFY_TEXT)
    files = [page.proof, page.proof_sidecar]
    buttons[2].click(verify, files, page.verdict, api_name="verify", **LIGHT)
    move = make_endpoint(service.landmarks, api.PREVIEW, api.LANDMARKS_TEXT)
    inputs, outputs = [page.inputs[name] for name in api.PREVIEW], [page.saved, page.drawn]
    buttons[3].click(move, inputs, outputs, api_name="landmarks", **LIGHT)


def _tell_ours(page: Page, service: Service) -> None:
    """Says of a file that was given whether it is ours."""

    def tell(path: str | None, sidecar: str | None) -> Iterator[str]:
        """Shows the verdict, or the reason why there is none; nothing as long as there is no file."""
        if path is None:
            yield ""
            return
        try:
            for verdict in service.verify({"file": path, "credentials": sidecar}):
                yield preview.note([verdict["sentence"]], ("good", "warn", "warn")[verdict["status"]])
        except Exception as error:  # the visitor reads of any error, and the page continues
            yield preview.note([request.explain(error)], "bad")

    at_once: Any = {"api_visibility": "private", "show_progress_on": page.proof, **LIGHT}
    files = [page.proof, page.proof_sidecar]
    gr.on([file.change for file in files], tell, files, page.proof_note, **at_once)


def _show_examples(page: Page) -> None:
    """Shows a clicked example's photo, recording and ready video, or a clicked recording."""
    portrait, speech = page.inputs["portrait"], page.inputs["speech"]
    at_once: Any = {"queue": False, **HIDDEN}
    outputs = [portrait, speech, page.talk, page.download, page.sidecar, page.status]
    for button, example in zip(page.examples, texts.EXAMPLES, strict=True):
        event = button.click(functools.partial(_example_values, example), None, outputs, **at_once)
        event.then(None, js=scripts.PLAY)
        event.then(None, js=scripts.SHOW_VIDEO)
    for button, path in zip(page.recordings, texts.RECORDINGS.values(), strict=True):
        button.click(functools.partial(str, path), None, speech, **at_once)
    page.sound.click(None, js=scripts.PLAY)


def _example_values(example: texts.Example) -> tuple:
    """An example's photo, recording, video (on the screen, and to download), no sidecar, and status line."""
    video = example.ready or gr.skip()
    words = progress(texts.SHOWN) if example.ready else gr.skip()
    hidden = gr.DownloadButton(visible=False)
    return str(example.portrait), str(example.recording), video, video, hidden, words


def _apply_presets(page: Page, usual: dict[str, Any]) -> None:
    def values_of(name: str) -> tuple:
        """A preset's values, and its description."""
        if name == texts.CUSTOM:
            return *(gr.skip() for _ in texts.PRESET_OPTIONS), gr.Radio(info="As you set it.")
        return *texts.preset_values(name, usual).values(), gr.Radio(info=texts.PRESETS[name][1])

    inputs = [page.inputs[name] for name in texts.PRESET_OPTIONS]
    page.preset.input(values_of, page.preset, [*inputs, page.preset], **HIDDEN)
    by_hand = [component.input for component in inputs]

    def custom() -> gr.Radio:
        return gr.Radio(value=texts.CUSTOM, info="As you set it.")

    gr.on(by_hand, custom, None, page.preset, queue=False, **HIDDEN)
    page.dice.click(lambda: random.randrange(10**6), None, page.inputs["seed"], **HIDDEN)


def _tell_motion_files(page: Page) -> None:
    """Says that the motion comes from a file."""
    sentences = {"landmarks": texts.GIVEN, "driving_video": texts.DRIVEN, "poses": texts.TURNED}
    files = [page.inputs[name] for name in sentences]
    at_once: Any = {"queue": False, **HIDDEN}

    def tell(*paths: str | None) -> tuple:
        """Names the files that move the face, and shows the button that lets go of them."""
        pairs = zip(sentences.values(), paths, strict=True)
        lines = [text.format(Path(path).name) for text, path in pairs if path]
        return preview.note(lines, "warn"), gr.Button(visible=bool(lines))

    changed = on_any(file.change for file in files)
    changed.then(tell, files, [page.motion_note, page.release], queue=False, **LAST)
    page.release.click(lambda: (None,) * len(files), None, files, **at_once)


def _begin_anew(page: Page) -> None:
    """Lets go of what belonged to the photo or recording before: landmarks, errors, previews, the pad."""
    latest: Any = {"queue": False, **LAST}
    stale = [page.motion, page.previews, page.was, page.pad, page.speech_error]

    def forget() -> list:
        return [None, [], gr.Button(visible=False), gr.HTML("", visible=False), ""]

    def begin(landmarks: str | None, line: str | None) -> dict:
        """Clears what is there; what is not stays untouched."""
        updates: dict = dict(zip(stale, forget(), strict=True))
        updates |= {page.inputs["landmarks"]: None} if landmarks else {}
        updates |= {page.status: progress("")} if "role='alert'" in (line or "") else {}
        return updates

    files, cleared = ("portrait", "speech"), [page.inputs["landmarks"], page.status]
    changed = on_any(page.inputs[name].change for name in files)
    changed.then(begin, cleared, [*cleared, *stale], **latest)
    on_any([page.inputs["face"].change]).then(forget, None, stale, **latest)
