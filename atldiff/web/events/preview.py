"""The preview: two seconds of the real face, again after every change, beside the setting before."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from atldiff.options import MOTION
from atldiff.web import api, scripts, texts
from atldiff.web.components import HIDDEN, LAST, LIGHT, on_any
from atldiff.web.jobs import request
from atldiff.web.jobs.service import Service
from atldiff.web.layout import Page
from atldiff.web.preview import progress

EDITS = (*MOTION, "emotion", "seed", "file_format", "detector", "driving_video", "poses")


def connect_preview(page: Page, service: Service) -> None:
    """Connects *Preview* and what follows a first one, inside the current `gr.Blocks`.

    `page.previews` holds the newest video and the one of the setting before.
    """
    inputs = [page.previews, *(page.inputs[name] for name in api.PREVIEW)]
    outputs = [page.saved, page.motion, page.previews, page.before, page.was, page.tabs, page.status]

    def render(previews: list[str], *values: Any) -> Iterator[dict]:
        """Shows the face by the settings; the video before is kept to compare."""
        try:
            for landmarks, video in service.preview(dict(zip(api.PREVIEW, values, strict=True))):
                newest = save_file_to_cache(video, get_upload_folder())
                yield {
                    page.saved: landmarks,
                    page.motion: gr.Video(newest, label=texts.NOW),
                    page.previews: [newest, *previews[:1]],
                    page.before: False,
                    page.tabs: gr.Tabs(selected="motion"),  # a look at the photo may have come between
                    page.was: gr.Button(texts.WAS, visible=bool(previews)),
                }
        except Exception as error:  # the visitor reads of any error, and the page continues
            yield {page.status: progress(request.explain(error), kind="bad")}

    def render_again(previews: list[str], *values: Any) -> Iterator[dict]:
        """Shows the face by the new settings, after a first preview or where a hand turned the head."""
        turned = values[api.PREVIEW.index("poses")]
        yield from render(previews, *values) if previews or turned else [{page.saved: gr.skip()}]

    def turn(previews: list[str], before: bool) -> dict:
        """Shows the setting before in place of the one now, or the other way round."""
        label, words = (texts.NOW, texts.WAS) if before else (texts.WAS, texts.BACK)
        video = previews[0 if before else -1]
        return {page.motion: gr.Video(video, label=label), page.before: not before, page.was: words}

    shown: Any = {"api_visibility": "private", "show_progress_on": page.motion, **LIGHT}
    event = page.preview.click(lambda: gr.Tabs(selected="motion"), None, page.tabs, queue=False, **HIDDEN)
    event.then(None, js=scripts.SHOW_MOTION)
    event.then(render, inputs, outputs, **shown)
    edits = [page.inputs[name].change for name in EDITS]
    on_any(edits).then(render_again, inputs, outputs, **LAST, **LIGHT)
    page.was.click(
        turn, [page.previews, page.before], [page.motion, page.before, page.was], queue=False, **HIDDEN
    )
