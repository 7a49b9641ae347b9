"""Gradio's components and events as this page needs them: files handed on as they came, values judged by the
options.
"""

from typing import Any

import gradio as gr
from gradio import component_meta

from atldiff.options import MOTION, OPTIONS
from atldiff.web.texts import CHOICES, NOTES

# How events run: unseen by the API and without gradio's own progress; without a limit, since the service has
# a queue of its own, which tells place and time; two side by side.
HIDDEN: Any = {"api_visibility": "private", "show_progress": "hidden"}
ANY: Any = {"concurrency_limit": None}
LIGHT: Any = {"concurrency_id": "looks", "concurrency_limit": 2}

component_meta.create_or_modify_pyi = lambda *_: None  # or gradio writes a stub beside this file


class Photo(gr.Image):
    """An image input that hands on the file as it came, so that one reader judges every photo."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:  # noqa: D102
        return None if payload is None else payload.path or super().preprocess(payload)


def _as_it_came(self: gr.components.Component, payload: Any) -> Any:
    """What comes is handed on: the options judge it, so that every caller reads the same sentence."""
    return payload


def _lenient(kind: type[gr.components.Component]) -> Any:
    """The component as it is, but for what it makes of a value. The page tells components by their names."""
    make: Any = type(kind)
    own = {"is_template": True, "preprocess": _as_it_came, "__module__": __name__}
    return make(f"Lenient{kind.__name__}", (kind,), own)


Slider, Number, Radio, Dropdown, Checkbox = map(
    _lenient, (gr.Slider, gr.Number, gr.Radio, gr.Dropdown, gr.Checkbox)
)


def slider(name: str, value: float | None = None, **about: Any) -> gr.Slider:
    """A slider over an option's range, a gain's in twentieths; `value` stands in for a default of None."""
    option = OPTIONS[name]
    low, high = option.metadata["range"]
    shown: Any = value if option.default is None else option.default
    step = 1 if isinstance(low, int) else 0.05 if name in MOTION else 0.25
    label = option.metadata["label"]
    return Slider(low, high, shown, step=step, label=label, info=NOTES[name], min_width=240, **about)


def radio(name: str) -> gr.Radio:
    """The choices of an option."""
    option = OPTIONS[name]
    return Radio(CHOICES[name], value=option.default, label=option.metadata["label"], info=NOTES[name])


def number(name: str, **about: Any) -> gr.Number:
    """A field for an option's whole number."""
    low, high = OPTIONS[name].metadata["range"]
    return Number(OPTIONS[name].default, precision=0, minimum=low, maximum=high, **about)


def checkbox(name: str) -> gr.Checkbox:
    """What an option switches on."""
    option = OPTIONS[name]
    return Checkbox(option.default, label=option.metadata["label"], info=NOTES[name])
