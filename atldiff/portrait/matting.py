"""The person's matte in a photo, and the paper's green screen (Sec. 3.3.4)."""

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image, ImageFilter

from atldiff.portrait.face_networks import person_mask
from atldiff.smoothstep import smoothstep

GREEN = (0, 255, 0)


def segment(image: np.ndarray) -> np.ndarray:
    """Cuts the person out of an image (H, W, 3) uint8.

    Returns:
        (H, W) float32 in [0, 1], 1 = person, soft at the edge.
    """
    return _alpha(person_mask(image))


def segment_frames(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Cuts the person out of each frame of a clip; see `segment`."""
    for frame in frames:
        yield _alpha(person_mask(frame))


def _alpha(mask: np.ndarray) -> np.ndarray:
    """Turns the network's probability (H, W) into a matte (H, W).

    A blur hides the steps of the network's 256 x 256 pixels. The matte drops the uncertain outer edge, where
    the old background shines through.
    """
    steps = Image.fromarray((np.asarray(mask) * 255 + 0.5).astype(np.uint8))
    smooth = np.asarray(steps.filter(ImageFilter.GaussianBlur(max(mask.shape) / 400)), np.float32) / 255
    return smoothstep(0.3, 0.9, smooth).astype(np.float32)


def green_screen(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lays an image (H, W, 3) uint8 over green by alpha (H, W) in [0, 1] (Sec. 3.3.4)."""
    return lay_over(image, alpha, np.array(GREEN))


def lay_over_colour(frames: Iterable[np.ndarray], colour: np.ndarray) -> Iterator[np.ndarray]:
    """Lays frames (H, W, 4) uint8, whose fourth channel is the matte, over a colour (3,): (H, W, 3) uint8."""
    for frame in frames:
        yield lay_over(frame[..., :3], frame[..., 3] / np.float32(255), colour)


def lay_over(image: np.ndarray, alpha: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    """Lays an image (H, W, 3) uint8 over a colour (3,) or a picture (H, W, 3), by alpha (H, W) in [0, 1]."""
    mixed = image * alpha[..., None] + backdrop.astype(np.float32) * (1 - alpha[..., None])
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
