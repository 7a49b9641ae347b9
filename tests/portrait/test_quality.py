"""Advice on a photo."""

import numpy as np
import pytest
from PIL import Image

from atldiff.landmarks import eye_opening, inter_ocular_distance, mouth_opening
from atldiff.portrait.portrait import load_portrait
from atldiff.portrait.quality import has_black_bars, photo_advice, sharpness


@pytest.fixture(scope="module")
def portrait(portrait_path):
    return load_portrait(portrait_path)


def test_advice(portrait):
    def said(landmarks, image=portrait.image, **faces) -> str:
        return " ".join(photo_advice(image, landmarks, **faces))

    points = portrait.landmarks
    closed, shut, turned = points.copy(), points.copy(), points.copy()
    closed[60:68, 1] = closed[60:68, 1].mean()
    assert mouth_opening(closed) < 0.1 < mouth_opening(points)
    assert "mouth is open" in said(points)
    assert "mouth" not in said(closed)
    wide = points.copy()
    wide[65:68, 1] += 0.25 * inter_ocular_distance(points)
    assert "wide open" in said(wide)
    assert "mouth is open" not in said(wide)
    for lids in ((37, 41), (38, 40), (43, 47), (44, 46)):
        shut[list(lids)] = shut[list(lids)].mean(axis=0)
    assert eye_opening(shut) < 0.12 < eye_opening(points)
    assert "eyes" in said(shut)
    assert "eyes" not in said(points)
    turned[30] = points[45]
    assert "turned to the side" in said(turned)
    assert "turned" not in said(points)
    assert "outside" in said(points - (200, 0))
    assert "small" in said(points / 2)
    assert "3 faces. Number 2 is" in said(points, num_faces=3, face=2)
    blurred = np.asarray(Image.fromarray(portrait.image).resize((96, 96)).resize((512, 512)))
    assert sharpness(blurred, portrait.box) < sharpness(portrait.image, portrait.box)
    assert "blurred" in said(points, blurred)
    assert "blurred" not in said(points)


def test_black_bars_are_told_and_a_dark_room_is_none(portrait):
    for pad in (((40, 40), (0, 0), (0, 0)), ((0, 0), (60, 60), (0, 0))):
        barred = np.pad(portrait.image, pad)
        moved = portrait.landmarks + (pad[1][0], pad[0][0])
        assert "black bars" in " ".join(photo_advice(barred, moved))
    one_side = np.pad(portrait.image, ((40, 0), (0, 0), (0, 0)))
    room = portrait.image * (np.hypot(*np.indices((512, 512)) - 200) < 190)[..., None]
    assert not has_black_bars(portrait.image) and not has_black_bars(one_side) and not has_black_bars(room)
