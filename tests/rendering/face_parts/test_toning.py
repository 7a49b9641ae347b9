"""Grey and sepia photos keep their tone; coloured photos do not change."""

from dataclasses import replace

import numpy as np
import pytest

from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.face_parts.light import LUMA
from atldiff.rendering.face_parts.toning import apply_tone, find_tone
from atldiff.rendering.output.composite import composite
from atldiff.rendering.warp.canvas import make_canvas
from atldiff.rendering.warp.prior import WarpedPhoto

SEPIA = np.array([1.0, 0.86, 0.68])


@pytest.fixture(scope="module")
def portrait(request):
    return load_portrait(request.getfixturevalue("portrait_path"))


def grey(image: np.ndarray) -> np.ndarray:
    return np.repeat(np.round(image @ LUMA).astype(np.uint8)[..., None], 3, axis=2)


def test_a_grey_photos_tone_is_grey(portrait):
    tone = find_tone(grey(portrait.image))
    assert np.abs(tone.astype(int) - np.arange(256)[:, None]).max() <= 1


def test_a_sepia_photo_keeps_its_tone(portrait):
    sepia = np.round(grey(portrait.image) * SEPIA).astype(np.uint8)
    tone = find_tone(sepia)
    assert np.abs(apply_tone(sepia, tone).astype(int) - sepia).max() <= 2


def test_a_coloured_photo_has_none(portrait):
    assert find_tone(portrait.image) is None


def test_what_the_network_adds_to_a_grey_photo_is_grey(portrait):
    portrait = replace(portrait, image=grey(portrait.image))
    canvas = make_canvas(portrait, portrait.landmarks[None])
    moving = next(iter(WarpedPhoto.from_canvas(canvas).frames(canvas.to_canvas(portrait.landmarks[None]))))
    red = np.zeros((2, 64, 64, 3), np.float32) + np.array([0.5, 0, -0.2], np.float32)
    frame = composite(canvas, moving, list(red), list(np.ones((2, 64, 64), np.float32)))
    assert (frame.max(axis=2) - frame.min(axis=2)).max() == 0
    assert np.abs(frame.astype(int) - portrait.image).max() > 10
