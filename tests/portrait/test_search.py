"""Panoramas, animations, and faces partly outside the photo."""

from itertools import cycle

import numpy as np
import page
import pytest
from PIL import Image

from atldiff.errors import InputError
from atldiff.landmarks import inter_ocular_distance, mesh_to_landmarks
from atldiff.portrait import finder
from atldiff.portrait.finder import Finder, cut_tiles, longest_side
from atldiff.portrait.photo import open_photo
from atldiff.portrait.portrait import load_portrait
from atldiff.portrait.quality import check_place, outside_share


@pytest.fixture(scope="module")
def photo(portrait_path):
    return open_photo(portrait_path)


@pytest.fixture(scope="module")
def landmarks(photo):
    return load_portrait(photo).landmarks


def off(found: np.ndarray, expected: np.ndarray) -> float:
    """Mean distance in inter-ocular distances."""
    return float(np.linalg.norm(found - expected, axis=1).mean() / inter_ocular_distance(expected))


@pytest.mark.parametrize(("scatter", "is_face"), [(0.02, True), (0.05, False)])
def test_what_every_crop_shows_at_another_place_is_no_face(photo, monkeypatch, scatter, is_face):
    """As the crops of a hand do that the detector takes for a face."""
    find, signs = finder.find_meshes, cycle((1, -1))

    def scattered(*args):
        shift = next(signs) * scatter
        return [mesh + (0, shift * longest_side(mesh_to_landmarks(mesh[:, :2])), 0) for mesh in find(*args)]

    box = load_portrait(photo).faces[0]
    monkeypatch.setattr(finder, "find_meshes", scattered)
    assert (Finder().fit(photo, box) is not None) == is_face


# --- panoramas and animations ---


def test_tiles_of_a_long_picture_are_squares_of_its_shorter_side():
    parts = cut_tiles(np.zeros((60, 600, 3), np.uint8))
    assert {part.shape[0] for _, _, part in parts} <= {60, 40, 20}
    assert parts[0][2].shape == (60, 60, 3)
    assert max(x + part.shape[1] for x, _, part in parts) == 600


@pytest.mark.parametrize("place", [30, 1700])
def test_a_panorama_stays_upright(photo, landmarks, place):
    panorama = np.full((230, 2048, 3), (90, 105, 140), np.uint8)
    panorama[:, place : place + 200] = photo[20:250, 124:324]
    found = load_portrait(panorama)
    assert not any("upright" in warning for warning in found.warnings)
    assert off(found.landmarks, landmarks + (place - 124, -20)) < 0.06


def test_a_face_in_a_long_screenshot_is_taken_in_its_own_resolution(photo, landmarks):
    face = np.asarray(Image.fromarray(photo[0:256, 96:352]).resize((480, 480)))
    screenshot = np.full((6400, 480, 3), 240, np.uint8)
    screenshot[4000:4480] = face
    found = load_portrait(screenshot)
    assert found.image.shape == (2048, 480, 3)
    assert (
        off(found.landmarks, found.landmarks.mean(axis=0) + 1.875 * (landmarks - landmarks.mean(axis=0)))
        < 0.06
    )
    assert any("very long" in warning for warning in found.warnings)
    nearer = load_portrait(screenshot, zoom=3)
    assert nearer.image.shape[0] < 1000
    assert (
        off(nearer.landmarks, nearer.landmarks.mean(axis=0) + found.landmarks - found.landmarks.mean(axis=0))
        < 0.06
    )


def test_the_first_frame_with_a_face_is_taken(tmp_path, photo, landmarks):
    frames = [Image.fromarray((photo * share).astype(np.uint8)) for share in (0.0, 0.0, 1.0)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    found = load_portrait(tmp_path / "a.webp")
    assert off(found.landmarks, landmarks) < 0.02
    frames[0].save(tmp_path / "dark.gif", save_all=True, append_images=frames[:1])
    with pytest.raises(InputError, match="No face"):
        load_portrait(tmp_path / "dark.gif")


# --- faces partly outside the photo ---


def test_outside_share_of_a_square():
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    assert outside_share(square, (20, 20)) == pytest.approx(0)
    assert outside_share(square - (4, 0), (20, 20)) == pytest.approx(0.4)
    assert outside_share(square + (15, 15), (20, 20)) == pytest.approx(0.75)
    assert outside_share(square + (100, 0), (20, 20)) == pytest.approx(1)


def test_check_place_says_what_lies_outside(landmarks):
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    check_place(landmarks - low + (-0.2 * (high - low)[0], 0), (1000, 1000))
    with pytest.raises(InputError, match="Half of the face"):
        check_place(landmarks - low - (0.55 * (high - low)[0], 0), (1000, 1000))
    mouth = landmarks[48:68].min(axis=0)[1]
    with pytest.raises(InputError, match="The mouth lies outside"):
        check_place(landmarks, (int(mouth), 1000))
    with pytest.raises(InputError, match="A part of the mouth"):
        check_place(landmarks, (int(landmarks[62, 1]), 1000))


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.75])
def test_a_face_cut_anywhere_is_found_or_refused_with_a_sentence(photo, landmarks, side, share):
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    (x, y), (right, bottom) = (
        (low + share * (high - low)).astype(int),
        (high - share * (high - low)).astype(int),
    )
    cut = {"left": photo[:, x:], "top": photo[y:], "right": photo[:, :right], "bottom": photo[:bottom]}[side]
    try:
        found = load_portrait(cut)
    except InputError:
        assert share > 0.2
        return
    corner = {"left": (x, 0), "top": (0, y)}.get(side, (0, 0))
    assert off(found.landmarks + corner, landmarks) < 0.15
    assert any("outside" in warning for warning in found.warnings)


def test_a_drawn_face_cut_below_its_nose_is_not_turned_over():
    drawing = open_photo(page.EXAMPLES / "drawn_man.jpg", 512)
    landmarks = load_portrait(drawing).landmarks
    low, high = landmarks.min(axis=0)[1], landmarks.max(axis=0)[1]
    for share in (0.6, 0.7):
        with pytest.raises(InputError):
            load_portrait(drawing[: int(high - share * (high - low))])
