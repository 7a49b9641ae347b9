"""A head that is turned by hand: the visitor drags the face while the voice plays."""

import base64
import html
from typing import Any
from urllib.parse import quote

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from atldiff.web import texts
from atldiff.web.components import HIDDEN, LIGHT
from atldiff.web.jobs import request
from atldiff.web.jobs.service import Service
from atldiff.web.layout import Page
from atldiff.web.preview import note, progress


def connect_drawing(page: Page, service: Service) -> None:
    """Connects *Turn the head by hand*, inside the current `gr.Blocks`; `scripts.DRAG` fills `page.path`."""

    def open_pad(portrait: str | None, face: int, detector: str, speech: str | None) -> Any:
        """Shows the face to drag, or the reason why there is none."""
        try:
            picture = base64.b64encode(service.head(portrait, face, detector)).decode()
            request.read_speech(speech or "")
        except Exception as error:  # the visitor reads of any error, and the page continues
            return gr.HTML(note([request.explain(error)], "bad"), visible=True)
        sound = html.escape(f"gradio_api/file={quote(speech or '')}", quote=True)
        image = f"<img alt='The face to drag' draggable='false' src='data:image/jpeg;base64,{picture}'>"
        words = f"<p>{html.escape(texts.DRAG)}</p>"
        return gr.HTML(f"<div class='pad' data-sound='{sound}'>{image}{words}</div>", visible=True)

    def turn(path: str, speech: str | None) -> Any:
        """Gives the head's angles to the video; closes the pad."""
        try:
            for table in service.turn_by_hand(path, speech):
                poses = save_file_to_cache(table, get_upload_folder())
            return {page.inputs["poses"]: poses, page.pad: gr.HTML("", visible=False)}
        except Exception as error:  # the visitor reads of any error, and the page continues
            return {page.status: progress(request.explain(error), kind="bad")}

    inputs = [page.inputs[name] for name in ("portrait", "face", "detector", "speech")]
    page.by_hand.click(open_pad, inputs, page.pad, **HIDDEN, **LIGHT)
    outputs = [page.inputs["poses"], page.pad, page.status]
    page.path.change(turn, [page.path, page.inputs["speech"]], outputs, **HIDDEN, **LIGHT)
