"""The options of a video: names, defaults, ranges and help texts, in one dataclass.

The page, its API, the MCP tools, the command line, batch tables and Python all read it.
"""

import re
from dataclasses import Field, dataclass, field, fields
from numbers import Real
from typing import Any

from atldiff.errors import InputError
from atldiff.provenance.label import CORNERS, TEXTS

AUTOMATIC = "automatic"  # the emotion that is recognised in the recording
ASPECTS = {"1:1": 1.0, "4:5": 4 / 5, "9:16": 9 / 16, "16:9": 16 / 9}  # width / height
OUTPUTS = ("photo", "square", "crop", *ASPECTS)
BACKGROUNDS = ("keep", "green", "matte")
DETECTORS = ("mediapipe", "mediapipe-tasks", "face-alignment")
MAX_FACES = 8  # the largest faces of a crowd
_ON, _OFF = (True, "yes", "true", "on", "1"), (False, "no", "false", "off", "0")
_COLOUR = re.compile("#[0-9a-fA-F]{6}")
_MAX_QUOTE = 40  # characters of a wrong value in a message


def _number(default: float | int | None, low: float, high: float, text: str, label: str) -> Any:
    """A field for a number from low to high; a whole number if the bounds are of type int."""
    return field(default=default, metadata={"range": (low, high), "help": text, "label": label})


def _name(default: str, choices: tuple[str, ...], text: str, label: str) -> Any:
    """A field for one of `choices`; any text if there are none, which the weights check."""
    return field(default=default, metadata={"choices": choices, "help": text, "label": label})


def _background(default: str, choices: tuple[str, ...], text: str, label: str) -> Any:
    """A field for one of `choices`, or a colour "#rrggbb"."""
    return field(default=default, metadata={"choices": choices, "colour": True, "help": text, "label": label})


def _switch(text: str, label: str) -> Any:
    """A field for a switch that is off by default."""
    return field(default=False, metadata={"switch": True, "help": text, "label": label})


@dataclass(frozen=True)
class Motion:
    """Edits of the predicted landmarks; the gains of `Motion.none()` change nothing."""

    expression: float = _number(
        1.0, 0.0, 2.0, "movement of brows, cheeks and eyes; 0 = still, 1 = natural", "Expression"
    )
    feeling: float = _number(
        0.6,
        0.0,
        1.5,
        "how far the face shows the emotion; 0 = not, 1 = as actors do",
        "Strength of the emotion",
    )
    lips: float = _number(
        1.0, 0.0, 2.0, "movement of lips and chin; 0 = still, 1 = as predicted", "Lip strength"
    )
    silence: float = _number(
        1.0, 0.0, 1.0, "how far the lips close where nobody speaks; 0 = not, 1 = shut", "Lips rest"
    )
    blinks: float = _number(
        1.0, 0.0, 2.0, "how often the eyes blink; 0 = never, 1 = 17 times a minute", "Blinking"
    )
    sway: float = _number(
        1.0, 0.0, 2.0, "movement of the head with the voice; 0 = still, 1 = natural", "Head motion"
    )
    smoothing: float = _number(
        1.0, 0.0, 2.0, "smoothing of the motion in time; 0 = none, 1 = as usual", "Smoothing"
    )
    # The network predicts displacements from a closed mouth: on an open smile no p or m would close.
    closure: float = _number(
        1.0, 0.0, 1.0, "how far a photo's open mouth is closed to speak; 0 = not, 1 = shut", "Mouth closing"
    )  # fmt: skip
    liveliness: float = _number(
        1.0, 0.0, 2.0, "brows and glances with the voice; 0 = none, 1 = as people do", "Liveliness"
    )

    @classmethod
    def none(cls) -> "Motion":
        """No edit at all."""
        gains = ("feeling", "silence", "blinks", "sway", "smoothing", "closure", "liveliness")
        return Motion(**dict.fromkeys(gains, 0.0))

    @property
    def edits_nothing(self) -> bool:
        """Whether the gains are those of `Motion.none()`; a subclass's own fields do not count."""
        none = Motion.none()
        return all(getattr(self, gain.name) == getattr(none, gain.name) for gain in fields(Motion))


