"""What a reload brings back: photo, recording, settings and takes.

- After a lost connection everybody's visit comes back, and a video in the making is begun again.
- Any other reload brings back the visit of those who want it.
- The browser keeps the names of the server's copies and the settings. The files stay on the server, for as
  long as it keeps any upload.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from atldiff.errors import InputError
from atldiff.options import OPTIONS, Options
from atldiff.web import api, scripts, texts
from atldiff.web.components import HIDDEN, LAST, on_any
from atldiff.web.events.takes import show_takes
from atldiff.web.files import locate_file
from atldiff.web.layout import Page
from atldiff.web.preview import progress
from atldiff.web.takes import Take

# A landmark file is let go with every new photo, and a reload brings one.
FILES = ("portrait", "speech", "driving_video", "poses", "backdrop", "answer", "second")


def connect_visit(demo: gr.Blocks, page: Page, usual: dict[str, Any]) -> None:
    """Connects what outlives a reload, inside the current `gr.Blocks`.

    Args:
        demo: the page, whose load brings a visit back.
        page: the components.
        usual: see `show_takes`.
    """
    at_once: Any = {"queue": False, **HIDDEN}
    kept = [*FILES, *OPTIONS]
    everything = [page.remember, page.takes, *(page.inputs[name] for name in kept)]

    def note(remember: bool, takes: list[Take], *values: Any, running: bool = False) -> tuple:
        """The visit as the browser stores it, None to forget it; and as the tab knows it."""
        videos = [{"video": take.video, "values": take.values} for take in takes]
        inputs = dict(zip(kept, values, strict=True))
        visit = {"inputs": inputs, "takes": videos, "running": running, "remember": remember}
        return visit if remember else None, visit

    def note_start(*values: Any) -> tuple:
        return note(*values, running=True)

    def note_change(running: bool, *values: Any) -> tuple:
        """Notes what was set, also while a video is made."""
        return note(*values, running=running)

    def bring_back(visit: Any) -> dict:
        """Sets what the browser remembers and the server still has."""
        if not isinstance(visit, Mapping):
            return {page.remember: gr.skip()}
        inputs = _settings(visit.get("inputs"))
        files = {name: _file(visit["inputs"].get(name), name) for name in FILES} if inputs else {}
        takes = [take for each in visit.get("takes") or [] if (take := _take(each))]
        shown = {page.inputs[name]: value for name, value in (inputs | files).items()}
        remember = visit.get("remember") is not False
        shown |= {page.preset: texts.preset_of(usual | inputs, usual), page.remember: remember}
        shown[page.chosen] = files.get("portrait")
        if takes:
            shown |= show_takes(page, takes, usual)
        if any(visit["inputs"].get(name) and not path for name, path in files.items()):
            shown[page.status] = progress(texts.FILES_GONE, kind="bad")
        elif visit.get("running") or takes:
            words = texts.STOPPED if visit.get("running") else takes[0].describe(usual)
            shown[page.status] = progress(words)
        return shown

    told = [page.remember, page.preset, page.status, page.chosen, *page.of_takes]
    outputs = [*told, *(page.inputs[name] for name in kept)]
    load = demo.load(bring_back, page.visit, outputs, js=scripts.OUTLIVE_LOSS, **at_once)
    load.then(None, js=scripts.BEGIN_AGAIN)
    changes = [page.inputs[name].change for name in kept]
    latest: Any = {"queue": False, **LAST}
    stored = [page.visit, page.latest_visit]
    set_by_hand, flagged = [page.remember.input, *changes], [page.latest_visit, *everything]
    change = on_any(set_by_hand).then(note_change, flagged, stored, js=scripts.FLAG_MAKING, **latest)
    end = page.status.change(note, everything, stored, **latest)
    start = page.start.click(note_start, everything, stored, **at_once)
    for event in (change, end, start):
        event.then(None, page.latest_visit, js=scripts.KEEP_VISIT)


def _settings(inputs: Any) -> dict[str, Any]:
    """The settings that are right; nothing if one is not, as after an update of the page."""
    if not isinstance(inputs, Mapping):
        return {}
    settings = {name: inputs[name] for name in OPTIONS if name in inputs}
    try:
        Options(**settings)
    except InputError:
        return {}
    return settings


def _file(value: Any, name: str) -> str | None:
    """The path of an upload that the server still has; None without one, and for an address or a data URL."""
    if not isinstance(value, str) or not Path(value).is_absolute():
        return None
    try:
        return locate_file({"path": value}, name, get_upload_folder())
    except InputError:
        return None


def _take(stored: Any) -> Take | None:
    """A take whose video the server still has."""
    if not isinstance(stored, Mapping) or not isinstance(values := stored.get("values"), Mapping):
        return None
    video, settings = _file(stored.get("video"), "video"), _settings(values)
    named = {name: str(values[name]) for name in api.FILE_ARGUMENTS if values.get(name)}
    return Take(video, {**settings, **named}) if video and settings else None
