"""The page, its API and its MCP tools: the only file that knows gradio and spaces.

`python app.py --help` tells how to serve it. Environment: ATLDIFF_WEIGHTS names other weights than the
embedded starter, ATLDIFF_AUTH="name:password,..." asks for a login, and all of gradio's own.
"""

# ruff: noqa: E402 - spaces comes before all that could touch CUDA, and gradio reads its folder when imported
import spaces  # isort: skip

import functools
import html
import inspect
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMP = tempfile.TemporaryDirectory(prefix="atldiff-")  # gone when the server stops
os.environ.setdefault("GRADIO_TEMP_DIR", f"{TEMP.name}/files")  # jobs work beside it: gradio takes copies

import gradio as gr
import torch

from atldiff.cli.runner import load_pipeline
from atldiff.media.audio import Speech
from atldiff.media.stream import piece_seconds
from atldiff.portrait.face import Portrait
from atldiff.sequence import LandmarkSequence
from atldiff.web import request, texts
from atldiff.web.preview import face_at, progress, spoken_time
from atldiff.web.service import LOOK, Workshop
from atldiff.web.texts import BACKGROUNDS, NOTES, OUTPUTS, STYLES, serving_options

HERE, ON_GPU = Path(__file__).parent, torch.cuda.is_available()
PIPELINE = load_pipeline(os.environ.get("ATLDIFF_WEIGHTS"), "cuda" if ON_GPU else "cpu")
KEEP = 3600  # seconds; older files are deleted
HIDDEN = {"api_visibility": "private", "show_progress": "hidden"}
HEAVY = {"concurrency_id": "videos", "concurrency_limit": 1}
LIGHT = {"concurrency_id": "looks", "concurrency_limit": 2}


class Photo(gr.Image):
    """An image input that hands on the file as it came, so that one reader judges every photo."""

    is_template = True

    def preprocess(self, payload):  # noqa: ANN201, D102
        return None if payload is None else payload.path or super().preprocess(payload)


class TalkingVideo(gr.Video):
    """Plays MPEG-TS pieces as they come, or a whole file; needs no ffmpeg on the machine."""

    is_template = True

    def postprocess(self, value):  # noqa: ANN201, D102
        return value if value is None or str(value).endswith(".ts") else self._format_video(value)

    async def stream_output(self, value, output_id, first_chunk):  # noqa: ANN201, D102
        stream = {"path": output_id, "is_stream": True, "orig_name": "talking.mp4"}
        stream["meta"] = {"_type": "gradio.FileData"}
        if not isinstance(value, str):
            return None, value or stream
        data, seconds = Path(value).read_bytes(), piece_seconds(Path(value))
        return {"data": data, "duration": seconds, "extension": ".ts"}, stream


@spaces.GPU(duration=15)
def _predict(portrait: Portrait, speech: Speech, emotion: str | None) -> LandmarkSequence:
    return request.predict(PIPELINE, portrait, speech, emotion)