@dataclass(frozen=True)
class Options(Motion):
    """All options of a video. A value may be text ("1.5") or a number; None and "" mean the default.

    Raises:
        InputError: a value is out of its range or not among its choices.
    """

    face: int = _number(1, 1, MAX_FACES, "which face of the photo; 1 = the largest", "Face")
    emotion: str = _name(AUTOMATIC, (), "its name, or automatic = as heard in the recording", "Emotion")
    steps: int | None = _number(
        None, 1, 8, "diffusion steps; 1 is fastest, more may be crisper; left out = the weights' own", "Steps"
    )  # fmt: skip
    seed: int = _number(
        0, 0, 2**31 - 1, "start of noise, teeth, blinks and head; the same seed gives the same video", "Seed"
    )
    output: str = _name(
        "photo",
        OUTPUTS,
        "photo = the whole photo, square = 512 x 512 of the head, crop = 128 x 128, "
        "1:1, 4:5, 9:16 and 16:9 = the largest part of that shape about the head",
        "Size",
    )
    background: str = _background(
        "keep",
        BACKGROUNDS,
        "keep = the photo's, green = a green screen, matte = transparent (.webm or .mov), "
        "or a colour such as #1e90ff",
        "Background",
    )
    zoom: float = _number(
        1.0, 1.0, 8.0, "how near the picture is to the head; 1 = the whole photo", "Zoom to the head"
    )  # fmt: skip
    badge: bool = _switch("a badge in a corner of the picture says that AI made it", "AI badge")
    badge_text: str = _name(TEXTS[0], TEXTS, "the badge's words", "Badge's words")
    badge_corner: str = _name(CORNERS[0], CORNERS, "where the badge stands", "Badge's corner")
    badge_size: float = _number(
        1.0, 0.5, 3.0, "height of the badge; 1 = a sixteenth of the picture's shorter side", "Badge's size"
    )
    captions: str = _name("", (), "text to burn in below the face, in time with the voice", "Captions")
    detector: str = _name(
        "mediapipe",
        DETECTORS,
        "what finds landmarks; mediapipe-tasks = MediaPipe's runtime, face-alignment = the paper's, slower",
        "Landmarks by",
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Checks every value and brings it to its type."""
        for option in fields(self):
            object.__setattr__(self, option.name, _parse(option, getattr(self, option.name)))


def help_text(name: str) -> str:
    """An option's meaning and range, for the help of the command line and the API."""
    metadata = OPTIONS[name].metadata
    bounds = f" ({_range_text(metadata['range'])})" if "range" in metadata else ""
    return metadata["help"] + (" (yes or no)" if "switch" in metadata else bounds)


def _parse(option: Field, value: object) -> object:
    """Converts a value to its option's type.

    Raises:
        InputError: the value has another type, or is not allowed.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return option.default
    if "choices" in option.metadata:
        choices = option.metadata["choices"]
        if isinstance(value, str) and (value in choices or not choices):
            return value
        remedy = f"Choose one of {', '.join(choices)}" if choices else "Give its name"
        if "colour" in option.metadata:
            if isinstance(value, str) and _COLOUR.fullmatch(value):
                return value.lower()
            remedy += ", or a colour such as #1e90ff"
        raise InputError(f"{option.name} cannot be {_quote(value)}", remedy)
    if "switch" in option.metadata:
        word = value.strip().lower() if isinstance(value, str) else value
        if word not in _ON + _OFF:
            raise InputError(f"{option.name} cannot be {_quote(value)}", "Choose yes or no")
        return word in _ON
    low, high = option.metadata["range"]
    number = _parse_number(value)
    is_whole = isinstance(low, int)
    if number is None or not low <= number <= high or (is_whole and number != int(number)):
        kind = "a whole number from" if is_whole else "a number from"
        remedy = f"Choose {kind} {_range_text((low, high))}"
        raise InputError(f"{option.name} cannot be {_quote(value)}", remedy)
    return int(number) if is_whole else float(number)


def _parse_number(value: Any) -> Any:
    """Reads a number or its text; None for anything else, and for NaN."""
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, Real) or value != value:
        return None
    return value


def _quote(value: object) -> str:
    """Shortens a wrong value for a message."""
    try:
        text = str(value)
    except ValueError:  # Python refuses to print numbers of thousands of digits
        return "a number of so many digits"
    return text if len(text) <= _MAX_QUOTE else f"{text[:_MAX_QUOTE]}..."


def _range_text(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{low:g} to {high:g}" if isinstance(low, float) else f"{low} to {high}"


DEFAULTS = Options()
OPTIONS = {option.name: option for option in fields(Options)}
MOTION = tuple(option.name for option in fields(Motion))
