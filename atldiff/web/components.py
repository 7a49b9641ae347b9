"""Gradio's components as this page needs them: files handed on as they came, values judged by the options."""

from typing import Any

import gradio as gr
from gradio import component_meta

from atldiff.options import MOTION, OPTIONS
from atldiff.web.texts import CHOICES, NOTES

component_meta.create_or_modify_pyi = lambda *_: None  # or gradio writes a stub beside this file


class Photo(gr.Image):
    """An image input that hands on the file as it came, so that one reader judges every photo."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:  # noqa: D102
        return None if payload is None else payload.path or super().preprocess(payload)


def _as_it_came(self: gr.Component, payload: Any) -> Any:
    """What comes is handed on: the options judge it, so that every caller reads the same sentence."""
    return payload


class Amount(gr.Slider):
    """A slider."""

    is_template = True
    preprocess = _as_it_came


class Whole(gr.Number):
    """A number field."""

    is_template = True
    preprocess = _as_it_came


class Choice(gr.Radio):
    """Names to choose one of."""

    is_template = True
    preprocess = _as_it_came


class Menu(gr.Dropdown):
    """Names to choose one of, folded up."""

    is_template = True
    preprocess = _as_it_came


def slider(name: str, value: float | None = None) -> Amount:
    """A slider over an option's range, a gain's in twentieths; `value` stands in for a default of None."""
    option = OPTIONS[name]
    low, high = option.metadata["range"]
    shown: Any = value if option.default is None else option.default
    step = 0.05 if name in MOTION else 1
    label = option.metadata["label"]
    return Amount(low, high, shown, step=step, label=label, info=NOTES[name], min_width=240)


def radio(name: str) -> Choice:
    """The choices of an option."""
    option = OPTIONS[name]
    return Choice(CHOICES[name], value=option.default, label=option.metadata["label"], info=NOTES[name])


def number(name: str, **about: Any) -> Whole:
    """A field for an option's whole number."""
    low, high = OPTIONS[name].metadata["range"]
    return Whole(OPTIONS[name].default, precision=0, minimum=low, maximum=high, **about)
