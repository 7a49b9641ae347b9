"""Gradio's components as this page needs them: files handed on as they came, values judged by the options."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio import component_meta

from atldiff.media.stream import piece_seconds
from atldiff.options import MOTION, OPTIONS
from atldiff.web.texts import CHOICES, NOTES

component_meta.create_or_modify_pyi = lambda *_: None  # or gradio writes a stub beside this file


class Photo(gr.Image):
    """An image input that hands on the file as it came, so that one reader judges every photo."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:  # noqa: D102
        return None if payload is None else payload.path or super().preprocess(payload)


class TalkingVideo(gr.Video):
    """Plays MPEG-TS pieces as they come, or a whole file; needs no ffmpeg on the machine."""

    is_template = True

    def postprocess(self, value: Any) -> Any:  # noqa: D102
        return value if value is None or str(value).endswith(".ts") else self._format_video(value)

    async def stream_output(self, value: Any, output_id: str, first_chunk: bool) -> tuple:  # noqa: D102
        stream = {"path": output_id, "is_stream": True, "orig_name": "talking.mp4"}
        stream["meta"] = {"_type": "gradio.FileData"}
        if not isinstance(value, str):
            return None, value or stream
        data, seconds = Path(value).read_bytes(), piece_seconds(Path(value))
        return {"data": data, "duration": seconds, "extension": ".ts"}, stream


class _Unchecked:
    """What comes is handed on: the options judge it, so that every caller reads the same sentence."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Amount(_Unchecked, gr.Slider):
    """A slider."""


class Whole(_Unchecked, gr.Number):
    """A number field."""


class Choice(_Unchecked, gr.Radio):
    """Names to choose one of."""


class Menu(_Unchecked, gr.Dropdown):
    """Names to choose one of, folded up."""


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
