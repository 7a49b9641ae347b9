"""The visible mark of an AI-generated video: the letters AI in a corner of every frame."""

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HEIGHT = 1 / 16  # of the frame's shorter side
SMALLEST = 14  # least height in pixels at which the letters are legible
_PAPER, _INK, _OPACITY = (20, 20, 20), (255, 255, 255), 0.7
_FINE = 4  # oversampling of the drawing, for smooth edges


def add_badges(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Draws the badge into the lower right corner of each frame (H, W, 3 or 4) uint8, in place."""
    badge = None
    for frame in frames:
        badge = draw_badge(min(frame.shape[:2])) if badge is None else badge
        colour, opacity = badge[..., :3].astype(np.float32), badge[..., 3:] / np.float32(255)
        height, width = badge.shape[:2]
        gap = height // 3
        part = frame[-height - gap : -gap, -width - gap : -gap]
        part[..., :3] = (part[..., :3] * (1 - opacity) + colour * opacity).round()
        if frame.shape[2] == 4:
            part[..., 3:] = np.maximum(part[..., 3:], badge[..., 3:])
        yield frame


def draw_badge(side: int) -> np.ndarray:
    """Draws the badge for frames with that shorter side in pixels: (h, w, 4) uint8, colour and opacity."""
    height = max(SMALLEST, round(side * HEIGHT))
    width = round(1.6 * height)
    size = width * _FINE, height * _FINE
    shape, letters = Image.new("L", size), Image.new("L", size)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), size[1] // 4, fill=255)
    font = ImageFont.load_default(0.95 * size[1])
    ImageDraw.Draw(letters).text((size[0] / 2, size[1] / 2), "AI", fill=255, font=font, anchor="mm")
    opaque = Image.fromarray(np.maximum(np.asarray(shape) * _OPACITY, np.asarray(letters)).astype(np.uint8))
    picture = Image.composite(Image.new("RGB", size, _INK), Image.new("RGB", size, _PAPER), letters)
    picture.putalpha(opaque)
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))
