"""Measures of the mouth's inside: closed forms."""

import numpy as np
import pytest

from atldiff.evaluation.mouth_metrics import inside_ratios, inside_statistics, still_flicker


def frames_of(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1).astype(np.uint8)


@pytest.fixture
def inside() -> np.ndarray:
    mask = np.zeros((2, 20, 20), np.float32)
    mask[:, 5:15, 5:15] = 1
    return mask


def test_statistics_of_a_ramp(inside):
    ramp = frames_of(np.tile(4.0 * np.arange(20), (2, 20, 1)))
    gradient, deviation, brightness = inside_statistics(ramp, inside)[0]
    assert gradient == pytest.approx(4)
    assert brightness == pytest.approx(4 * 9.5)
    assert deviation == pytest.approx(4 * np.arange(10).std())


def test_a_closed_mouth_has_no_statistics(inside):
    inside[1] = 0
    values = inside_statistics(frames_of(np.full((2, 20, 20), 80.0)), inside)
    assert np.isfinite(values[0]).all() and np.isnan(values[1]).all()


def test_ratios_are_one_for_the_truth_and_half_for_half_the_contrast():
    real = np.array([[4.0, 10.0, 80.0], [8.0, 30.0, 120.0], [np.nan] * 3])
    assert inside_ratios(real, real) == {"gradient": 1, "deviation": 1, "brightness": 1}
    assert inside_ratios(real / 2, real)["gradient"] == pytest.approx(0.5)
    assert np.isnan(inside_ratios(real[2:], real[2:])["gradient"])


def test_flicker_counts_held_mouths_alone(inside):
    values = np.full((3, 20, 20), 80.0)
    values[1] += 6
    values[2] += 26
    mask = np.concatenate([inside, inside[:1]])
    np.testing.assert_allclose(
        still_flicker(frames_of(values), mask, np.array([0.2, 0.2, 0.4])), [6], atol=1e-4
    )
    assert len(still_flicker(frames_of(values), mask, np.array([0.0, 0.2, 0.4]))) == 0
