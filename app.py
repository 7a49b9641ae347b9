"""The page, its API and its MCP tools: the only file that knows gradio and spaces.

`python app.py --help` tells how to serve it. Environment: ATLDIFF_WEIGHTS names other weights than the
embedded starter, ATLDIFF_AUTH="name:password,..." asks for a login, and all of gradio's own.
"""

# ruff: noqa: E402 - spaces comes before all that could touch CUDA, and gradio reads its folder when imported
import spaces  # isort: skip

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

from atldiff.animation import Animation
from atldiff.cli.runner import load_pipeline
from atldiff.media.audio import Speech
from atldiff.media.stream import piece_seconds
from atldiff.options import AUTOMATIC, DEFAULTS, MOTION, OPTIONS, Options
from atldiff.portrait.face import Portrait, load_portrait
from atldiff.sequence import LandmarkSequence
from atldiff.web import api, request, texts
from atldiff.web.preview import face_at, progress, spoken_time
from atldiff.web.service import REPORT_EVERY, Service
from atldiff.web.texts import CHOICES, NOTES, PRESETS, serving_options

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


class Amount(gr.Slider):
    """A slider whose range the options check: whoever calls the API gets the same sentence everywhere."""

    is_template = True

    def preprocess(self, payload):  # noqa: ANN201, D102
        return payload


class Whole(gr.Number):
    """A number that the options check."""

    is_template = True

    def preprocess(self, payload):  # noqa: ANN201, D102
        return payload


class Choice(gr.Radio):
    """Names of which the options check one."""

    is_template = True

    def preprocess(self, payload):  # noqa: ANN201, D102
        return payload


class Menu(gr.Dropdown):
    """Names of which the pipeline checks one."""

    is_template = True

    def preprocess(self, payload):  # noqa: ANN201, D102
        return payload


@spaces.GPU(duration=15)
def _predict(portrait: Portrait, speech: Speech, options: Options) -> LandmarkSequence:
    return PIPELINE.landmarks(portrait, speech, options)


def _gpu_seconds(animation: Animation, folder: Path, live: bool) -> int:
    return request.gpu_seconds(animation, PIPELINE.preset.steps)


@spaces.GPU(duration=_gpu_seconds)
def _on_gpu(animation: Animation, folder: Path, live: bool) -> Iterator[request.Step]:
    yield from request.make(PIPELINE, animation, folder, live)


def _make(animation: Animation, folder: Path, live: bool) -> Iterator[request.Step]:
    if spaces.config.Config.zero_gpu:
        request.check_gpu_seconds(_gpu_seconds(animation, folder, live))
    yield from _on_gpu(animation, folder, live)


SERVICE = Service(_predict, _make, TEMP.name, pace=0.002 if ON_GPU else 0.04)


@contextmanager
def explained() -> Iterator[None]:
    """Turns errors into sentences for the visitor."""
    try:
        yield
    except Exception as error:
        raise gr.Error(html.escape(request.explain(error)), print_exception=False) from error


def endpoint(function: Callable, names: tuple[str, ...], about: str) -> Callable:
    """What the service makes, as gradio calls it: values by position, errors explained, steps as progress."""
    tracker = inspect.Parameter("tracker", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=gr.Progress())

    def run(*values) -> Iterator:
        *values, tracker = values
        with explained():
            reported = 0.0
            for outcome in function(dict(zip(names, values, strict=True))):
                if not isinstance(outcome[0], request.Step):
                    yield outcome
                elif outcome[0].video:
                    yield str(outcome[0].video)
                elif time.monotonic() > reported + REPORT_EVERY:
                    reported, (step, left) = time.monotonic(), outcome
                    tracker((step.done, step.total), f"{spoken_time(left)} left", unit="frames")
                    yield None

    run.__name__ = function.__name__
    return api.described(run, names, about, tracker)


