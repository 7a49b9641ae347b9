"""Layout of the page, in the order of reading and of a phone's screen.

The order is: the talking video, examples, photo, speech, Animate, settings. A wide screen has the inputs
beside the video, and the settings below it.
"""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from atldiff.media.synthesis import MAX_LETTERS, installed_voices, must_be_fetched
from atldiff.provenance.credentials import SIDECAR
from atldiff.web import texts
from atldiff.web.components import number, slider
from atldiff.web.jobs.inspection import Look
from atldiff.web.jobs.request import MAX_SECONDS
from atldiff.web.live.panel import LivePanel, lay_out_live
from atldiff.web.preview import progress
from atldiff.web.settings import lay_out_settings


@dataclass(init=False, eq=False)
class Page:
    """The page's components; `inputs` are the API's arguments by name."""

    inputs: dict[str, Any]
    examples: list[gr.Button]
    recordings: list[gr.Button]
    # Photo and speech.
    own_photo: gr.UploadButton
    tabs: gr.Tabs
    annotation: gr.Image
    motion: gr.Video
    was: gr.Button
    by_hand: gr.Button
    pad: gr.HTML
    path: gr.Textbox
    photo_note: gr.HTML
    speech_note: gr.HTML
    speech_error: gr.HTML
    cut: gr.Button
    film: gr.UploadButton
    text: gr.Textbox
    voice: gr.Dropdown
    captioned: gr.Checkbox
    say: gr.Button
    motion_note: gr.HTML
    release: gr.Button
    start: gr.Button
    preview: gr.Button
    remember: gr.Checkbox
    # Result.
    still: gr.HTML
    live: gr.Textbox
    screen: gr.Column
    talk: gr.Video
    sound: gr.Button
    other: gr.Video
    making: gr.HTML
    status: gr.HTML
    stop: gr.Button
    download: gr.DownloadButton
    sidecar: gr.DownloadButton
    clips: list[gr.Button]
    clip: gr.DownloadButton
    share: gr.Button
    earlier: gr.Gallery
    live_panel: LivePanel
    again: gr.Button
    beside: gr.Button
    # Settings.
    preset: gr.Radio
    dice: gr.Button
    saved: gr.File
    # Is it ours?
    proof: gr.File
    proof_sidecar: gr.File
    proof_note: gr.HTML
    # Hidden: the API's outputs, and the state of a visit.
    video: gr.Video
    findings: gr.JSON
    verdict: gr.JSON
    picture: gr.Image
    drawn: gr.Video
    previews: gr.State
    before: gr.State
    visit: gr.BrowserState
    latest_visit: gr.JSON
    chosen: gr.State
    photo_looks: gr.State
    speech_looks: gr.State
    takes: gr.State
    on_screen: gr.State
    pair: gr.State

    @property
    def of_takes(self) -> tuple[Any, ...]:
        """What changes with the takes of a visit."""
        return (
            self.talk,
            self.other,
            self.download,
            self.sidecar,
            self.earlier,
            self.again,
            self.beside,
            self.takes,
            self.on_screen,
            self.pair,
        )


