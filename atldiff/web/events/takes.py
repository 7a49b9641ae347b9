"""The visit's takes: one again, two side by side, the same settings again."""

from pathlib import Path
from typing import Any

import gradio as gr

from atldiff.options import OPTIONS
from atldiff.provenance.credentials import find_sidecar
from atldiff.web import scripts, texts
from atldiff.web.components import HIDDEN
from atldiff.web.layout import Page
from atldiff.web.preview import progress
from atldiff.web.takes import Take

OF_PHOTO = ("face", "zoom")  # options that belong to a photo, not to a way of moving


def show_takes(page: Page, takes: list[Take], usual: dict[str, Any]) -> dict:
    """Updates of the page after a video was made: the newest take alone on the screen, all below it."""
    pictures = [(take.video, take.describe(usual)) for take in takes]
    return {
        page.talk: gr.Video(takes[0].video),
        page.download: gr.DownloadButton(value=takes[0].video, interactive=True),
        page.sidecar: offer_sidecar(takes[0].video),
        page.takes: takes,
        page.on_screen: 0,
        page.earlier: gr.Gallery(pictures, visible=len(takes) > 1),
        page.again: gr.Button(visible=True),
        page.beside: gr.Button(texts.BESIDE, visible=len(takes) > 1),
        page.other: gr.Video(visible=False),
        page.pair: False,
    }


def offer_sidecar(video: str) -> gr.DownloadButton:
    """The button of the credentials beside a video; hidden for one that holds them itself."""
    sidecar = find_sidecar(Path(video))
    return gr.DownloadButton(value=sidecar and str(sidecar), visible=sidecar is not None)


def connect_takes(page: Page, usual: dict[str, Any]) -> None:
    """Connects the takes, inside the current `gr.Blocks`."""
    names = [name for name in OPTIONS if name not in OF_PHOTO]
    at_once: Any = {"queue": False, **HIDDEN}

    def choose(takes: list[Take], pair: bool, at: gr.SelectData) -> dict:
        """Shows a take on the screen, or beside the one on the screen."""
        take = takes[at.index]
        if not Path(take.video).is_file():
            return {page.status: progress(texts.GONE)}
        if pair:
            return {page.other: gr.Video(take.video)}
        return {
            page.talk: take.video,
            page.download: take.video,
            page.sidecar: offer_sidecar(take.video),
            page.on_screen: at.index,
            page.status: progress(take.describe(usual)),
        }

    def turn(takes: list[Take], on_screen: int, pair: bool) -> dict:
        """Shows the take before the one on the screen beside it, or hides it."""
        other = takes[on_screen + 1 if on_screen + 1 < len(takes) else 0]
        video = gr.Video(visible=False) if pair else gr.Video(other.video, visible=True)
        return {page.other: video, page.pair: not pair, page.beside: texts.BESIDE if pair else texts.ALONE}

    def set_again(takes: list[Take], on_screen: int) -> list:
        """The settings of the take on the screen."""
        options = takes[on_screen].options
        return [*(options[name] for name in names), texts.preset_of(options, usual)]

    outputs = [page.talk, page.other, page.download, page.sidecar, page.on_screen, page.status]
    event = page.earlier.select(choose, [page.takes, page.pair], outputs, **at_once)
    event.then(None, js=scripts.PLAY)
    event = page.beside.click(
        turn, [page.takes, page.on_screen, page.pair], [page.other, page.pair, page.beside], **at_once
    )
    event.then(None, js=scripts.PLAY)
    settings = [*(page.inputs[name] for name in names), page.preset]
    page.again.click(set_again, [page.takes, page.on_screen], settings, **at_once)
