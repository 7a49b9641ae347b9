"""The tab Live: its components and events. `live.js` connects the browser."""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from atldiff.media.synthesis import MAX_LETTERS, installed_voices, must_be_fetched, synthesise
from atldiff.options import OPTIONS
from atldiff.web.components import HIDDEN, LIGHT, VOICED
from atldiff.web.jobs.request import MAX_SECONDS, explain, read_speech
from atldiff.web.live.places import LivePlaces
from atldiff.web.serving import read_places, read_relays
from atldiff.web.texts import FETCHING

SOURCES = {"My microphone": "microphone", "The recording": "speech", "Typed text": "text"}
ABOUT = """The photo answers while you speak, half a second later on a free machine. The settings of Motion \
count from *Go live* on. This server hears your sound, and keeps nothing unless you record. The pictures \
carry the mark."""
RECORD, SAVE = "Record", "Save the recording"
READY = "Choose who speaks, then click Go live."
SCRIPT = (Path(__file__).parent / "live.js").read_text(encoding="utf-8")
_CONNECT, _STOP = "(ticket) => window.atldiffLive.connect(ticket)", "() => window.atldiffLive.stop()"
_STAGE = """<video id="live-video" autoplay playsinline aria-label="Live portrait" {poster}
 style="width: 100%; max-height: 460px; aspect-ratio: 1; object-fit: contain; background: #0001"></video>"""
_LINE = '<p id="live-line" role="status"{colour}>{words}</p>'


@dataclass(init=False, eq=False)
class LivePanel:
    """The tab's components; `ticket` holds {"token", "ice", "microphone"} of a visit."""

    stage: gr.HTML
    line: gr.HTML
    source: gr.Radio
    start: gr.Button
    stop: gr.Button
    text: gr.Textbox
    say: gr.Button
    hush: gr.Button
    record: gr.Button
    film: gr.File
    ticket: gr.JSON


def lay_out_live() -> LivePanel:
    """Builds the tab inside the current `gr.Tabs`; it is hidden where nobody can be live."""
    panel = LivePanel()
    with gr.Tab(
        "Live", id="live", elem_id="live-tab", visible=find_spec("aiortc") is not None and read_places() > 0
    ):
        panel.stage = gr.HTML(_STAGE.format(poster=""))
        panel.line = gr.HTML(_line(READY))
        sources = [*SOURCES] if installed_voices() else [*SOURCES][:2]
        panel.source = gr.Radio(sources, value=sources[0], label="Who speaks", elem_id="live-source")
        with gr.Row():
            panel.start = gr.Button("Go live", variant="primary", elem_id="live-start", min_width=120)
            panel.stop = gr.Button("End", elem_id="live-stop", min_width=120)
            panel.record = gr.Button(RECORD, elem_id="live-record", min_width=120)
        panel.film = gr.File(label="The recording of this visit", visible=False, elem_id="live-film")
        with gr.Row(visible=bool(installed_voices())):
            panel.text = gr.Textbox(
                label="Say this now",
                max_length=MAX_LETTERS,
                lines=1,
                max_lines=3,
                scale=4,
                elem_id="live-text",
            )
            panel.say = gr.Button("Say", elem_id="live-say", size="sm", min_width=60)
            panel.hush = gr.Button("Hush", elem_id="live-hush", size="sm", min_width=60)
        gr.Markdown(ABOUT)
        panel.ticket = gr.JSON(visible=False)
    return panel


def connect_live(panel: LivePanel, inputs: Mapping[str, Any], voice: gr.Dropdown, places: LivePlaces) -> None:
    """Connects the tab, inside the current `gr.Blocks`.

    Args:
        panel: the components.
        inputs: the page's inputs by name: the portrait, the speech and the options.
        voice: of typed text.
        places: the machine's.
    """
    names = ["portrait", "speech", *(name for name in inputs if name in OPTIONS)]

    def go(source: str, *values: Any) -> tuple:
        """Opens a visit; the ticket is empty where there is none."""
        by_name, kind = dict(zip(names, values, strict=True)), SOURCES.get(source, "microphone")
        try:
            speech = read_speech(by_name["speech"]) if kind == "speech" and by_name["speech"] else None
            token, session = places.open(by_name)
            if speech is not None:
                places.say(token, speech)
        except Exception as error:  # the visitor reads of any error, and the page continues
            return {}, gr.skip(), _line(explain(error), bad=True), RECORD
        ticket = {"token": token, "ice": read_relays(), "microphone": kind == "microphone"}
        stage = _STAGE.format(poster=f'poster="{_data_url(session.photo)}"')
        return ticket, stage, _line("Connecting"), RECORD

    def say(ticket: dict | None, text: str, speaker: str) -> Iterator[str]:
        """Lets the portrait say a text."""
        try:
            if must_be_fetched(speaker):
                yield _line(FETCHING)
            places.say((ticket or {}).get("token", ""), synthesise(text, speaker, MAX_SECONDS))
        except Exception as error:  # the visitor reads of any error, and the page continues
            yield _line(explain(error), bad=True)
        else:
            yield gr.skip()

    def hush(ticket: dict | None) -> str:
        """Lets the portrait say no more."""
        try:
            places.hush((ticket or {}).get("token", ""))
        except Exception as error:  # the visitor reads of any error, and the page continues
            return _line(explain(error), bad=True)
        return gr.skip()

    def record(ticket: dict | None) -> Iterator[tuple]:
        """Begins to film the visit; the second click gives the video."""
        yield from _record((ticket or {}).get("token", ""), places)

    at_once: Any = {**HIDDEN, **LIGHT}
    everything = [panel.source, *(inputs[name] for name in names)]
    opened = panel.start.click(None, js=_STOP).then(
        go, everything, [panel.ticket, panel.stage, panel.line, panel.record], **at_once
    )
    opened.then(None, panel.ticket, None, js=_CONNECT)
    panel.stop.click(None, None, None, js=_STOP)
    words = [panel.ticket, panel.text, voice]
    gr.on([panel.say.click, panel.text.submit], say, words, panel.line, **HIDDEN, **VOICED)
    again: Any = {"trigger_mode": "multiple", **at_once}  # else a click is lost while the first one ends
    panel.record.click(record, panel.ticket, [panel.record, panel.film], **again)
    panel.hush.click(hush, panel.ticket, panel.line, **at_once)


def _record(token: str, places: LivePlaces) -> Iterator[tuple]:
    """Yields the button's label and the file, which is gone afterwards."""
    if places.has_film(token):
        with places.film(token) as path:
            yield RECORD, gr.File(str(path), visible=True)
    else:
        places.record(token)
        yield SAVE, gr.skip()


def _line(words: str, bad: bool = False) -> str:
    colour = ' style="color: rgb(185, 28, 28)"' if bad else ""
    return _LINE.format(words=escape(words), colour=colour)


def _data_url(picture: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as the address of a JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
