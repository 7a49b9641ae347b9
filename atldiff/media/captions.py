"""Captions: a text in lines, timed by the voice, and drawn into the frames.

- A line ends at a sentence's end, or where the next word does not fit.
- Letters share the time in which the recording speaks, so a line waits through a pause.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.media.speech import SAMPLE_RATE, Speech
from atldiff.media.voice_activity import speech_activity

MAX_LETTERS = 2000
LINE = 34  # letters of a line
LETTER_HEIGHT, MARGIN = 1 / 18, 1 / 9  # of the frame's shorter side: a letter; below the text
SMALLEST = 12  # pixels; least height of a letter
_ENDS = ".!?…:;"
_QUIET = 0.02  # weight of a silent frame, so that a mute recording has captions, too
_PAPER, _OPACITY = (20, 20, 20), 0.72


@dataclass(frozen=True)
class Caption:
    """One line.

    Attributes:
        text: the line.
        begin: first frame.
        end: frame after the last one.
    """

    text: str
    begin: int
    end: int


def time_captions(text: str, speech: Speech | None, num_frames: int) -> list[Caption]:
    """Splits a text into lines, and gives each the frames in which it is spoken.

    Args:
        text: what is said, at most 2,000 letters.
        speech: the recording; None spreads the letters evenly.
        num_frames: of the video.

    Raises:
        InputError: the text is too long, or has a letter that cannot be drawn.
    """
    _check(text)
    weight = np.ones(num_frames)
    if speech is not None:
        times = (np.arange(num_frames) + 0.5) / FRAME_RATE
        weight = speech_activity(speech.samples, SAMPLE_RATE, times) + _QUIET
    lines = split_lines(text)
    shares = np.cumsum([0, *map(len, lines)]) / max(1, sum(map(len, lines)))
    clock = np.concatenate([[0], np.cumsum(weight)]) / weight.sum()
    bounds = np.round(np.interp(shares, clock, np.arange(num_frames + 1))).astype(int)
    return [Caption(*each) for each in zip(lines, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]


def split_lines(text: str) -> list[str]:
    """Splits a text into lines of at most LINE letters, but for longer words."""
    lines = [""]
    for word in text.split():
        if lines[-1] and (len(lines[-1]) + 1 + len(word) > LINE or lines[-1][-1] in _ENDS):
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [line for line in lines if line]


def add_captions(frames: Iterable[np.ndarray], captions: list[Caption]) -> Iterator[np.ndarray]:
    """Draws captions below the middle of each frame (H, W, 3 or 4) uint8, in place."""
    lines = iter(captions)
    line = next(lines, None)
    for index, frame in enumerate(frames):
        while line is not None and index >= line.end:
            line = next(lines, None)
        if line is not None:
            _lay(frame, _draw(line.text, frame.shape[:2]))
        yield frame


def _check(text: str) -> None:
    if len(text) > MAX_LETTERS:
        raise InputError(f"The captions have {len(text)} letters", f"Write at most {MAX_LETTERS}")
    unknown = _font(24).getmask("\uffff")
    for letter in sorted(set(text) - set(" \n\t\r")):
        mask = _font(24).getmask(letter)
        if mask.size == unknown.size and bytes(mask) == bytes(unknown):
            raise InputError(f"The captions' letter {letter!r} cannot be drawn", "Write in Latin letters")


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=2)
def _draw(text: str, shape: tuple[int, int]) -> np.ndarray:
    """Draws a line on its ground for frames of (height, width): (h, w, 4) uint8, colour and opacity."""
    size = max(SMALLEST, round(min(shape) * LETTER_HEIGHT))
    widest = 0.94 * shape[1]
    while size > 6 and _font(size).getlength(text) + size > widest:
        size -= 1
    font, height = _font(size), round(1.6 * size)
    width = min(shape[1], round(font.getlength(text) + size))
    letters = Image.new("L", (width, height))
    ImageDraw.Draw(letters).text((width / 2, height / 2), text, fill=255, font=font, anchor="mm")
    ink = np.asarray(letters, np.float32)[..., None] / 255
    colour = np.array(_PAPER) * (1 - ink) + 255 * ink
    return np.dstack([colour, 255 * np.maximum(ink, _OPACITY)]).round().astype(np.uint8)


def _lay(frame: np.ndarray, line: np.ndarray) -> None:
    """Lays a drawn line over a frame, in its lower middle."""
    height, width = line.shape[:2]
    top = max(0, frame.shape[0] - round(min(frame.shape[:2]) * MARGIN) - height)
    left = (frame.shape[1] - width) // 2
    part = frame[top : top + height, left : left + width]
    line = line[: part.shape[0]]
    opacity = line[..., 3:] / np.float32(255)
    part[..., :3] = (part[..., :3] * (1 - opacity) + line[..., :3] * opacity).round()
    if frame.shape[2] == 4:
        part[..., 3:] = np.maximum(part[..., 3:], line[..., 3:])
