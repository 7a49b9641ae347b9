"""The options: each has one default and range in Python, command line, batch tables, page and API."""

import inspect
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pytest

from atldiff.cli.parser import _options, make_parser
from atldiff.errors import InputError
from atldiff.options import DEFAULTS, MOTION, OPTIONS, Motion, Options, help_text
from atldiff.web import api, texts


@pytest.mark.parametrize("name", [name for name in OPTIONS if "range" in OPTIONS[name].metadata])
def test_a_number_is_taken_up_to_its_bounds_and_not_beyond(name):
    low, high = OPTIONS[name].metadata["range"]
    for value in (low, high):
        assert getattr(Options(**{name: value}), name) == value
        assert Options(**{name: str(value)}) == Options(**{name: value})
    for wrong in (low - 1, high + 1, float("nan"), float("inf"), 10**30, 10**5000, "abc", "1e999", [1], True):
        with pytest.raises(InputError, match=f"{name} cannot be .*: Choose a .*number from {low:g} to"):
            Options(**{name: wrong})


@pytest.mark.parametrize("wrong", ["huge", 3, ["photo"], {}])
@pytest.mark.parametrize("name", ["output", "background", "detector"])
def test_a_choice_is_one_of_those_offered(name, wrong):
    with pytest.raises(InputError, match="Choose one of"):
        Options(**{name: wrong})


@pytest.mark.parametrize("wrong", ["maybe", 2, [1], {}, float("nan")])
def test_a_switch_is_on_or_off(wrong):
    for on, off in ((True, False), ("yes", "No"), (" true", "FALSE"), (1, 0), ("on", "off")):
        assert Options(badge=on).badge is True and Options(badge=off).badge is False
    with pytest.raises(InputError, match="Choose yes or no"):
        Options(badge=wrong)


def test_values_come_in_many_types_and_end_in_one():
    options = Options(steps=2.0, seed=np.int64(7), lips=np.float32(0.5), sway=1, blinks=Fraction(1, 2))
    assert [type(v) for v in (options.steps, options.seed, options.lips, options.sway)] == [
        int,
        int,
        float,
        float,
    ]
    assert options == Options(steps="2", seed="7", lips="0.5", sway="1", blinks="0.5")
    with pytest.raises(InputError, match="whole number"):
        Options(steps=1.5)


def test_none_and_nothing_stand_for_the_default():
    assert Options(**dict.fromkeys(OPTIONS)) == Options(**dict.fromkeys(OPTIONS, "")) == DEFAULTS


def test_no_edit_is_a_motion_within_the_ranges():
    assert set(MOTION) < set(OPTIONS)
    none = {name: getattr(Motion.none(), name) for name in MOTION}
    assert Options(**none, seed=3).edits_nothing and Motion.none().edits_nothing
    assert not any(Options(**none | {name: 0.5}).edits_nothing for name in MOTION)


def test_command_line_and_api_offer_every_option_with_its_default():
    args = make_parser().parse_args(["generate", "a.jpg", "b.wav"])
    assert _options(args) == DEFAULTS
    given = {name: getattr(EVERYTHING, name) for name in OPTIONS}
    flags = [
        word
        for name, v in given.items()
        for word in (f"--{name.replace('_', '-')}", *([] if v is True else [str(v)]))
    ]
    assert _options(make_parser().parse_args(["generate", "a.jpg", "b.wav", *flags])) == EVERYTHING
    run = api.publish(lambda *values: None, api.ANIMATE, api.ANIMATE_TEXT)
    published = inspect.signature(run).parameters
    files = ("landmarks", "driving_video", "backdrop", "answer", "second", "poses")
    assert list(published) == ["portrait", "speech", *OPTIONS, *files]
    assert all(published[name].default == option.default for name, option in OPTIONS.items())
    assert all(api.describe_argument(name) in run.__doc__ for name in api.ANIMATE)
    assert all(help_text(name)[1:] in api.describe_argument(name) for name in OPTIONS)


EVERYTHING = Options(
    expression=0.5, feeling=1.2, lips=1.5, silence=0.5, blinks=0, sway=2, smoothing=0, closure=0,
    liveliness=0.5, face=2, emotion="happy",
    steps=3, seed=9, output="crop", background="green", zoom=2, badge=True,
    badge_text="AI-generated", badge_corner="upper left", badge_size=1.5, captions="Good morning.",
    detector="face-alignment",
)  # fmt: skip


def test_the_pages_presets_and_words_fit_the_options():
    for changes, words in texts.PRESETS.values():
        assert Options(**changes) and words.endswith(".")
    for name, pairs in texts.CHOICES.items():
        offered = set(OPTIONS[name].metadata["choices"]) - (
            set() if find_spec("mediapipe") else {"mediapipe-tasks"}
        )
        colours = {value for _, value in pairs if "colour" in OPTIONS[name].metadata and value[0] == "#"}
        assert {value for _, value in pairs} - colours == offered
        assert all(Options(**{name: value}) for _, value in pairs)
    assert set(texts.GAINS) < set(MOTION) and set(OPTIONS) - {"face", "emotion"} <= set(texts.NOTES)
