"""The visible label of a video: "AI" or "AI-generated" in a corner of every frame."""

import os
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TEXTS = ("AI", "AI-generated")
CORNERS = ("lower right", "lower left", "upper right", "upper left")
HEIGHT = 1 / 16  # of the frame's shorter side, for the size 1
SMALLEST = 14  # least height in pixels at which the letters are legible
_PAPER, _INK, _OPACITY = (20, 20, 20), (255, 255, 255), 0.8
_FINE = 4  # oversampling of the drawing, for smooth edges


def label_is_forced() -> bool:
    """Whether the operator labels every video: ATLDIFF_LABEL=always."""
    return os.environ.get("ATLDIFF_LABEL", "").strip().lower() == "always"


def add_badges(
    frames: Iterable[np.ndarray], text: str = TEXTS[0], corner: str = CORNERS[0], size: float = 1.0
) -> Iterator[np.ndarray]:
    """Draws the badge into a corner of each frame (H, W, 3 or 4) uint8, in place.

    Args:
        frames: of one size.
        text: one of TEXTS.
        corner: one of CORNERS.
        size: 1 = a sixteenth of the shorter side; a badge as wide as the frame grows no more.
    """
    badge = None
    for frame in frames:
        badge = draw_badge(frame.shape[:2], text, size) if badge is None else badge
        colour, opacity = badge[..., :3].astype(np.float32), badge[..., 3:] / np.float32(255)
        part = _find_place(frame, badge.shape[:2], corner)
        part[..., :3] = (part[..., :3] * (1 - opacity) + colour * opacity).round()
        if frame.shape[2] == 4:
            part[..., 3:] = np.maximum(part[..., 3:], badge[..., 3:])
        yield frame


def draw_badge(shape: tuple[int, ...], text: str = TEXTS[0], size: float = 1.0) -> np.ndarray:
    """Draws the badge for frames of (height, width) pixels: (h, w, 4) uint8, colour and opacity."""
    height = max(SMALLEST, round(min(shape) * HEIGHT * size))
    font = ImageFont.load_default(0.95 * height * _FINE)
    letters_width = font.getlength(text) / _FINE
    widest = shape[1] - 2 * (height // 3)
    if letters_width + 0.6 * height > widest:
        height = max(1, round(height * widest / (letters_width + 0.6 * height)))
        font = ImageFont.load_default(0.95 * height * _FINE)
        letters_width = font.getlength(text) / _FINE
    width = max(round(1.6 * height), round(letters_width + 0.6 * height))
    fine = width * _FINE, height * _FINE
    ground, letters = Image.new("L", fine), Image.new("L", fine)
    ImageDraw.Draw(ground).rounded_rectangle((0, 0, fine[0] - 1, fine[1] - 1), fine[1] // 4, fill=255)
    ImageDraw.Draw(letters).text((fine[0] / 2, fine[1] / 2), text, fill=255, font=font, anchor="mm")
    opaque = Image.fromarray(np.maximum(np.asarray(ground) * _OPACITY, np.asarray(letters)).astype(np.uint8))
    picture = Image.composite(Image.new("RGB", fine, _INK), Image.new("RGB", fine, _PAPER), letters)
    picture.putalpha(opaque)
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))


def _find_place(frame: np.ndarray, size: tuple[int, ...], corner: str) -> np.ndarray:
    """The view of a frame where a badge of (height, width) stands, a third of its height inside."""
    height, width = size
    gap = height // 3
    rows = slice(gap, gap + height) if "upper" in corner else slice(-height - gap, frame.shape[0] - gap)
    columns = slice(gap, gap + width) if "left" in corner else slice(-width - gap, frame.shape[1] - gap)
    return frame[rows, columns]
