"""The badge with the letters AI in a corner of every frame."""

from types import SimpleNamespace

import numpy as np
import pytest

from atldiff.options import DEFAULTS
from atldiff.provenance.label import CORNERS, TEXTS, add_badges, draw_badge, label_is_forced


@pytest.mark.parametrize(
    "shape", [(512, 512, 3), (128, 128, 3), (2048, 1365, 3), (97, 131, 3), (360, 640, 4)]
)
def test_a_small_badge_is_drawn_in_the_corner_and_nothing_else_changes(shape):
    plain = np.full(shape, 200, np.uint8)
    plain[..., 3:] = 0
    first, second = add_badges([plain.copy(), plain.copy()])
    np.testing.assert_array_equal(first, second)
    rows, columns = np.nonzero((first != plain).any(axis=2))
    height, width = shape[:2]
    assert rows.min() > 0.75 * height and columns.min() > 0.7 * width
    assert rows.max() < height - 1 and columns.max() < width - 1
    assert 0.001 < (first != plain).any(axis=2).mean() < 0.04
    inside = first[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert inside[..., :3].max() > 220 and np.median(inside[..., 0]) < 100  # white letters on a dark ground
    if shape[2] == 4:
        assert inside[..., 3].max() == 255  # seen where the person is not


def test_the_badge_is_drawn_at_the_frames_own_size():
    small, large = draw_badge((256, 256)), draw_badge((2048, 3000))
    assert small.shape[0] == 16 and large.shape[0] == 128
    assert len(np.unique(small[..., 3])) > 4  # smooth edges


def test_frames_are_taken_one_at_a_time():
    taken = []

    def frames():
        for number in range(3):
            taken.append(number)
            yield np.zeros((128, 128, 3), np.uint8)

    assert next(add_badges(frames())) is not None and taken == [0]


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_badge_stands_in_the_chosen_corner(text, corner):
    plain = np.full((400, 600, 3), 90, np.uint8)
    (frame,) = add_badges([plain.copy()], text, corner, 1.5)
    rows, columns = np.nonzero((frame != plain).any(axis=2))
    assert (rows.max() < 100) == ("upper" in corner) and (rows.min() > 300) == ("lower" in corner)
    assert (columns.max() < 300) == ("left" in corner) and (columns.min() > 300) == ("right" in corner)


def luminance(levels: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB levels (..., 3), as the guidelines for accessible content define it."""
    shares = levels / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("ground", [0, 128, 255, "checks"])
@pytest.mark.parametrize("shape", [(128, 128), (256, 256), (512, 512), (1080, 1920)])
@pytest.mark.parametrize("text", TEXTS)
def test_letters_are_legible_on_every_ground_at_every_size(ground, shape, text):
    frame = np.full((*shape, 3), 0 if ground == "checks" else ground, np.uint8)
    if ground == "checks":
        frame[(np.indices(shape) // 5).sum(0) % 2 == 0] = 255
    (frame,) = add_badges([frame], text)
    badge = draw_badge(shape, text)
    height, width = badge.shape[:2]
    gap = height // 3
    assert height >= 12 and width + 2 * gap <= shape[1]
    drawn = luminance(frame[-height - gap : -gap, -width - gap : -gap].astype(float))
    ink, paper = badge[..., 0] > 200, (badge[..., 0] < 40) & (badge[..., 3] > 195)
    assert (drawn[ink].mean() + 0.05) / (drawn[paper].max() + 0.05) > 4.5


def test_the_operator_labels_every_video(monkeypatch):
    from atldiff.web.texts import EXAMPLES

    assert not label_is_forced() and all(example.ready for example in EXAMPLES)
    monkeypatch.setenv("ATLDIFF_LABEL", "always")
    assert label_is_forced() and not any(example.ready for example in EXAMPLES)  # they bear no label


def test_the_credentials_say_that_the_operator_labelled_the_video(monkeypatch):
    from atldiff.pipeline import ATLDiffPipeline

    nameless, portrait = SimpleNamespace(name_or_path=None), SimpleNamespace(fingerprint="ab")
    for forced in (False, True):
        monkeypatch.setenv("ATLDIFF_LABEL", "always" if forced else "")
        assert ATLDiffPipeline.origin(nameless, portrait, DEFAULTS).options["badge"] is forced
