"""Smoothstep: values by hand, and arrays against tensors."""

import numpy as np
import pytest
import torch

from atldiff.smoothstep import smoothstep


def test_smoothstep_by_hand():
    x = np.array([-1.0, 0, 0.5, 1, 2, 3])
    np.testing.assert_allclose(smoothstep(0, 2, x), [0, 0, 0.15625, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(2, 0, x), 1 - smoothstep(0, 2, x))


def test_smoothstep_is_level_at_both_ends():
    slope = (smoothstep(0, 1, np.array([1e-4, 1.0])) - smoothstep(0, 1, np.array([0.0, 1 - 1e-4]))) / 1e-4
    assert slope == pytest.approx([0, 0], abs=1e-3)


def test_a_tensor_is_eased_like_an_array():
    x = np.linspace(-1, 2, 31, dtype=np.float32)
    torch.testing.assert_close(
        smoothstep(0.2, 0.9, torch.from_numpy(x)), torch.from_numpy(smoothstep(0.2, 0.9, x))
    )
    per_frame = torch.tensor([[0.0], [0.5]])
    assert smoothstep(per_frame, per_frame + 1, torch.tensor([0.5, 0.5])).tolist() == [[0.5, 0.5], [0, 0]]
