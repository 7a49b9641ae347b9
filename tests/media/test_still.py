"""A picture as a still video."""

import cv2
import numpy as np
import pytest

from atldiff.media.still import encode_still


def test_a_still_video_shows_its_picture_and_the_worse_the_higher_its_crf(portrait_path):
    picture = cv2.resize(cv2.imread(str(portrait_path), cv2.IMREAD_GRAYSCALE), (96, 64))
    errors = [np.abs(encode_still(picture, crf) - picture).mean() for crf in (10, 28, 45)]
    assert errors[0] < 1.5 and errors == sorted(errors) and errors[1] < errors[2] / 2


@pytest.mark.parametrize("frames", [1, 4])
def test_a_flat_picture_stays_flat(frames):
    shown = encode_still(np.full((32, 48), 90, np.uint8), 28, frames)
    assert shown.shape == (32, 48) and np.ptp(shown) == 0 and shown[0, 0] == pytest.approx(90, abs=1)