def _watch(live: bool, *values) -> Iterator[tuple]:
    """The page's Animate: (video or a piece of it, progress, finished file)."""
    with explained():
        for outputs in SERVICE.watch(dict(zip(api.ANIMATE, values, strict=True)), live):
            yield tuple(gr.skip() if value is None else value for value in outputs)


def _warned(outputs: tuple) -> tuple:
    """All outputs but the last, a problem, which is shown as a warning."""
    *outputs, problem = outputs
    if problem:
        gr.Warning(html.escape(problem))
    return outputs


def _inspect_photo(portrait: str | None, face: int = DEFAULTS.face) -> tuple:
    picture, several, words = _warned(SERVICE.inspect_photo(portrait, face))
    return picture, gr.Number(value=face, visible=several), words, gr.Tabs(selected="seen")


def _inspect_speech(*values) -> str:
    return _warned(SERVICE.inspect_speech(*values))[0]


def _choose_face(portrait: str, at: gr.SelectData) -> tuple:
    return _inspect_photo(portrait, face_at(load_portrait(portrait), *at.index) or DEFAULTS.face)


def _preview_again(previewed: bool, *values) -> Iterator[tuple]:
    """The motion preview anew, if there is one."""
    with explained():
        by_name = dict(zip(api.PREVIEW, values, strict=True))
        yield from SERVICE.landmarks(by_name) if previewed else [(gr.skip(), gr.skip())]


def _preset(name: str) -> tuple:
    """The values of a preset, and its words."""
    changes, words = PRESETS[name]
    values = {"steps": PIPELINE.preset.steps} | changes
    return *(values.get(option, getattr(DEFAULTS, option)) for option in STYLED), gr.Radio(info=words)


def _busy(now: bool) -> tuple[gr.Button, gr.Button]:
    return gr.Button(visible=not now), gr.Button(visible=now)


def _begin() -> tuple:
    waiting = progress("Waiting for a place in the queue")
    return *_busy(True), gr.Video(value=None, autoplay=True), waiting, gr.Button(interactive=False)


def _slider(name: str) -> Amount:
    """A slider from an option's range; a gain moves in twentieths."""
    option = OPTIONS[name]
    (low, high), default = option.metadata["range"], option.default
    value, step = PIPELINE.preset.steps if default is None else default, 0.05 if name in MOTION else 1
    return Amount(
        low, high, value, step=step, label=option.metadata["label"], info=NOTES[name], min_width=240
    )


def _radio(name: str) -> Choice:
    option = OPTIONS[name]
    return Choice(CHOICES[name], value=option.default, label=option.metadata["label"], info=NOTES[name])


def _number(name: str, **about: object) -> Whole:
    (low, high), default = OPTIONS[name].metadata["range"], OPTIONS[name].default
    return Whole(default, precision=0, minimum=low, maximum=high, **about)