@spaces.GPU(duration=lambda take: min(120, 15 + take.speech.num_frames * take.order.steps // 60))
def _make(take: request.Take) -> Iterator[request.Step]:
    yield from request.make(PIPELINE, take)


WORKSHOP = Workshop(_predict, _make, TEMP.name, pace=0.002 if ON_GPU else 0.04)


@contextmanager
def explained() -> Iterator[None]:
    """Turns errors into sentences for the visitor."""
    try:
        yield
    except Exception as error:
        raise gr.Error(html.escape(request.explain(error)), print_exception=False) from error


def endpoint(function: Callable) -> Callable:
    """A generator of the workshop as gradio calls it: errors explained, steps shown as progress."""
    parts = list(inspect.signature(function).parameters.values())
    tracker = inspect.Parameter("tracker", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=gr.Progress())

    @functools.wraps(function)
    def run(*values):
        *values, tracker = values
        with explained():
            looked = 0.0
            for outcome in function(*values):
                if not isinstance(outcome[0], request.Step):
                    yield outcome
                elif outcome[0].video:
                    yield str(outcome[0].video)
                elif time.monotonic() > looked + LOOK:
                    looked, (step, left) = time.monotonic(), outcome
                    tracker((step.done, step.total), f"{spoken_time(left)} left", unit="frames")
                    yield None

    run.__signature__ = inspect.Signature([*parts, tracker])
    return run


def _watch(live: bool, *values) -> Iterator[tuple]:
    """The page's Animate: (video or a piece of it, progress, finished file)."""
    with explained():
        for outputs in WORKSHOP.watch(live, request.Order(*values)):
            yield tuple(gr.skip() if value is None else value for value in outputs)


def _warned(outputs: tuple) -> tuple:
    """All outputs but the last, a problem, which is shown as a warning."""
    *outputs, problem = outputs
    if problem:
        gr.Warning(html.escape(problem))
    return outputs


def _look_at_photo(portrait: str | None, face: int = 0) -> tuple:
    picture, several, words = _warned(WORKSHOP.see(portrait, face))
    return picture, gr.Number(value=face, visible=several), words, gr.Tabs(selected="seen")


def _look_at_speech(*values) -> str:
    return _warned(WORKSHOP.hear(*values))[0]


def _choose_face(portrait: str, at: gr.SelectData) -> tuple:
    return _look_at_photo(portrait, face_at(request.read_portrait(portrait), *at.index) or 0)


def _move_again(previewed: bool, *values) -> Iterator[tuple]:
    """The motion preview anew, if there is one."""
    with explained():
        yield from WORKSHOP.landmarks(*values) if previewed else [(gr.skip(), gr.skip())]


def _busy(now: bool) -> tuple[gr.Button, gr.Button]:
    return gr.Button(visible=not now), gr.Button(visible=now)


def _begin() -> tuple:
    waiting = progress("Waiting for a place in the queue")
    return *_busy(True), gr.Video(value=None, autoplay=True), waiting, gr.Button(interactive=False)


with gr.Blocks(title=texts.TITLE, delete_cache=(600, KEEP)) as demo:
    gr.Markdown(texts.TOP, elem_id="top")
    with gr.Row():
        with gr.Column(scale=5):
            with gr.Row():
                portrait = Photo(label="Portrait", sources=["upload", "webcam", "clipboard"], height=300)
                with gr.Tabs() as tabs:
                    with gr.Tab("What is seen", id="seen"):
                        seen = gr.Image(show_label=False, interactive=False, height=250, buttons=[])
                    with gr.Tab("How it moves", id="motion", elem_id="motion"):
                        motion = gr.Video(label="Preview", height=250, autoplay=True, loop=True)
            face = gr.Number(0, precision=0, minimum=0, label="Face (or click it above)", visible=False)
            photo_note = gr.HTML(elem_id="photo-note")
            speech = gr.Audio(label="Speech", sources=["upload", "microphone"], type="filepath", render=False)
            gr.Examples(texts.PAIRS, [portrait, speech], label="Click one, then Animate", visible_columns=[0])
            speech.render()
            speech_note = gr.HTML(elem_id="speech-note")
            gr.Examples(texts.RECORDINGS, speech, label="Or let it say", example_labels=texts.LINES)
        with gr.Column(scale=6):
            talk = TalkingVideo(elem_id="talk", streaming=True, autoplay=True, buttons=[], height=460)
            status = gr.HTML(progress(""))
            with gr.Row(elem_id="make"):
                start = gr.Button("Animate", variant="primary", elem_id="animate", scale=3)
                stop = gr.Button("Cancel", variant="stop", elem_id="stop", scale=3, visible=False)
                preview = gr.Button("Preview motion", elem_id="preview", scale=2)
                finished = gr.DownloadButton("Download", elem_id="download", scale=2, interactive=False)
            with gr.Accordion("Motion"):
                with gr.Row():
                    style = gr.Radio(list(STYLES), value="Natural", label="Preset", info=STYLES["Natural"][1])
                    emotion = gr.Dropdown([request.AUTOMATIC, *PIPELINE.emotions], label="Emotion")
                with gr.Row():
                    gain = functools.partial(gr.Slider, 0, request.MAX_GAIN, 1.0, step=0.05, min_width=240)
                    gains = [gain(label=label, info=info) for label, info in texts.GAINS]
            with gr.Accordion("Advanced", open=False):
                with gr.Row():
                    steps = gr.Slider(1, request.MAX_STEPS, 2, step=1, label="Steps", info=NOTES["steps"])
                    seed = gr.Number(0, precision=0, minimum=0, label="Seed", info=NOTES["seed"])
                    dice = gr.Button("🎲", elem_id="dice")
                output = gr.Radio(OUTPUTS, value="photo", label="Size", info=NOTES["output"])
                background = gr.Radio(BACKGROUNDS, value="keep", label="Background", info=NOTES["background"])
                live = gr.Checkbox(True, label="Play while it is made", info=NOTES["live"])
                given = gr.File(label="Landmarks to use", file_types=[".npz", ".json"], height=120)
                gr.Markdown(NOTES["given"])
                file_format = gr.Radio(["npz", "json"], value="npz", label="Landmarks of the preview")
                saved = gr.File(label="landmark file", show_label=False, interactive=False, height=80)
    gr.Markdown(texts.FOOT, elem_id="foot")
    found, picture = gr.JSON(label="findings", visible=False), gr.Image(label="picture", visible=False)
    video, previewed = gr.Video(label="video", visible=False), gr.State(False)
    doors = [gr.Button(visible=False) for _ in range(2)]

    moves = [portrait, speech, face, emotion, *gains]
    sketch, sketched = [*moves, seed, file_format], [saved, motion]
    orders = [*moves, steps, seed, output, background, given]
    doors[0].click(endpoint(WORKSHOP.animate), orders, video, api_name="animate", **HEAVY)
    check = endpoint(WORKSHOP.check_portrait)
    doors[1].click(check, [portrait, face], [found, picture], api_name="check_portrait", **LIGHT)
    move = endpoint(WORKSHOP.landmarks)
    moved = preview.click(move, sketch, sketched, api_name="landmarks", show_progress_on=motion, **LIGHT)
    moved.success(lambda: (True, gr.Tabs(selected="motion")), None, [previewed, tabs], **HIDDEN)
    edits = [slider.change for slider in gains] + [emotion.change, seed.change, file_format.change]
    gr.on(edits, _move_again, [previewed, *sketch], sketched, trigger_mode="always_last", **HIDDEN, **LIGHT)

    sights = [seen, face, photo_note, tabs]
    portrait.change(_look_at_photo, portrait, sights, **HIDDEN, **LIGHT)
    face.input(_look_at_photo, [portrait, face], sights, **HIDDEN, **LIGHT)
    seen.select(_choose_face, portrait, sights, **HIDDEN, **LIGHT)
    looks = [speech.change, portrait.change, steps.change, output.change]
    gr.on(looks, _look_at_speech, [speech, portrait, steps, output], speech_note, **HIDDEN, **LIGHT)
    styled = [*gains, steps, output, background, style]
    style.input(lambda name: (*STYLES[name][0], gr.Radio(info=STYLES[name][1])), style, styled, **HIDDEN)
    dice.click(lambda: random.randrange(10**6), None, seed, **HIDDEN)

    at_once = {"queue": False, **HIDDEN}
    everything = [start, stop, talk, status, finished]
    started = start.click(_begin, None, everything, js=texts.SHOW_VIDEO, **at_once)
    run = started.then(_watch, [live, *orders], [talk, status, finished], **HIDDEN, **HEAVY)
    over = [start, stop, finished]
    run.success(lambda: (*_busy(False), gr.Button(interactive=True)), None, over, **at_once)
    calm = [start, stop, status]
    run.failure(lambda: (*_busy(False), progress("")), None, calm, **at_once)  # .then would not run
    stop.click(lambda: (*_busy(False), progress("Cancelled.")), None, calm, cancels=run, **at_once)
    talk.end(lambda path: gr.Video(value=path, autoplay=False), finished, talk, **at_once)


if __name__ == "__main__":
    theme = gr.themes.Soft(primary_hue="orange", font=["system-ui", "sans-serif"]).set(**texts.THEME)
    request.leave_tidily()
    demo.queue(max_size=32, api_open=False)  # who comes when 32 wait is told that the queue is full
    demo.launch(theme=theme, css_paths=HERE / "app.css", **serving_options())
