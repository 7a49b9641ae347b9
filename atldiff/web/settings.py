"""Layout of the settings: motion, a second person, and the advanced ones."""

from typing import TYPE_CHECKING, Any

import gradio as gr

from atldiff.media.captions import MAX_LETTERS as MAX_CAPTIONS
from atldiff.options import AUTOMATIC, MOTION
from atldiff.web import texts
from atldiff.web.components import checkbox, dropdown, number, radio, slider
from atldiff.web.texts import NOTES, PRESETS

if TYPE_CHECKING:
    from atldiff.web.layout import Page


def lay_out_settings(page: "Page", emotions: tuple[str, ...], steps: int) -> None:
    """Builds the settings; see `layout.lay_out`."""
    with gr.Accordion("Motion"):
        _motion(page, emotions)
    with gr.Accordion("A second person answers", open=False, elem_id="dialogue"):
        _dialogue(page)
    with gr.Accordion("Advanced", open=False):
        _advanced(page, steps)


def _motion(page: "Page", emotions: tuple[str, ...]) -> None:
    with gr.Row():
        presets = [*PRESETS, texts.CUSTOM]
        page.preset = gr.Radio(presets, value="Natural", label="Preset", info=PRESETS["Natural"][1])
        page.inputs["emotion"] = gr.Dropdown([AUTOMATIC, *emotions], value=AUTOMATIC, label="Emotion")
    with gr.Row():
        page.inputs |= {name: slider(name) for name in texts.GAINS}


def _dialogue(page: "Page") -> None:
    gr.Markdown(NOTES["dialogue"])
    with gr.Row():
        sound: Any = {"sources": ["upload", "microphone"], "type": "filepath", "buttons": []}
        page.inputs["answer"] = gr.Audio(label="The answer", elem_id="answer", **sound)
        picture: Any = {"sources": ["upload", "webcam"], "type": "filepath", "buttons": [], "height": 196}
        page.inputs["second"] = gr.Image(label="Photo of the second person", elem_id="second", **picture)


def _advanced(page: "Page", steps: int) -> None:
    with gr.Row():
        page.inputs |= {name: slider(name) for name in MOTION if name not in texts.GAINS}
    with gr.Row():
        # One step is the best of weights that were trained for one; more make their pictures worse.
        page.inputs["steps"] = slider("steps", steps, visible=steps > 1)
        page.inputs["seed"] = number("seed", label="Seed", info=NOTES["seed"])
        page.dice = gr.Button("Another seed", elem_id="dice", size="sm")
    page.inputs |= {"output": radio("output"), "background": dropdown("background")}
    picture: Any = {"file_types": ["image"], "height": 120, "elem_id": "backdrop"}
    page.inputs["backdrop"] = gr.File(label="Background picture", **picture)
    gr.Markdown(NOTES["backdrop"])
    with gr.Row():
        page.inputs |= {"badge": checkbox("badge"), "badge_size": slider("badge_size")}
    page.inputs |= {"badge_text": radio("badge_text"), "badge_corner": radio("badge_corner")}
    words: Any = {"label": "Captions", "info": NOTES["captions"], "max_length": MAX_CAPTIONS}
    page.inputs["captions"] = gr.Textbox("", lines=2, elem_id="captions", **words)
    page.inputs["detector"] = radio("detector")
    motion: Any = {"file_types": [".npz", ".json"], "height": 120, "elem_id": "landmarks"}
    page.inputs["landmarks"] = gr.File(label="Landmarks to use", **motion)
    gr.Markdown(NOTES["given"])
    film: Any = {"file_types": ["video"], "height": 120, "elem_id": "driving"}
    page.inputs["driving_video"] = gr.File(label="Driving video", **film)
    gr.Markdown(NOTES["driven"])
    table: Any = {"file_types": [".csv"], "height": 120, "elem_id": "poses"}
    page.inputs["poses"] = gr.File(label="Head's angles", **table)
    gr.Markdown(NOTES["turned"])
    formats = gr.Radio(["npz", "json"], value="npz", label="Landmarks of the preview")
    page.inputs["file_format"] = formats
    page.saved = gr.File(
        label="Landmark file", show_label=False, interactive=False, height=80, elem_id="saved"
    )
