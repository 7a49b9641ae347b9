"""Gradio's components as the options describe them, and how events run."""

from typing import Any

import gradio as gr

from atldiff.options import MOTION, OPTIONS
from atldiff.web.texts import CHOICES, NOTES

# How events run: unseen by the API and without gradio's own progress; without a limit, since the service has
# a queue of its own, which tells place and time; two side by side.
HIDDEN: Any = {"api_visibility": "private", "show_progress": "hidden"}
ANY: Any = {"concurrency_limit": None}
LIGHT: Any = {"concurrency_id": "looks", "concurrency_limit": 2}


def slider(name: str, value: float | None = None, **about: Any) -> gr.Slider:
    """A slider over an option's range, a gain's in twentieths; `value` stands in for a default of None."""
    option = OPTIONS[name]
    low, high = option.metadata["range"]
    shown: Any = value if option.default is None else option.default
    step = 1 if isinstance(low, int) else 0.05 if name in MOTION else 0.25
    label = option.metadata["label"]
    return gr.Slider(low, high, shown, step=step, label=label, info=NOTES[name], min_width=240, **about)


def radio(name: str) -> gr.Radio:
    """The choices of an option."""
    option = OPTIONS[name]
    return gr.Radio(CHOICES[name], value=option.default, label=option.metadata["label"], info=NOTES[name])


def number(name: str, **about: Any) -> gr.Number:
    """A field for an option's whole number."""
    low, high = OPTIONS[name].metadata["range"]
    return gr.Number(OPTIONS[name].default, precision=0, minimum=low, maximum=high, **about)


def checkbox(name: str) -> gr.Checkbox:
    """What an option switches on."""
    option = OPTIONS[name]
    return gr.Checkbox(option.default, label=option.metadata["label"], info=NOTES[name])
