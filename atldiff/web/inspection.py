"""What is said of photo and recording before the wait, and what may be done about it."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from atldiff.options import DEFAULTS, Options
from atldiff.portrait.portrait import load_portrait
from atldiff.web.components import HIDDEN, LIGHT
from atldiff.web.jobs.request import explain
from atldiff.web.jobs.service import Service
from atldiff.web.layout import Page
from atldiff.web.preview import face_at, note

PICTURED = ("portrait", "face", "zoom", "detector")  # what is shown of a photo
TIMED = ("steps", "output", "zoom")  # what a video's time depends on


def connect_inspection(page: Page, service: Service) -> None:
    """Wires what is said of photo and recording to them, inside the `gr.Blocks` at hand."""
    portrait, face, zoom, detector, speech = (page.inputs[name] for name in (*PICTURED, "speech"))

    def inspect_photo(path: str | None, *values: Any) -> dict:
        """What is said of a photo, and which choices it offers."""
        look = service.inspect_photo(path, *values)
        return {
            page.seen: look.picture,
            face: gr.Number(visible=look.several),
            zoom: gr.Slider(visible=look.small),
            page.photo_note: look.words,
            page.tabs: gr.Tabs(selected="seen"),
        }

    def first_and_whole() -> tuple[int, float]:
        return DEFAULTS.face, DEFAULTS.zoom

    def choose_face(path: str, number: int, nearer: float, _: str, at: gr.SelectData) -> int:
        return face_at(load_portrait(path, number, zoom=nearer), *at.index) or number

    def inspect_speech(speech: str | None, portrait: str | None, *values: Any) -> tuple:
        options = Options(**dict(zip(TIMED, values, strict=True)))
        words, too_long = service.inspect_speech(speech, portrait, options)
        return words, gr.Button(visible=too_long)

    def convert_for_browsers(path: str) -> Iterator:
        """Another file in the place of one that browsers do not show."""
        yield gr.skip()  # as it is, if it can be shown
        yield from service.convert_for_browsers(path)

    shown, inspected = (
        [portrait, face, zoom, detector],
        [page.seen, face, zoom, page.photo_note, page.tabs],
    )
    at_once: Any = {"queue": False, **HIDDEN}
    fresh = portrait.change(first_and_whole, None, [face, zoom], **at_once)
    chosen = page.seen.select(choose_face, shown, face, **HIDDEN, **LIGHT)
    edits: Any = {"trigger_mode": "always_last", **HIDDEN, **LIGHT}  # so what is told is of the photo shown
    for choice in (fresh, chosen):
        choice.then(inspect_photo, shown, inspected, **edits)
    gr.on([face.input, zoom.input, detector.input], inspect_photo, shown, inspected, **edits)
    # "multiple": the browser may not hear the end of a cancelled run, and would drop the next as its double
    multiple: Any = {"trigger_mode": "multiple", **HIDDEN, **LIGHT}
    conversion = portrait.upload(convert_for_browsers, portrait, portrait, **multiple)
    portrait.clear(None, cancels=conversion, **at_once)  # a photo that is taken away does not come back
    asked = [speech, portrait, *(page.inputs[name] for name in TIMED)]
    changes = [component.change for component in asked]
    gr.on(changes, inspect_speech, asked, [page.speech_note, page.cut], **HIDDEN, **LIGHT)
    _other_speech(page, service)


def _other_speech(page: Page, service: Service) -> None:
    """A recording's beginning, a video's sound, or a typed text, in the place of the recording."""
    speech = page.inputs["speech"]

    def replaced(make: Callable, *values: Any) -> Iterator[dict]:
        """The recording that is made; or why there is none, beside it."""
        try:
            for path in make(*values):
                yield {speech: path}
        except Exception as error:  # of whatever kind: the visitor is told, and the page goes on
            yield {page.speech_note: note([explain(error)], "bad")}

    def cut(path: str) -> Iterator[dict]:
        yield from replaced(service.first_minute, path)

    def say(text: str, voice: str) -> Iterator[dict]:
        yield from replaced(service.say, text, voice)

    outputs = [speech, page.speech_note]
    page.cut.click(cut, speech, outputs, **HIDDEN, **LIGHT)
    page.film.upload(cut, page.film, outputs, **HIDDEN, **LIGHT)
    shown: Any = {"api_visibility": "private", "show_progress_on": speech, **LIGHT}
    page.say.click(say, [page.text, page.voice], outputs, **shown)
