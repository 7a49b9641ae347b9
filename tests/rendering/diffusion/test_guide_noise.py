"""Landmarks-guide noise against the paper's formulas."""

import cv2
import numpy as np
import pytest
import torch

from atldiff.config import GuideConfig
from atldiff.landmarks import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from atldiff.rendering.diffusion.guide_noise import (
    fill_masks,
    frame_noise,
    gaussian_sigma,
    guide_maps,
    noisy_residual,
    point_mask,
)
from atldiff.rendering.face_parts.lip_outline import mouth_outline

SIZE = 64


def far_away(points: dict[int, tuple[float, float]]) -> torch.Tensor:
    landmarks = torch.full((68, 2), -9.0)
    for index, place in points.items():
        landmarks[index] = torch.tensor(place)
    return landmarks


@pytest.mark.parametrize(("kernel", "sigma"), [(11, 2.0), (25, 4.1)])
def test_sigma_is_the_papers(kernel, sigma):
    assert gaussian_sigma(kernel) == pytest.approx(sigma)


def test_a_lone_point_is_a_gaussian_of_peak_one():
    x = y = 20
    mask = point_mask(far_away({0: ((x + 0.5) / SIZE, (y + 0.5) / SIZE)}), SIZE, 11)
    assert mask[y, x] == pytest.approx(1)
    assert mask[y, x + 3] == pytest.approx(np.exp(-(3**2) / (2 * 2.0**2)), abs=1e-5)
    assert mask[y, x + 6] == 0  # beyond the kernel


def test_mask_moves_smoothly_with_a_point():
    masks = point_mask(
        torch.stack([far_away({0: ((20 + d) / SIZE, 0.5)}) for d in (0.0, 0.25, 0.5)]), SIZE, 11
    )
    step = (masks[1] - masks[0]).abs().max()
    assert 0 < step < 0.2


def test_filled_mouth_has_its_area_and_a_closed_one_none():
    landmarks = np.full((2, 68, 2), -0.5, np.float32)
    square = [
        (0.25, 0.25),
        (0.5, 0.25),
        (0.75, 0.25),
        (0.75, 0.5),
        (0.75, 0.75),
        (0.5, 0.75),
        (0.25, 0.75),
        (0.25, 0.5),
    ]
    landmarks[0, INNER_LIPS] = square
    landmarks[1, INNER_LIPS] = [(x, 0.5) for x, _ in square]
    masks = fill_masks(landmarks, SIZE)
    x, y = mouth_outline(landmarks[0]).T
    area = 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    assert masks[0, 0].mean() == pytest.approx(area, abs=0.01)
    assert masks[1, 0].mean() < 0.01
    assert masks[:, 1].max() == 0


def test_noise_mask_keeps_the_minimum_and_paper_presets_have_no_maps():
    landmarks = torch.rand(1, 2, 68, 2)
    maps, mask = guide_maps(landmarks, SIZE, GuideConfig(kernel=11))
    assert maps is None and mask.shape == (1, 1, 2, SIZE, SIZE)
    assert mask.min() == pytest.approx(0.1) and mask.max() <= 1
    maps, mask = guide_maps(landmarks, SIZE, GuideConfig(kernel=11, maps=True))
    assert maps.shape == (1, 3, 2, SIZE, SIZE)
    assert (mask >= maps[:, 1:2] - 1e-6).all()


def test_noise_of_a_frame_does_not_depend_on_its_window():
    whole = frame_noise(7, range(5), 8)
    assert torch.equal(whole[:, 3:], frame_noise(7, range(3, 5), 8))
    assert torch.equal(whole[:, ::2], frame_noise(7, range(0, 5, 2), 8))
    assert whole.min() >= -1 and whole.max() <= 1
    assert not torch.equal(whole, frame_noise(8, range(5), 8))
    assert not torch.equal(whole, frame_noise(7, range(5), 8, view=1))


def test_forward_process_ends():
    residual, noise, mask = torch.randn(1, 3, 2, 4, 4), torch.randn(1, 3, 2, 4, 4), torch.rand(1, 1, 2, 4, 4)
    torch.testing.assert_close(noisy_residual(residual, noise, mask, 1.0), residual)
    torch.testing.assert_close(noisy_residual(residual, noise, mask, 0.0), mask * noise)


def test_steady_noise_is_the_same_in_every_frame_and_window():
    noise = frame_noise(3, range(40, 45), 16, view=1, steady=True)
    assert noise.shape == (3, 5, 16, 16)
    for frame in range(5):
        assert torch.equal(noise[:, frame], frame_noise(3, range(1), 16, view=1)[:, 0])


def test_fills_are_those_of_the_whole_picture_averaged():
    points = 0.3 + 0.9 * np.random.default_rng(3).random((4, 68, 2)).astype(np.float32)  # some lie outside
    masks = fill_masks(points, 32)
    for frame, drawn in enumerate(points):
        for channel, parts in enumerate(((mouth_outline(drawn),), (drawn[RIGHT_EYE], drawn[LEFT_EYE]))):
            canvas = np.zeros((128, 128), np.uint8)
            fixed = [np.round((np.clip(part, -1, 2) * 128 - 0.5) * 16).astype(np.int32) for part in parts]
            cv2.fillPoly(canvas, fixed, 255, cv2.LINE_8, 4)
            whole = cv2.resize(canvas, (32, 32), interpolation=cv2.INTER_AREA) / np.float32(255)
            np.testing.assert_array_equal(masks[frame, channel], whole)
