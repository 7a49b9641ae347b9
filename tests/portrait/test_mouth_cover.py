"""A covered mouth, and advice on dark and overexposed faces."""

import cv2
import numpy as np
import page
import pytest

from atldiff.landmarks import FaceFrame, inter_ocular_distance
from atldiff.portrait.mouth_cover import is_covered
from atldiff.portrait.photo import open_photo
from atldiff.portrait.portrait import load_portrait
from atldiff.portrait.quality import exposure, photo_advice

PEOPLE = ("astronaut.jpg", "drawn.jpg", "drawn_man.jpg", "drawn_woman.jpg", "mona_lisa.jpg")


@pytest.fixture(scope="module", params=PEOPLE)
def portrait(request):
    return load_portrait(open_photo(page.EXAMPLES / request.param, 512))


def filled(picture: np.ndarray, outline: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 255, cv2.LINE_AA)
    share = cv2.GaussianBlur(mask, (0, 0), 1)[..., None] / 255
    return np.clip(picture * (1 - share) + np.array(colour) * share, 0, 255).astype(np.uint8)


def masked(picture: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """A face with a surgical mask."""
    return filled(picture, np.concatenate([marks[2:15], marks[[14, 29, 2]]]), (150, 190, 215))


def with_microphone(picture: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """A face behind a microphone."""
    middle, radius = marks[48:].mean(axis=0), 0.36 * inter_ocular_distance(marks)
    turn = np.linspace(0, 2 * np.pi, 40)
    round_ball = middle + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return filled(picture, round_ball, (45, 45, 48))


def with_hand(picture: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """A face with four fingers over the mouth."""
    frame, skin = (
        FaceFrame.from_landmarks(marks),
        np.median(picture[tuple(marks[[2, 14, 30, 31]].astype(int).T[::-1])], axis=0),
    )
    middle = frame.to_face(marks[48:]).mean(axis=0)
    for finger in range(4):
        y = middle[1] + 0.18 * (finger - 1.5)
        ends = frame.from_face(np.array([[-0.5, y], [0.5, y]]) + [middle[0], 0])
        for width, shade in ((0.18, 0.75), (0.13, 0.95)):
            line = [tuple(int(v) for v in end) for end in ends]
            thick = max(1, round(width * float(inter_ocular_distance(marks))))
            picture = picture.copy()
            cv2.line(picture, *line, tuple(float(v) for v in shade * skin), thick, cv2.LINE_AA)
    return picture


def told(picture: np.ndarray) -> str:
    return " ".join(load_portrait(picture).warnings)


def test_open_faces_are_not_covered(portrait):
    assert "covered" not in " ".join(portrait.warnings)
    assert "covered" not in told(
        np.repeat(portrait.image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    )


@pytest.mark.parametrize("cover", [masked, with_microphone, with_hand])
def test_what_covers_the_mouth_is_told(cover):
    drawing = load_portrait(open_photo(page.EXAMPLES / "drawn_woman.jpg", 512))
    astronaut = load_portrait(page.EXAMPLES / "astronaut.jpg")
    for person in (drawing, astronaut):
        assert "mouth seems to be covered" in told(cover(person.image, person.landmarks))


def test_where_the_mesh_says_nothing_or_the_face_is_a_shade_no_cover_is_told(portrait):
    assert not is_covered(portrait.image, portrait.landmarks, float("nan"))
    assert not is_covered(np.full_like(portrait.image, 20), portrait.landmarks, 0.2)


def test_dark_and_overexposed_faces_are_told(portrait):
    def said(picture: np.ndarray) -> str:
        return " ".join(photo_advice(picture, portrait.landmarks))

    noise = np.random.default_rng(0).normal(0, 6, portrait.image.shape)
    light = portrait.image.astype(np.float32)
    for dark in (0.22 * light, 0.11 * light + noise):
        assert "very dark" in said(np.clip(dark, 0, 255).astype(np.uint8))
    assert "overexposed" in said(np.clip(3 * light, 0, 255).astype(np.uint8))
    assert "dark" not in said(portrait.image)
    assert "overexposed" not in said(portrait.image)
    brightest, white = exposure(np.full_like(portrait.image, 255), portrait.landmarks)
    assert brightest == pytest.approx(255, abs=0.1)
    assert white == 1.0
