"""Resizing and blurring by matrices equal OpenCV's."""

import cv2
import numpy as np
import pytest
import torch

from atldiff.portrait.photo import crop_square
from atldiff.rendering.output.filters import (
    blur_pictures,
    crop_matrix,
    place_matrix,
    resize_matrix,
    resize_pictures,
    to_levels,
)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).random((40, 57), np.float32)


@pytest.mark.parametrize("method", [cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LINEAR])
@pytest.mark.parametrize("size", [(20, 31), (40, 57), (90, 111)])
def test_resized_as_opencv_does(picture, method, size):
    rows, columns = (resize_matrix(*each, method) for each in zip(picture.shape, size, strict=True))
    expected = cv2.resize(picture, size[::-1], interpolation=method)
    np.testing.assert_allclose(resize_pictures(torch.from_numpy(picture), rows, columns), expected, atol=1e-5)


@pytest.mark.parametrize("deviations", [(0.6, 1.3), (3.3, 0.5), (6.0, 9.0)])
def test_each_picture_is_blurred_by_its_own_as_opencv_does(picture, deviations):
    actual = blur_pictures(torch.from_numpy(picture).expand(2, 1, -1, -1), deviations)[:, 0]
    for each, deviation in zip(actual, deviations, strict=True):
        np.testing.assert_allclose(each, cv2.GaussianBlur(picture, (0, 0), deviation), atol=1e-5)


def test_masks_are_blurred_as_opencv_blurs_uint8():
    mask = np.zeros((30, 30), np.uint8)
    mask[10:20, 5:15] = 255
    actual = blur_pictures(torch.from_numpy(mask)[None, None].float(), [2.0], reach=3)[0, 0]
    assert np.abs(actual.numpy() - cv2.GaussianBlur(mask, (0, 0), 2.0)).max() <= 2  # its kernel has 8 bits


def test_a_crop_is_reduced_as_pillow_does(picture):
    levels = np.repeat((picture * 255).astype(np.uint8)[..., None], 3, axis=2)
    matrices = crop_matrix(40, 3, 35, 16), crop_matrix(57, 10, 42, 16)
    actual = to_levels(resize_pictures(torch.from_numpy(levels[..., 0]).float(), *matrices)).numpy()
    expected = crop_square(levels, np.array([10, 3, 42, 35], np.float32), 16)[..., 0]
    assert np.abs(actual.astype(int) - expected).max() <= 1


def test_places_between_cells_are_interpolated_and_beyond_them_is_nothing():
    matrix = place_matrix(np.array([0.0, 1.25, 2.0, 2.5, 4.0]), 3)
    expected = [[1, 0, 0], [0, 0.75, 0.25], [0, 0, 1], [0, 0, 0.5], [0, 0, 0]]
    np.testing.assert_allclose(matrix, expected)
