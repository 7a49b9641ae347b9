"""What stands where on the page."""

from dataclasses import dataclass, field

import gradio as gr

from atldiff.options import AUTOMATIC, MOTION
from atldiff.web import texts
from atldiff.web.components import Choice, Menu, Photo, TalkingVideo, number, radio, slider
from atldiff.web.preview import progress
from atldiff.web.texts import NOTES, PRESETS


@dataclass
class Page:
    """The page's components; `inputs` are those that the API names, by their names there."""

    inputs: dict[str, gr.Component] = field(default_factory=dict)
    tabs: gr.Tabs = field(init=False)
    seen: gr.Image = field(init=False)
    motion: gr.Video = field(init=False)
    photo_note: gr.HTML = field(init=False)
    speech_note: gr.HTML = field(init=False)
    talk: TalkingVideo = field(init=False)
    status: gr.HTML = field(init=False)
    start: gr.Button = field(init=False)
    stop: gr.Button = field(init=False)
    preview: gr.Button = field(init=False)
    download: gr.DownloadButton = field(init=False)
    preset: gr.Radio = field(init=False)
    dice: gr.Button = field(init=False)
    live: gr.Checkbox = field(init=False)
    saved: gr.File = field(init=False)
    hidden: dict[str, gr.Component] = field(default_factory=dict)


def lay_out(emotions: tuple[str, ...], steps: int) -> Page:
    """Builds the page inside the `gr.Blocks` at hand.

    Args:
        emotions: what the weights know.  steps: the weights' own.
    """
    page = Page()
    gr.Markdown(texts.TOP, elem_id="top")
    with gr.Row():
        with gr.Column(scale=5):
            _inputs(page)
        with gr.Column(scale=6):
            _result(page)
            with gr.Accordion("Motion"):
                _motion(page, emotions)
            with gr.Accordion("Advanced", open=False):
                _advanced(page, steps)
    gr.Markdown(texts.FOOT, elem_id="foot")
    page.hidden = {
        "video": gr.Video(label="video", visible=False),
        "findings": gr.JSON(label="findings", visible=False),
        "picture": gr.Image(label="picture", visible=False),
        "previewed": gr.State(False),
    }
    return page


def _inputs(page: Page) -> None:
    with gr.Row():
        sources = ["upload", "webcam", "clipboard"]
        page.inputs["portrait"] = Photo(label="Portrait", sources=sources, height=300)
        with gr.Tabs() as page.tabs:
            with gr.Tab("What is seen", id="seen"):
                page.seen = gr.Image(show_label=False, interactive=False, height=250, buttons=[])
            with gr.Tab("How it moves", id="motion", elem_id="motion"):
                page.motion = gr.Video(label="Preview", height=250, autoplay=True, loop=True)
    page.inputs["face"] = number("face", label="Face (or click it above)", visible=False)
    page.photo_note = gr.HTML(elem_id="photo-note")
    sources = ["upload", "microphone"]
    speech = gr.Audio(label="Speech", sources=sources, type="filepath", render=False)
    page.inputs["speech"] = speech
    pair = [page.inputs["portrait"], speech]
    gr.Examples(texts.PAIRS, pair, label="Click one, then Animate", visible_columns=[0])
    speech.render()
    page.speech_note = gr.HTML(elem_id="speech-note")
    gr.Examples(texts.RECORDINGS, speech, label="Or let it say", example_labels=texts.LINES)


def _result(page: Page) -> None:
    page.talk = TalkingVideo(elem_id="talk", streaming=True, autoplay=True, buttons=[], height=460)
    page.status = gr.HTML(progress(""))
    with gr.Row(elem_id="make"):
        page.start = gr.Button("Animate", variant="primary", elem_id="animate", scale=3)
        page.stop = gr.Button("Cancel", variant="stop", elem_id="stop", scale=3, visible=False)
        page.preview = gr.Button("Preview motion", elem_id="preview", scale=2)
        page.download = gr.DownloadButton("Download", elem_id="download", scale=2, interactive=False)


def _motion(page: Page, emotions: tuple[str, ...]) -> None:
    with gr.Row():
        page.preset = gr.Radio(list(PRESETS), value="Natural", label="Preset", info=PRESETS["Natural"][1])
        page.inputs["emotion"] = Menu([AUTOMATIC, *emotions], value=AUTOMATIC, label="Emotion")
    with gr.Row():
        page.inputs |= {name: slider(name) for name in texts.GAINS}


def _advanced(page: Page, steps: int) -> None:
    with gr.Row():
        page.inputs |= {name: slider(name) for name in MOTION if name not in texts.GAINS}
    with gr.Row():
        page.inputs["steps"] = slider("steps", steps)
        page.inputs["seed"] = number("seed", label="Seed", info=NOTES["seed"])
        page.dice = gr.Button("🎲", elem_id="dice")
    page.inputs["output"], page.inputs["background"] = radio("output"), radio("background")
    page.live = gr.Checkbox(True, label="Play while it is made", info=NOTES["live"])
    page.inputs["landmarks"] = gr.File(label="Landmarks to use", file_types=[".npz", ".json"], height=120)
    gr.Markdown(NOTES["given"])
    formats = Choice(["npz", "json"], value="npz", label="Landmarks of the preview")
    page.inputs["file_format"] = formats
    page.saved = gr.File(label="landmark file", show_label=False, interactive=False, height=80)