def lay_out(emotions: tuple[str, ...], steps: int, look: Look, speech_words: str) -> Page:
    """Builds the page inside the current `gr.Blocks`, with the first example in its inputs.

    Args:
        emotions: names of the emotions that the weights know.
        steps: the weights' default number of DDIM steps.
        look: the inspection of the first example's photo.
        speech_words: HTML of the note on its recording.
    """
    page = Page()
    page.inputs, page.examples, page.recordings = {}, [], []
    gr.Markdown(texts.TOP, elem_id="top")
    with gr.Row(elem_id="columns"):
        with gr.Column(elem_id="result"), gr.Tabs(elem_id="ways"):
            with gr.Tab("Video", id="video"):
                _result(page)
            page.live_panel = lay_out_live()
        with gr.Column(elem_id="inputs"):
            _examples(page)
            _photo(page, look)
            _speech(page, speech_words)
            _buttons(page)
            _other_voices(page)
        with gr.Column(elem_id="settings"):
            lay_out_settings(page, emotions, steps)
    gr.Markdown(texts.FOOT + texts.links(), elem_id="foot")
    with gr.Accordion("Is it ours?", open=False, elem_id="ours"):
        with gr.Row():
            page.proof = gr.File(label="Video or picture", height=120, elem_id="proof")
            ending: Any = {"file_types": [SIDECAR], "elem_id": "proof-sidecar"}
            page.proof_sidecar = gr.File(label="Credentials beside a .webm", height=120, **ending)
        page.proof_note = gr.HTML(elem_id="proof-note")
        gr.Markdown(texts.OURS)
    with gr.Accordion("About the model", open=False):
        gr.Markdown(texts.model_card(), elem_id="model-card")
    page.video = gr.Video(label="video", visible=False)
    page.findings = gr.JSON(label="findings", visible=False)
    page.picture = gr.Image(label="picture", visible=False)
    page.verdict = gr.JSON(label="verdict", visible=False)
    page.drawn = gr.Video(label="drawn", visible=False)
    page.path = gr.Textbox(visible="hidden", show_label=False, elem_id="path")
    page.previews, page.before, page.pair = gr.State([]), gr.State(False), gr.State(False)
    page.takes, page.on_screen = gr.State([]), gr.State(0)
    page.visit = gr.BrowserState(storage_key="atldiff")
    page.chosen = gr.State()  # the photo that face and zoom were chosen for
    page.photo_looks, page.speech_looks = gr.State([]), gr.State([])  # one entry for each that has begun
    page.latest_visit = gr.JSON(visible=False)
    return page


def _examples(page: Page) -> None:
    with gr.Row(elem_id="examples"):
        for example in texts.EXAMPLES:
            icon = str(example.portrait)
            page.examples.append(gr.Button(example.name, icon=icon, elem_classes="example", min_width=60))
        page.own_photo = gr.UploadButton(
            "Your photo", file_types=["image", ".heic"], elem_id="own-photo", min_width=60
        )


def _photo(page: Page, look: Look) -> None:
    with gr.Row(elem_id="photo"):
        sources: Any = ["upload", "webcam", "clipboard"]
        settings: Any = {
            "label": "Portrait",
            "type": "filepath",
            "buttons": [],
            "height": 196,
            "min_width": 150,
        }
        page.inputs["portrait"] = gr.Image(str(texts.EXAMPLES[0].portrait), sources=sources, **settings)
        with gr.Tabs() as page.tabs:
            plain: Any = {"buttons": [], "height": 150}
            with gr.Tab("Face", id="seen"):
                page.annotation = gr.Image(
                    look.picture, label="What is seen", interactive=False, min_width=150, **plain
                )
            with gr.Tab("Motion", id="motion", elem_id="motion"):
                page.motion = gr.Video(label=texts.NOW, autoplay=True, loop=True, **plain)
                page.was = gr.Button(texts.WAS, elem_id="was", size="sm", visible=False)
                page.by_hand = gr.Button(texts.BY_HAND, elem_id="by-hand", size="sm")
                page.pad = gr.HTML(elem_id="pad", visible=False)
    page.inputs["face"] = number("face", label="Face (or click it above)", visible=False)
    page.inputs["zoom"] = slider("zoom", visible=False)
    page.photo_note = gr.HTML(look.words, elem_id="photo-note")


def _speech(page: Page, words: str) -> None:
    sources: Any = ["upload", "microphone"]
    settings: Any = {"label": "Speech", "type": "filepath", "buttons": [], "elem_id": "speech"}
    page.inputs["speech"] = gr.Audio(str(texts.EXAMPLES[0].recording), sources=sources, **settings)
    page.speech_note = gr.HTML(words, elem_id="speech-note")
    page.speech_error = gr.HTML(elem_id="speech-error")
    cut = f"Use the first {MAX_SECONDS:g} s"
    page.cut = gr.Button(cut, elem_id="cut", size="sm", visible=False)


