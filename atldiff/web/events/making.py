"""Animate and Cancel, and what stands on the screen."""

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from atldiff.provenance.credentials import SIDECAR, find_sidecar
from atldiff.web import api, preview, scripts, texts
from atldiff.web.components import ANY, HIDDEN, LIGHT
from atldiff.web.events.takes import show_takes
from atldiff.web.jobs import request
from atldiff.web.jobs.service import Report, Service
from atldiff.web.layout import Page
from atldiff.web.preview import progress
from atldiff.web.takes import Take, add_take


def copy_video(report: Report) -> str:
    """Copies the video and its sidecar, so that they outlive the job; returns the video's path."""
    assert report.video is not None
    path = save_file_to_cache(str(report.video), get_upload_folder())
    if sidecar := find_sidecar(report.video):
        shutil.copy(sidecar, Path(path).with_suffix(SIDECAR))
    return path


def link_live(report: Report) -> str:
    """Lets the browser read the growing video by a name of its own.

    Returns:
        JSON of its path, and in seconds: its length, the age of its frames, and the time left as forecast;
        "" if the job's folder is on another disk than the uploads.
    """
    assert report.live is not None
    path = Path(get_upload_folder()) / uuid4().hex / report.live.name
    path.parent.mkdir(parents=True)
    try:
        os.link(report.live, path)  # the job removes its own name of the file
    except OSError:
        return ""
    times = {"seconds": report.seconds, "age": report.age, "left": report.left}
    return json.dumps({"path": str(path), **times})


def connect_making(page: Page, service: Service, usual: dict[str, Any]) -> None:
    """Connects Animate and Cancel, inside the current `gr.Blocks`.

    During the work the photo, and then its frames, replace the previous video, which returns after Cancel or
    an error. Reports have a line of their own, which is hidden afterwards: a report after Cancel is not seen.

    Args:
        page: the components.
        service: makes the videos.
        usual: values of the options that a take's description leaves out.
    """
    start, stop, screen, still = page.start, page.stop, page.screen, page.still
    outputs = [start, stop, screen, still, page.making, page.status]

    def state(busy: bool, line: str) -> dict:
        """The components during the work, or after it."""
        return {
            start: gr.Button(interactive=not busy),
            stop: gr.Button(visible=busy),
            screen: gr.Column(visible=not busy),
            still: gr.HTML(visible=busy) if not busy else gr.HTML("", visible=True),
            page.making: gr.HTML(line if busy else "", visible=busy),
            page.status: gr.HTML(visible=False) if busy else gr.HTML(line, visible=True),
        }

    def watch(takes: list[Take], *inputs: Any) -> Iterator[dict]:
        """Makes a video and shows each report; `takes` are the visit's earlier ones."""
        values = dict(zip(api.ANIMATE, inputs, strict=True))
        try:
            for report in service.animate(values):
                if report.video:
                    newest_first = add_take(takes, Take(copy_video(report), values))
                    line = progress(report.words, kind="done")
                    yield state(False, line) | show_takes(page, newest_first, usual)
                else:
                    picture = {still: preview.still(report.picture)} if report.picture else {}
                    playing = {page.live: link_live(report)} if report.live else {}
                    yield {page.making: progress(report.words, report.share)} | picture | playing
        except Exception as error:  # the visitor reads of any error, and the page continues
            yield state(False, progress(request.explain(error), kind="bad"))

    at_once: Any = {"queue": False, **HIDDEN}
    everything = [page.takes, *(page.inputs[name] for name in api.ANIMATE)]
    waiting = progress("Waiting for the server")
    start_event = start.click(lambda: state(True, waiting), None, outputs, js=scripts.SHOW_RESULT, **at_once)
    start_event.then(None, js=scripts.FOCUS)
    run_outputs = [*outputs, page.live, *page.of_takes]
    page.live.change(None, page.live, js=scripts.PLAY_LIVE)
    # "multiple": the browser may miss the end of a cancelled run, and would drop the next run as a duplicate
    run = start_event.then(watch, everything, run_outputs, trigger_mode="multiple", **HIDDEN, **ANY)
    run.then(None, js=scripts.FOCUS).then(None, js=scripts.PLAY)
    cancelled = progress(texts.CANCELLED, kind="done")
    stop_event = stop.click(lambda: state(False, cancelled), None, outputs, cancels=run, **at_once)
    stop_event.then(None, js=scripts.END_LIVE).then(None, js=scripts.FOCUS)


def connect_clips(page: Page, service: Service) -> None:
    """Connects what else is done with the video on the screen: a GIF, a WebP, the phone's share sheet."""

    def clip(kind: str, video: str | None) -> Iterator[dict]:
        """Makes a GIF or WebP of the video on the screen."""
        try:
            for path in service.clip(video, kind):
                yield {page.clip: gr.DownloadButton(value=path)}
        except Exception as error:  # the visitor reads of any error, and the page continues
            yield {page.status: progress(request.explain(error), kind="bad")}

    for button, kind in zip(page.clips, (".gif", ".webp"), strict=True):
        event = button.click(partial(clip, kind), page.download, [page.clip, page.status], **HIDDEN, **LIGHT)
        event.success(None, js=scripts.DOWNLOAD_CLIP)
    page.share.click(None, js=scripts.SHARE)
