"""Inspects photo and recording before the wait, and offers remedies."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from atldiff.media.synthesis import must_be_fetched
from atldiff.options import ASPECTS, DEFAULTS, Options
from atldiff.portrait.portrait import load_portrait
from atldiff.web.components import HIDDEN, LAST, LIGHT, VOICED, on_any
from atldiff.web.jobs.inspection import Look
from atldiff.web.jobs.request import explain
from atldiff.web.jobs.service import Service
from atldiff.web.layout import Page
from atldiff.web.preview import face_at, note
from atldiff.web.texts import FETCHING

PICTURED = ("portrait", "face", "zoom", "detector", "output")  # inputs of a photo's inspection
TIMED = ("steps", "output", "zoom")  # options that change the time of a video


def connect_inspection(page: Page, service: Service) -> None:
    """Connects photo and recording to their notes, inside the current `gr.Blocks`."""
    portrait, face, zoom, detector, output, speech = (page.inputs[name] for name in (*PICTURED, "speech"))

    def show(look: Look) -> dict:
        """Shows the notes on a photo, and the choices that it offers."""
        return {
            page.annotation: look.picture,
            face: gr.Number(visible=look.several),
            zoom: gr.Slider(visible=look.small),
            page.photo_note: look.words,
            page.tabs: gr.Tabs(selected="seen"),
        }

    def inspect_photo(path: str | None, *values: Any) -> dict:
        return show(service.inspect_photo(path, *values))

    def inspect_new_photo(path: str | None, *values: Any) -> dict:
        """Looks at another photo: its first face, and zoomed where the head is tiny.

        The photo that a reload brought back keeps the face and the zoom that were chosen for it.
        """
        *settings, chosen = values
        if path and path == chosen:
            updates = inspect_photo(path, *settings)
            del updates[page.tabs]  # the visitor may look at another one by now
            return updates
        look = service.inspect_new_photo(path, *settings[2:])
        return show(look) | {
            face: gr.Number(DEFAULTS.face, visible=look.several),
            zoom: gr.Slider(value=look.zoom, visible=look.small),
            page.chosen: path,
        }

    def choose_face(path: str, number: int, zoom: float, _: str, output: str, at: gr.SelectData) -> int:
        portrait = load_portrait(path, number, zoom=zoom, aspect=ASPECTS.get(output))
        return face_at(portrait, *at.index) or number

    def inspect_speech(speech: str | None, portrait: str | None, *values: Any) -> dict:
        options = Options(**dict(zip(TIMED, values, strict=True)))
        words, too_long = service.inspect_speech(speech, portrait, options)
        return {page.speech_note: words, page.cut: gr.Button(visible=too_long)}

    inputs = [page.photo_looks, portrait, face, zoom, detector, output]
    outputs = [page.annotation, face, zoom, page.photo_note, page.tabs]
    choice = page.annotation.select(choose_face, inputs[1:], face, **HIDDEN, **LIGHT)
    edits: Any = {**LAST, **LIGHT}  # the last note fits the visible photo
    another = on_any([portrait.change])
    look_again = _newest(inspect_photo, page.photo_note)
    look_anew = _newest(inspect_new_photo, page.photo_note)
    another.then(look_anew, [*inputs, page.chosen], [*outputs, page.chosen], **edits)
    choice.then(look_again, inputs, outputs, **edits)
    by_hand = on_any([face.input, zoom.input, detector.input, output.input])
    by_hand.then(look_again, inputs, outputs, **edits)
    _convert(page, service)
    timed = [speech, portrait, *(page.inputs[name] for name in TIMED)]
    changed = on_any(component.change for component in timed)
    look = _newest(inspect_speech, page.speech_note)
    changed.then(look, [page.speech_looks, *timed], [page.speech_note, page.cut], **edits)
    _other_speech(page, service)


def _newest(look: Callable, note: gr.HTML) -> Callable:
    """Takes the visit's looks as a further first input, and shows nothing that a later look has overtaken.

    Args:
        look: gives updates by component.
        note: one of the components.
    """

    def run(looks: list[None], *values: Any) -> dict:
        """Looks, and gives the updates if no other look has begun since."""
        looks.append(None)
        number = len(looks)
        updates = look(*values)
        return updates if len(looks) == number else {note: gr.skip()}

    return run


def _convert(page: Page, service: Service) -> None:
    """Replaces a photo that browsers cannot show, and takes one from the button beside the examples."""
    portrait = page.inputs["portrait"]

    def convert(path: str) -> Iterator:
        yield gr.skip()  # a file that browsers show stays
        yield from service.convert_for_browsers(path)

    # "multiple": the browser may miss the end of a cancelled run, and would drop the next run as a duplicate
    multiple: Any = {"trigger_mode": "multiple", **HIDDEN, **LIGHT}
    conversion = portrait.upload(convert, portrait, portrait, **multiple)
    page.own_photo.upload(lambda path: path, page.own_photo, portrait, queue=False, **HIDDEN).then(
        convert, portrait, portrait, **multiple
    )
    # A photo that is taken away does not come back.
    portrait.clear(None, cancels=conversion, queue=False, **HIDDEN)


def _other_speech(page: Page, service: Service) -> None:
    """Replaces the recording by its beginning, a video's sound, or a spoken text."""
    speech = page.inputs["speech"]

    def replace(make: Callable, *values: Any) -> Iterator[dict]:
        """Shows the new recording, or the reason why there is none beside what is said of the one before."""
        try:
            for path in make(*values):
                yield {speech: path}
        except Exception as error:  # the visitor reads of any error, and the page continues
            yield {page.speech_error: note([explain(error)], "bad")}

    def cut(path: str) -> Iterator[dict]:
        yield from replace(service.first_minute, path)

    def say(text: str, voice: str, captioned: bool) -> Iterator[dict]:
        if must_be_fetched(voice):
            yield {page.speech_error: note([FETCHING], "warn")}
        for update in replace(service.say, text, voice):
            yield update | ({page.inputs["captions"]: text} if captioned and speech in update else {})

    outputs = [speech, page.speech_error]
    page.cut.click(cut, speech, outputs, **HIDDEN, **LIGHT)
    page.film.upload(cut, page.film, outputs, **HIDDEN, **LIGHT)
    visible: Any = {"api_visibility": "private", "show_progress_on": speech, **VOICED}
    inputs = [page.text, page.voice, page.captioned]
    page.say.click(say, inputs, [*outputs, page.inputs["captions"]], **visible)
