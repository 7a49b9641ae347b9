"""Pictures of the encoder: what is converted in part is the same as converted whole."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from atldiff.media.yuv import Pictures


def stream(kind: str = "yuv420p") -> SimpleNamespace:
    """What Pictures asks of a video stream: its pixel format and its clock."""
    return SimpleNamespace(pix_fmt=kind, codec_context=SimpleNamespace(time_base=Fraction(1, 30)))


@pytest.mark.parametrize("size", [(96, 130), (97, 131), (256, 256)])
@pytest.mark.parametrize("box", [(0, 0, 9, 7), (31, 40, 64, 91), (90, 120, 96, 130), (0, 0, 96, 130)])
def test_a_changed_part_is_converted_as_the_whole_frame_is(size, box):
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (*size, 3), np.uint8)
    second, (top, left, bottom, right) = first.copy(), box
    second[top:bottom, left:right] = rng.integers(0, 256, (bottom - top, right - left, 3), np.uint8)
    pictures = Pictures(stream())
    pictures.convert(first, 0)
    partly = pictures.convert(second, 1)
    whole = Pictures(stream()).convert(second, 1)
    np.testing.assert_array_equal(partly.to_ndarray(), whole.to_ndarray())
    assert partly.pts == 1 and partly.time_base == Fraction(1, 30)


def test_a_frame_that_is_written_over_is_seen_again():
    frame, pictures = np.zeros((64, 64, 3), np.uint8), Pictures(stream())
    before = pictures.convert(frame, 0).to_ndarray()
    frame[20:30, 20:30] = 255
    after = pictures.convert(frame, 1).to_ndarray()
    assert before[:64].max() == 16 and after[25, 25] == 235
    np.testing.assert_array_equal(pictures.convert(frame, 2).to_ndarray(), after)


def test_changes_here_and_there_are_all_seen():
    rng = np.random.default_rng(1)
    frame, pictures = rng.integers(0, 256, (120, 97, 3), np.uint8), Pictures(stream())
    pictures.convert(frame, 0)
    for index, (top, left) in enumerate([(5, 60), (100, 3), (50, 50), (7, 61), (0, 0)], start=1):
        frame[top : top + 9, left : left + 14] = rng.integers(0, 256, 3, np.uint8)
        partly, whole = pictures.convert(frame, index), Pictures(stream()).convert(frame, index)
        np.testing.assert_array_equal(partly.to_ndarray(), whole.to_ndarray())
