"""The one smooth step."""

import numpy as np
import pytest

from atldiff.easing import smoothstep


def test_smoothstep_by_hand():
    x = np.array([-1.0, 0, 0.5, 1, 2, 3])
    np.testing.assert_allclose(smoothstep(0, 2, x), [0, 0, 0.15625, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(2, 0, x), 1 - smoothstep(0, 2, x))


def test_smoothstep_is_level_at_both_ends():
    slope = (smoothstep(0, 1, np.array([1e-4, 1.0])) - smoothstep(0, 1, np.array([0.0, 1 - 1e-4]))) / 1e-4
    assert slope == pytest.approx([0, 0], abs=1e-3)
