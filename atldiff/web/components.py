"""Gradio's components for the options, and the settings of events."""

from collections.abc import Iterable
from typing import Any

import gradio as gr

from atldiff.options import MOTION, OPTIONS
from atldiff.provenance.label import label_is_forced
from atldiff.web.texts import CHOICES, FORCED, NOTES

# Private, without gradio's progress. With no place for progress gradio has nothing to tell the outputs.
# Else it copies the values of all outputs at each step of any event, half of what a photo costs the browser.
HIDDEN: Any = {"api_visibility": "private", "show_progress": "hidden", "show_progress_on": []}
ANY: Any = {"concurrency_limit": None}  # the service's own queue limits the videos
LIGHT: Any = {"concurrency_id": "looks", "concurrency_limit": 2}  # two short events in parallel
VOICED: Any = {"concurrency_id": "voices", "concurrency_limit": 2}  # one of them may fetch a voice
LAST: Any = {"trigger_mode": "always_last", **HIDDEN}  # a run in between waits, and only the last one counts


def on_any(events: Iterable[Any]) -> Any:
    """Joins events into one; its `.then` adds a listener.

    gradio runs all listeners of an event again after one of them had to wait. Two that wait on one event
    call each other without end on a busy machine. Those that follow a joined event do not.
    """
    return gr.on([*events], None, js="() => {}", **HIDDEN)


def slider(name: str, value: float | None = None, **settings: Any) -> gr.Slider:
    """A slider over an option's range; a gain's step is 0.05, and `value` replaces a default of None."""
    option = OPTIONS[name]
    low, high = option.metadata["range"]
    default: Any = value if option.default is None else option.default
    step = 1 if isinstance(low, int) else 0.05 if name in MOTION else 0.25
    label = option.metadata["label"]
    return gr.Slider(low, high, default, step=step, label=label, info=NOTES[name], min_width=240, **settings)


def radio(name: str) -> gr.Radio:
    """A radio button for each choice of an option."""
    option = OPTIONS[name]
    return gr.Radio(CHOICES[name], value=option.default, label=option.metadata["label"], info=NOTES[name])


def dropdown(name: str) -> gr.Dropdown:
    """A list of an option's choices, which takes other text, too."""
    option = OPTIONS[name]
    texts: Any = {"label": option.metadata["label"], "info": NOTES[name]}
    return gr.Dropdown(CHOICES[name], value=option.default, allow_custom_value=True, **texts)


def number(name: str, **settings: Any) -> gr.Number:
    """A field for an option's whole number."""
    low, high = OPTIONS[name].metadata["range"]
    return gr.Number(OPTIONS[name].default, precision=0, minimum=low, maximum=high, **settings)


def checkbox(name: str) -> gr.Checkbox:
    """A checkbox for an option that is a switch."""
    option = OPTIONS[name]
    forced = name == "badge" and label_is_forced()
    value, note = (True, FORCED) if forced else (option.default, NOTES[name])
    label = option.metadata["label"]
    return gr.Checkbox(value, label=label, info=note, interactive=not forced, min_width=240)
