"""The mouth's style: what it measures, and what it does not depend on."""

import numpy as np
import pytest

from atldiff.landmarks import INNER_LIPS, OUTER_LIPS
from atldiff.rendering.diffusion.mouth_style import (
    _BASIS,
    _MEAN,
    MOST,
    SPREAD,
    TYPICAL,
    mouth_style,
    portrait_style,
)

SIZE = 200
LIP = np.array([150, 90, 80])


def marks(opening: float = 16.0) -> np.ndarray:
    """Landmarks (68, 2) with 60 pixels between the eyes and a mouth 60 wide; `opening` in pixels."""
    points = np.full((68, 2), SIZE / 2.0)
    points[36:42], points[42:48] = (70, 60), (130, 60)
    for part, wide, high in ((OUTER_LIPS, 36, 12 + opening / 2), (INNER_LIPS, 30, opening / 2)):
        count = part.stop - part.start
        angles = np.pi + 2 * np.pi * np.arange(count) / count
        points[part] = np.stack([100 + wide * np.cos(angles), 140 + high * np.sin(angles)], axis=1)
    return points


def face(above: float, below: float, light: float = 1.0) -> np.ndarray:
    """A picture in the lips' colour; the mouth's rows are `above` to `below` times as bright."""
    x, y = np.arange(SIZE), np.arange(SIZE)[:, None]
    inside = np.hypot((x - 100) / 29, (y - 140) / 7.5) < 1
    times = np.where(inside, np.interp(y, [133, 147], [above, below]), 1)
    return (LIP * times[..., None] * light).clip(0, 255).astype(np.uint8)


def test_an_inside_of_the_lips_own_colour_is_the_origin():
    plain = np.broadcast_to(LIP, (SIZE, SIZE, 3)).astype(np.uint8)
    np.testing.assert_allclose(mouth_style(plain, marks()), -_MEAN @ _BASIS, atol=1e-5)


def test_a_brighter_inside_has_a_larger_first_number():
    dark, middle, white = (mouth_style(face(x, x), marks())[0] for x in (0.3, 0.7, 1.4))
    assert dark < middle - 0.5 < white - 1


def test_bright_above_and_bright_below_are_told_apart():
    above, below = (mouth_style(face(*x), marks())[1] for x in ((1.2, 0.4), (0.4, 1.2)))
    assert above < below - 1


def test_light_and_mirror_hardly_change_it():
    points, picture = marks(), face(1.2, 0.5)
    style = mouth_style(picture, points)
    mirrored = points.copy()
    mirrored[:, 0] = SIZE - 1 - mirrored[:, 0]
    mirrored[INNER_LIPS] = np.roll(mirrored[INNER_LIPS][::-1], 5, axis=0)
    np.testing.assert_allclose(mouth_style(picture[:, ::-1].copy(), mirrored), style, atol=0.15)
    np.testing.assert_allclose(mouth_style(face(1.2, 0.5, light=0.6), points), style, atol=0.15)


def test_a_shut_mouth_has_none_and_gets_one_of_its_own():
    shut, picture = marks(1.0), face(1, 1)
    assert mouth_style(picture, shut) is None
    drawn = [portrait_style(picture, shut, seed) for seed in range(400)]
    np.testing.assert_array_equal(portrait_style(picture, shut, 3), drawn[3])
    assert np.std(drawn, axis=0) == pytest.approx(SPREAD, rel=0.15)
    np.testing.assert_allclose(np.mean(drawn, axis=0), TYPICAL, atol=0.15)
    other = picture.copy()
    other[0, 0] = 0
    assert not np.allclose(portrait_style(other, shut, 3), drawn[3])


def test_an_open_mouth_keeps_its_own_whatever_the_seed_within_what_people_have():
    picture = face(1.2, 0.4)
    assert np.abs(portrait_style(face(0, 0), marks(), 0)).max() == pytest.approx(MOST)
    np.testing.assert_array_equal(portrait_style(picture, marks(), 1), portrait_style(picture, marks(), 2))
