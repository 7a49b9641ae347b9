"""The badge with the letters AI in a corner of every frame."""

import numpy as np
import pytest

from atldiff.rendering.badge import add_badges, draw_badge


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
    small, large = draw_badge(256), draw_badge(2048)
    assert small.shape[0] == 16 and large.shape[0] == 128
    assert len(np.unique(small[..., 3])) > 4  # smooth edges


def test_frames_are_taken_one_at_a_time():
    taken = []

    def frames():
        for number in range(3):
            taken.append(number)
            yield np.zeros((128, 128, 3), np.uint8)

    assert next(add_badges(frames())) is not None and taken == [0]
