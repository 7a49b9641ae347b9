"""Two people who speak in turn in one video: both in one photo, or each in a photo of their own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from atldiff.animation import Animation, AudioSource, ImageSource, animate, read_portrait
from atldiff.config import SAMPLE_RATE
from atldiff.errors import InputError
from atldiff.media.decoding import too_long_error
from atldiff.media.sound import resample
from atldiff.media.speech import MAX_SECONDS, Speech, load_speech
from atldiff.options import DEFAULTS, Options
from atldiff.portrait.portrait import Portrait, load_portrait
from atldiff.provenance.origin import Rendering
from atldiff.rendering.output.result import add_text
from atldiff.sequence import LandmarkSequence

if TYPE_CHECKING:
    from atldiff.pipeline import ATLDiffPipeline

PAUSE = 0.4  # seconds between two turns
SEEDS = 2**31


@dataclass(frozen=True, eq=False)
class Dialogue(Animation):
    """The first person's animation with both voices, and what the second adds.

    Attributes:
        people: two animations of one length; each is silent while the other speaks.
        together: whether both are in one photo; else the frames stand side by side.
    """

    people: tuple[Animation, Animation]
    together: bool


def read_dialogue(
    photos: Sequence[ImageSource],
    recordings: Sequence[AudioSource],
    options: Options,
    predict: Callable[[Portrait, Speech, Options], LandmarkSequence],
    max_seconds: float = MAX_SECONDS,
) -> Dialogue:
    """Reads all inputs and predicts the motion of both faces.

    Args:
        photos: one photo with two faces, or two photos. In one photo the option `face` begins, and the
            largest other face answers.
        recordings: at least two; the people speak them in turn.
        options: the choices for the video. The second person has the next seed, and so other blinks.
        predict: `ATLDiffPipeline.landmarks`, wherever it runs.
        max_seconds: the longest dialogue accepted.

    Raises:
        InputError: an input cannot be used, or the choices do not fit a photo of two.
    """
    if len(recordings) < 2:
        raise InputError("A dialogue needs two recordings", "Give one for each turn")
    together = len(photos) == 1
    portraits = _read_pair(photos[0], options) if together else _read_both(photos, options)
    *voices, both = mix_turns([load_speech(recording, max_seconds) for recording in recordings], max_seconds)
    choices = options, replace(options, seed=(options.seed + 1) % SEEDS)
    first, second = (
        animate(portrait, voice, choice, predict)
        for portrait, voice, choice in zip(portraits, voices, choices, strict=True)
    )
    return Dialogue(first.portrait, both, first.landmarks, options, (first, second), together)


def mix_turns(turns: Sequence[Speech], max_seconds: float = MAX_SECONDS) -> tuple[Speech, Speech, Speech]:
    """Lays turns one after the other, with `PAUSE` between them; each keeps its loudness.

    Returns:
        The first person's speech, the second's, and both, all of one length.

    Raises:
        InputError: they are longer than `max_seconds` together.
    """
    rate = max(turn.sound_rate for turn in turns)
    channels = max(turn.sound.shape[1] for turn in turns)
    starts = np.cumsum([0.0] + [turn.seconds + PAUSE for turn in turns])
    seconds = starts[-1] - PAUSE
    if seconds > max_seconds + 0.1:
        raise too_long_error(max_seconds)
    samples = np.zeros((2, round(seconds * SAMPLE_RATE)), np.float32)
    sound = np.zeros((2, round(seconds * rate), channels), np.float32)
    for number, (turn, start) in enumerate(zip(turns, starts, strict=False)):
        _lay(samples[number % 2], turn.samples, round(start * SAMPLE_RATE))
        _lay(sound[number % 2], resample(turn.sound, turn.sound_rate, rate), round(start * rate))
    name = "+".join(turn.fingerprint for turn in turns)
    parts = *zip(samples, sound, strict=True), (samples.sum(axis=0), sound.sum(axis=0))
    first, second, both = (Speech(*part, rate, name) for part in parts)
    return first, second, both


def render_dialogue(pipeline: "ATLDiffPipeline", dialogue: Dialogue) -> Rendering:
    """Renders the frames one by one, in constant memory.

    Returns:
        The frames, (H, W, 3) uint8. Of two photos they stand side by side, as high as the lower one.

    Raises:
        InputError: the captions cannot be drawn.
    """
    first, second = dialogue.people
    frames = (pipeline.render_plain(who.portrait, who.landmarks, who.options) for who in dialogue.people)
    merge = partial(merge_changes, first.portrait.image) if dialogue.together else lay_beside
    merged: Iterator[np.ndarray] = map(merge, *frames)
    origin = pipeline.origin(first.portrait, first.options)
    if not dialogue.together:
        origin = replace(origin, photo=f"{origin.photo}+{second.portrait.fingerprint}")
    return Rendering(add_text(merged, dialogue.options, dialogue.speech, len(first.landmarks.points)), origin)


def merge_changes(photo: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Adds what two frames of one photo change in it; all (H, W, C) uint8."""
    changes = first.astype(np.int16) + second - photo
    return changes.clip(0, 255).astype(np.uint8)


def lay_beside(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Lays two frames (H, W, C) uint8 side by side; the higher one is reduced to the other's height."""
    import cv2

    height = min(len(first), len(second))
    parts = [
        frame
        if len(frame) == height
        else cv2.resize(
            frame, (round(frame.shape[1] * height / len(frame)), height), interpolation=cv2.INTER_AREA
        )
        for frame in (first, second)
    ]
    return np.concatenate(parts, axis=1)


def _read_pair(photo: ImageSource, options: Options) -> tuple[Portrait, Portrait]:
    """Reads both people of one photo: the option `face`, and the largest other face.

    Raises:
        InputError: there are not two, or the choices show one alone.
    """
    defaults = DEFAULTS.output, DEFAULTS.background, DEFAULTS.zoom
    if (options.output, options.background, options.zoom) != defaults:
        remedy = "Leave size, background and zoom as they are, or give two photos"
        raise InputError("Two people in one photo are shown in the whole photo", remedy)
    first = load_portrait(photo, options.face, options.detector)
    if len(first.faces) < 2:
        raise InputError("The photo shows one face", "Give a photo of two people, or a second photo")
    return first, load_portrait(photo, 2 if first.face == 1 else 1, options.detector)


def _read_both(photos: Sequence[ImageSource], options: Options) -> tuple[Portrait, Portrait]:
    """Reads the photos of two people; the option `face` is of the first.

    Raises:
        InputError: there are more than two, or one cannot be used.
    """
    if len(photos) != 2:
        raise InputError(f"A dialogue has two people, and there are {len(photos)} photos", "Give one or two")
    return read_portrait(photos[0], options), read_portrait(photos[1], replace(options, face=1))


def _lay(track: np.ndarray, part: np.ndarray, start: int) -> None:
    """Writes a part into a track from a sample on, as far as it reaches."""
    room = track[start : start + len(part)]
    room[:] = part[: len(room)]