def _buttons(page: Page) -> None:
    page.motion_note = gr.HTML(elem_id="motion-note")
    page.release = gr.Button(texts.RELEASE, elem_id="release", size="sm", visible=False)
    with gr.Row(elem_id="make"):
        page.start = gr.Button("Animate", variant="primary", elem_id="animate", scale=3, min_width=120)
        page.preview = gr.Button("Preview", elem_id="preview", scale=2, min_width=120)
    gr.Markdown(texts.PRIVACY, elem_id="privacy")
    page.remember = gr.Checkbox(False, label=texts.REMEMBER, info=texts.REMEMBERED, elem_id="remember")


def _other_voices(page: Page) -> None:
    """Recordings to take, and the field for a text to speak, which is hidden if no voice is installed."""
    with gr.Row(elem_id="recordings"):
        for words in texts.RECORDINGS:
            page.recordings.append(gr.Button(f"“{words}”", size="sm", min_width=80))
        kinds = ["video", "audio", ".3gp", ".amr", ".caf"]  # browsers do not take the last three for sound
        page.film = gr.UploadButton(
            "Your recording, or a video’s sound", file_types=kinds, elem_id="film", size="sm", min_width=80
        )
    voices = [(voice.label, voice.name) for voice in installed_voices()]
    with gr.Accordion("Or type what to say", open=False, visible=bool(voices), elem_id="type"):
        page.text = gr.Textbox(label="Text", lines=2, max_length=MAX_LETTERS, elem_id="text")
        info = texts.FETCHED_ONCE if any(must_be_fetched(name) for _, name in voices) else texts.SPEAKER
        page.voice = gr.Dropdown(voices, value=voices[0][1] if voices else None, label="Voice", info=info)
        page.captioned = gr.Checkbox(False, label="Also as captions", min_width=240)
        page.say = gr.Button("Say it", elem_id="say", size="sm")


def _result(page: Page) -> None:
    video = texts.EXAMPLES[0].ready
    words = texts.SHOWN if video else ""
    plain: Any = {"buttons": [], "interactive": False}
    page.still = gr.HTML(elem_id="still", visible=False)
    page.live = gr.Textbox(visible="hidden", show_label=False)
    with gr.Column(elem_id="screen") as page.screen:
        with gr.Row(elem_id="videos"):
            page.talk = gr.Video(video, label="Talking video", elem_id="talk", height=440, **plain)
            page.other = gr.Video(label="Another take", elem_id="other", height=440, visible=False, **plain)
        page.sound = gr.Button(texts.SOUND, elem_id="sound", size="sm", min_width=0, visible=bool(video))
    page.making = gr.HTML(elem_id="making", visible=False)
    page.status = gr.HTML(progress(words), elem_id="status")
    with gr.Row():
        page.stop = gr.Button("Cancel", variant="stop", elem_id="stop", visible=False, min_width=120)
        page.download = gr.DownloadButton(
            "Download", video, elem_id="download", interactive=bool(video), min_width=100
        )
        page.sidecar = gr.DownloadButton(texts.SIDECAR, elem_id="sidecar", visible=False, min_width=100)
        small: Any = {"min_width": 70, "visible": bool(video)}
        page.clips = [gr.Button(kind, elem_id=f"as-{kind.lower()}", **small) for kind in ("GIF", "WebP")]
        page.share = gr.Button("Share", elem_id="share", **small)
        page.clip = gr.DownloadButton("Clip", elem_id="clip")
    with gr.Row(elem_id="with-takes"):
        page.again = gr.Button(texts.SAME, elem_id="again", visible=False, min_width=100)
        page.beside = gr.Button(texts.BESIDE, elem_id="beside", visible=False, min_width=100)
    earlier: Any = {"elem_id": "earlier", "visible": False, "columns": 4, **plain}
    earlier["allow_preview"] = False  # a click shows the video in the large player
    page.earlier = gr.Gallery(label="Made in this visit", **earlier)
