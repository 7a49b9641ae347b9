"""The person cut out of the photo, and the paper's green screen."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType

import numpy as np
from PIL import Image, ImageFilter

from atldiff.easing import smoothstep
from atldiff.portrait.stderr_filter import quiet_start

GREEN = (0, 255, 0)


def segment(image: np.ndarray) -> np.ndarray:
    """Cuts the person out of an image (H, W, 3) uint8.

    Returns:
        (H, W) float32 in [0, 1], 1 = person, soft at the edge.
    """
    (alpha,) = segment_frames([image])
    return alpha


def segment_frames(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Cuts the person out of each frame of a clip; see `segment`."""
    with ExitStack() as stack:
        with quiet_start():  # the graph starts in the background; its first answer ends the start
            network = stack.enter_context(mediapipe_solutions().selfie_segmentation.SelfieSegmentation(0))
            network.process(np.zeros((128, 128, 3), np.uint8))
        for frame in frames:
            yield _alpha(network.process(np.ascontiguousarray(frame)).segmentation_mask)


def _alpha(mask: np.ndarray) -> np.ndarray:
    """How surely each pixel is the person -> how much of it is shown."""
    # The network sees 256 x 256 pixels: its steps are smoothed. It is unsure at the outer edge, where the
    # old background shines through: that is left out.
    steps = Image.fromarray((np.asarray(mask) * 255 + 0.5).astype(np.uint8))
    smooth = np.asarray(steps.filter(ImageFilter.GaussianBlur(max(mask.shape) / 400)), np.float32) / 255
    return smoothstep(0.3, 0.9, smooth).astype(np.float32)


def green_screen(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The paper's background (Sec. 3.3.4): image (H, W, 3) uint8 over green by alpha (H, W) in [0, 1]."""
    mixed = image * alpha[..., None] + np.array(GREEN, np.float32) * (1 - alpha[..., None])
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def mediapipe_solutions() -> ModuleType:
    """MediaPipe's solutions, imported when first needed; its C++ side logs errors only."""
    for level in ("GLOG_minloglevel", "TF_CPP_MIN_LOG_LEVEL"):
        os.environ.setdefault(level, "2")
    with _without_matplotlib():
        import mediapipe
    return mediapipe.solutions


@contextmanager
def _without_matplotlib() -> Iterator[None]:
    """In this block matplotlib is an empty module: MediaPipe's drawing, which nothing here uses, would import
    it for a quarter of a second, and it leaves a list of the fonts in the home folder.
    """
    names = [name for name in ("matplotlib", "matplotlib.pyplot") if name not in sys.modules]
    sys.modules.update({name: ModuleType(name) for name in names})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