STYLED = (*MOTION, "steps", "output", "background")  # what a preset sets
inputs: dict[str, gr.Component] = {}  # by their names in the API
with gr.Blocks(title=texts.TITLE, delete_cache=(600, KEEP)) as demo:
    gr.Markdown(texts.TOP, elem_id="top")
    with gr.Row():
        with gr.Column(scale=5):
            with gr.Row():
                portrait = inputs["portrait"] = Photo(
                    label="Portrait", sources=["upload", "webcam", "clipboard"], height=300
                )
                with gr.Tabs() as tabs:
                    with gr.Tab("What is seen", id="seen"):
                        seen = gr.Image(show_label=False, interactive=False, height=250, buttons=[])
                    with gr.Tab("How it moves", id="motion", elem_id="motion"):
                        motion = gr.Video(label="Preview", height=250, autoplay=True, loop=True)
            face = inputs["face"] = _number("face", label="Face (or click it above)", visible=False)
            photo_note = gr.HTML(elem_id="photo-note")
            speech = gr.Audio(label="Speech", sources=["upload", "microphone"], type="filepath", render=False)
            inputs["speech"] = speech
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
                    style = gr.Radio(
                        list(PRESETS), value="Natural", label="Preset", info=PRESETS["Natural"][1]
                    )
                    inputs["emotion"] = Menu(
                        [AUTOMATIC, *PIPELINE.emotions], value=AUTOMATIC, label="Emotion"
                    )
                with gr.Row():
                    inputs |= {name: _slider(name) for name in texts.GAINS}
            with gr.Accordion("Advanced", open=False):
                with gr.Row():
                    inputs |= {name: _slider(name) for name in MOTION if name not in texts.GAINS}
                with gr.Row():
                    steps = inputs["steps"] = _slider("steps")
                    inputs["seed"] = _number("seed", label="Seed", info=NOTES["seed"])
                    dice = gr.Button("🎲", elem_id="dice")
                output, inputs["background"] = _radio("output"), _radio("background")
                inputs["output"] = output
                live = gr.Checkbox(True, label="Play while it is made", info=NOTES["live"])
                inputs["landmarks"] = gr.File(
                    label="Landmarks to use", file_types=[".npz", ".json"], height=120
                )
                gr.Markdown(NOTES["given"])
                formats = Choice(["npz", "json"], value="npz", label="Landmarks of the preview")
                inputs["file_format"] = formats
                saved = gr.File(label="landmark file", show_label=False, interactive=False, height=80)
    gr.Markdown(texts.FOOT, elem_id="foot")
    found, picture = gr.JSON(label="findings", visible=False), gr.Image(label="picture", visible=False)
    video, previewed = gr.Video(label="video", visible=False), gr.State(False)
    api_buttons = [gr.Button(visible=False) for _ in range(2)]

    sketch, sketched = [inputs[name] for name in api.PREVIEW], [saved, motion]
    everything = [inputs[name] for name in api.ANIMATE]
    animate = endpoint(SERVICE.animate, api.ANIMATE, api.ABOUT_ANIMATE)
    api_buttons[0].click(animate, everything, video, api_name="animate", **HEAVY)
    check = endpoint(SERVICE.check_portrait, api.CHECK, api.ABOUT_CHECK)
    api_buttons[1].click(check, [portrait, face], [found, picture], api_name="check_portrait", **LIGHT)
    move = endpoint(SERVICE.landmarks, api.PREVIEW, api.ABOUT_LANDMARKS)
    moved = preview.click(move, sketch, sketched, api_name="landmarks", show_progress_on=motion, **LIGHT)
    moved.success(lambda: (True, gr.Tabs(selected="motion")), None, [previewed, tabs], **HIDDEN)
    edits = [inputs[name].change for name in (*MOTION, "emotion", "seed", "file_format")]
    again = {"trigger_mode": "always_last", **HIDDEN, **LIGHT}
    gr.on(edits, _preview_again, [previewed, *sketch], sketched, **again)

    inspected = [seen, face, photo_note, tabs]
    portrait.change(_inspect_photo, portrait, inspected, **HIDDEN, **LIGHT)
    face.input(_inspect_photo, [portrait, face], inspected, **HIDDEN, **LIGHT)
    seen.select(_choose_face, portrait, inspected, **HIDDEN, **LIGHT)
    changes = [speech.change, portrait.change, steps.change, output.change]
    gr.on(changes, _inspect_speech, [speech, portrait, steps, output], speech_note, **HIDDEN, **LIGHT)
    style.input(_preset, style, [*(inputs[name] for name in STYLED), style], **HIDDEN)
    dice.click(lambda: random.randrange(10**6), None, inputs["seed"], **HIDDEN)

    at_once = {"queue": False, **HIDDEN}
    shown = [start, stop, talk, status, finished]
    started = start.click(_begin, None, shown, js=texts.SHOW_VIDEO, **at_once)
    run = started.then(_watch, [live, *everything], [talk, status, finished], **HIDDEN, **HEAVY)
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
