"""Zoom to a head: the part of the photo, and its boxes and landmarks."""

import numpy as np
import pytest
from PIL import Image

from atldiff.errors import InputError
from atldiff.landmarks import inter_ocular_distance
from atldiff.options import ASPECTS
from atldiff.portrait.portrait import load_portrait
from atldiff.portrait.zoom import part_around, zoom_to_face


@pytest.fixture(scope="module")
def standing(portrait_path, tmp_path_factory):
    """A photo of 3000 x 4500 pixels with a face of about 170 pixels near the top."""
    picture = Image.new("RGB", (3000, 4500), (90, 120, 150))
    picture.paste(Image.open(portrait_path).convert("RGB").resize((1000, 1000)), (1200, 200))
    path = tmp_path_factory.mktemp("photos") / "standing.jpg"
    picture.save(path, quality=95)
    return path


def test_the_part_has_the_photos_shape_holds_the_crop_and_stays_inside():
    size = (1000, 1500)
    np.testing.assert_allclose(part_around(np.float32([450, 700, 550, 800]), size, 1), [0, 0, 1000, 1500])
    np.testing.assert_allclose(part_around(np.float32([450, 700, 550, 800]), size, 2), [250, 375, 750, 1125])
    np.testing.assert_allclose(part_around(np.float32([0, 0, 100, 100]), size, 4), [0, 0, 250, 375])
    np.testing.assert_allclose(
        part_around(np.float32([950, 1450, 1050, 1550]), size, 4), [750, 1125, 1000, 1500]
    )
    x0, y0, x1, y1 = part_around(np.float32([300, 300, 700, 700]), size, 8)  # the crop needs more
    np.testing.assert_allclose([x0, y0, x1, y1], [250, 250, 750, 750])
    np.testing.assert_allclose(part_around(np.float32([-900, -900, 1900, 1900]), size, 8), [0, 0, 1000, 1500])


def test_a_part_of_another_shape_is_the_largest_about_the_head():
    size, head = (1000, 1500), np.float32([100, 300, 300, 500])
    for name, aspect in ASPECTS.items():
        x0, y0, x1, y1 = part_around(head, size, 1, aspect)
        assert (x1 - x0) / (y1 - y0) == pytest.approx(aspect, rel=1e-3), name
        assert x1 - x0 == pytest.approx(1000) or y1 - y0 == pytest.approx(1500)
        assert 0 <= x0 <= 100 and 300 <= x1 <= 1000 and 0 <= y0 <= 300 and 500 <= y1 <= 1500
    near = part_around(head, size, 4, 1.0)
    np.testing.assert_allclose(near, [75, 275, 325, 525])  # a quarter of 1000, as wide as the head needs
    with pytest.raises(InputError, match="fills the photo"):
        part_around(np.float32([0, 0, 1000, 1000]), (1000, 1000), 1, 9 / 16)


def test_what_was_found_moves_with_the_part():
    fine = np.random.default_rng(0).integers(0, 255, (1200, 1600, 3), np.uint8)
    landmarks = np.float32([[390, 290], [410, 310]]).repeat(34, axis=0)
    boxes = [np.float32([390, 290, 410, 310]), np.float32([0, 0, 40, 40])]
    picture, moved, points = zoom_to_face(fine, (600, 800, 3), boxes, landmarks, 4)
    assert picture.shape == (300, 400, 3)  # twice as fine as the reduced photo
    np.testing.assert_allclose(moved[0][:2], points[0], atol=0.01)
    np.testing.assert_allclose(moved[0][2:] - moved[0][:2], [40, 40], atol=0.01)
    assert (moved[1] < 0).all()  # a face outside keeps its number


def test_a_zoomed_portrait_is_as_fine_as_the_photo(standing):
    whole, near = load_portrait(standing), load_portrait(standing, zoom=3)
    assert whole.image.shape == (2048, 1365, 3) and near.image.shape == (1500, 1000, 3)
    grown = inter_ocular_distance(near.landmarks) / inter_ocular_distance(whole.landmarks)
    assert grown == pytest.approx(4500 / 2048, rel=0.03)
    x0, y0, x1, y1 = near.box
    assert x0 >= 0 and y0 >= 0 and x1 <= 1000 and y1 <= 1500
    assert load_portrait(standing, zoom=8).image.shape == (563, 375, 3)


def test_a_face_too_small_for_the_whole_photo_can_be_zoomed_to(portrait_path):
    picture = Image.new("RGB", (6000, 6000), (90, 120, 150))
    picture.paste(Image.open(portrait_path).convert("RGB").resize((800, 800)), (2900, 900))
    with pytest.raises(InputError, match="smaller than 64 pixels"):
        load_portrait(picture)
    found = load_portrait(picture, zoom=4)
    assert inter_ocular_distance(found.landmarks) > 30
