"""What a person may choose about a video: one dataclass, from which the page, its API, the MCP tools, the
command line, batch tables and Python take names, defaults, ranges and help texts.
"""

from dataclasses import Field, dataclass, field, fields
from numbers import Real
from typing import Any

from atldiff.errors import InputError

AUTOMATIC = "automatic"  # emotion: as heard in the recording
OUTPUTS = ("photo", "square", "crop")
BACKGROUNDS = ("keep", "green", "matte")
DETECTORS = ("mediapipe", "face-alignment")
MAX_FACES = 8  # of a crowd, the largest
_ON, _OFF = (True, "yes", "true", "on", "1"), (False, "no", "false", "off", "0")
_SHOWN = 40  # characters of a wrong value that a message repeats


def _number(default: float | int | None, low: float, high: float, text: str, label: str) -> Any:
    """A field for a number from low to high; whole if its bounds are of type int."""
    return field(default=default, metadata={"range": (low, high), "help": text, "label": label})


def _name(default: str, choices: tuple[str, ...], text: str, label: str) -> Any:
    """A field for one of `choices`; without choices any text, which the weights judge."""
    return field(default=default, metadata={"choices": choices, "help": text, "label": label})


def _switch(text: str, label: str) -> Any:
    """A field for what is left off unless it is asked for."""
    return field(default=False, metadata={"switch": True, "help": text, "label": label})


@dataclass(frozen=True)
class Motion:
    """How predicted landmarks are edited; the gains of `Motion.none()` leave them exactly as predicted."""

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
    # The network moves a closed mouth: added to an open smile, no p or m would close it.
    closure: float = _number(
        1.0, 0.0, 1.0, "how far a photo's open mouth is closed to speak; 0 = not, 1 = shut", "Mouth closing"
    )  # fmt: skip

    @classmethod
    def none(cls) -> "Motion":
        """No edit at all."""
        return Motion(feeling=0.0, silence=0.0, blinks=0.0, sway=0.0, smoothing=0.0, closure=0.0)

    @property
    def edits_nothing(self) -> bool:
        """Whether the gains are those of `Motion.none()`; a subclass's own fields do not count."""
        none = Motion.none()
        return all(getattr(self, gain.name) == getattr(none, gain.name) for gain in fields(Motion))


@dataclass(frozen=True)
class Options(Motion):
    """All choices. A value may come as text ("1.5") or number; None and "" stand for the default.

    Raises:
        InputError: a value that is not within its range or among its choices.
    """

    face: int = _number(1, 1, MAX_FACES, "which face of the photo; 1 = the largest", "Face")
    emotion: str = _name(AUTOMATIC, (), "automatic = as heard in the recording, or its name", "Emotion")
    steps: int | None = _number(
        None, 1, 8, "diffusion steps; 1 is fastest, more may be crisper; left out = the weights' own", "Steps"
    )  # fmt: skip
    seed: int = _number(
        0, 0, 2**31 - 1, "of noise, teeth, blinks and head; the same seed gives the same video", "Seed"
    )
    output: str = _name(
        "photo", OUTPUTS, "photo = the whole photo, square = 512 x 512 of the head, crop = 128 x 128", "Size"
    )  # fmt: skip
    background: str = _name(
        "keep", BACKGROUNDS, "keep, green = a green screen, matte = transparent (.webm or .mov)", "Background"
    )  # fmt: skip
    zoom: float = _number(
        1.0, 1.0, 8.0, "how near the picture is to the head; 1 = the whole photo", "Zoom to the head"
    )  # fmt: skip
    badge: bool = _switch("the letters AI in a corner of the picture", "AI badge")
    detector: str = _name(
        "mediapipe", DETECTORS, "finds the landmarks; face-alignment = the paper's, slower", "Landmarks by"
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Checks every value and brings it to its type."""
        for option in fields(self):
            object.__setattr__(self, option.name, _checked(option, getattr(self, option.name)))


def help_text(name: str) -> str:
    """What an option means, with its range: for a command line's or an API's help."""
    about = OPTIONS[name].metadata
    within = f" ({_range(about['range'])})" if "range" in about else ""
    return about["help"] + (" (yes or no)" if "switch" in about else within)


def _checked(option: Field, value: object) -> object:
    """The value in the option's type.

    Raises:
        InputError: it is no number or name, or not one of the allowed.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return option.default
    if "choices" in option.metadata:
        choices = option.metadata["choices"]
        if isinstance(value, str) and (value in choices or not choices):
            return value
        remedy = f"Choose one of {', '.join(choices)}" if choices else "Give its name"
        raise InputError(f"{option.name} cannot be {_shown(value)}", remedy)
    if "switch" in option.metadata:
        word = value.strip().lower() if isinstance(value, str) else value
        if word not in _ON + _OFF:
            raise InputError(f"{option.name} cannot be {_shown(value)}", "Choose yes or no")
        return word in _ON
    low, high = option.metadata["range"]
    number = _as_number(value)
    whole = isinstance(low, int)
    if number is None or not low <= number <= high or (whole and number != int(number)):
        kind = "a whole number from" if whole else "a number from"
        raise InputError(f"{option.name} cannot be {_shown(value)}", f"Choose {kind} {_range((low, high))}")
    return int(number) if whole else float(number)


def _as_number(value: Any) -> Any:
    """A number as it is, or as text; None for anything else, and for what is no finite number."""
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


def _shown(value: object) -> str:
    """A wrong value as a message repeats it."""
    try:
        text = str(value)
    except ValueError:  # Python does not write out numbers of thousands of digits
        return "a number of so many digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _range(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{low:g} to {high:g}" if isinstance(low, float) else f"{low} to {high}"


DEFAULTS = Options()
OPTIONS = {option.name: option for option in fields(Options)}
MOTION = tuple(option.name for option in fields(Motion))
