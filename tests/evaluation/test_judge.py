"""The judge of mouths: what it must tell, what it must not, and the area under its curve."""

import numpy as np
import pytest

from atldiff.evaluation.judge import Mouths, area_under_curve, mouth_crops, two_sample_auc


def test_area_under_curve_by_hand():
    assert area_under_curve(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1
    assert area_under_curve(np.array([0.0]), np.array([1.0])) == 0
    assert area_under_curve(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert area_under_curve(np.array([3.0, 1.0]), np.array([2.0, 0.0])) == 0.75


@pytest.fixture(scope="module")
def mouths():
    """People of their own colours; made mouths have little contrast."""
    rng = np.random.default_rng(0)

    def some(names):
        colour = {name: rng.integers(90, 160, (1, 1, 3)) for name in names}
        people = np.repeat(names, 4)
        detail = rng.normal(0, 1, (len(people), 64, 64, 1))
        base = np.stack([colour[name] for name in people])
        real, made = (np.clip(base + k * detail, 0, 255).astype(np.uint8) for k in (30, 4))
        return Mouths(real, made, people)

    return some(["a", "b", "c", "d", "e", "f"]), some(["g", "h", "i", "j"])


def test_judge_tells_flat_mouths_of_people_it_never_saw(mouths):
    assert two_sample_auc(*mouths, epochs=12) > 0.95


def test_judge_cannot_tell_what_is_the_same(mouths):
    train, test = (Mouths(m.real, m.real.copy(), m.people) for m in mouths)
    assert two_sample_auc(train, test, epochs=4) == pytest.approx(0.5, abs=0.01)


def test_people_in_both_sets_are_a_mistake(mouths):
    with pytest.raises(AssertionError, match="apart"):
        two_sample_auc(mouths[0], mouths[0])


def test_crops_are_centred_on_the_mouth():
    frame, points = np.zeros((200, 200, 3), np.uint8), np.zeros((68, 2), np.float32)
    points[36], points[45], points[48:68] = (60, 80), (140, 80), (100, 140)
    frame[138:143, 98:103] = 255
    crop = mouth_crops(frame[None], points[None])[0]
    assert crop[32, 32, 0] > 200 and crop[10, 10, 0] == 0
