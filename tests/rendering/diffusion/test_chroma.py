"""Fine colours inside a generated mouth are removed; luma and all other pixels stay."""

import pytest
import torch

from atldiff.rendering.diffusion.chroma import soft_colours
from atldiff.rendering.face_parts.light import LUMA
from atldiff.rendering.output.filters import blur_pictures

SIDE = 32


@pytest.fixture
def pictures():
    """Prior and residual (2, 3, 2, 32, 32), and a mouth mask (2, 1, 2, 32, 32) in the middle."""
    generator = torch.Generator().manual_seed(0)
    prior, residual = (torch.rand(2, 3, 2, SIDE, SIDE, generator=generator) - 0.5 for _ in range(2))
    mouth = torch.zeros(2, 1, 2, SIDE, SIDE)
    mouth[..., 12:20, 8:24] = 1
    return prior, residual, mouth


def colour(picture):
    return picture - (picture * torch.tensor(LUMA).view(3, 1, 1, 1)).sum(dim=1, keepdim=True)


def roughness(picture):
    return (picture[..., 13:19, 9:23].diff(dim=-1)).square().mean()


def test_luma_stays(pictures):
    prior, residual, mouth = pictures
    change = soft_colours(prior, residual, mouth) - residual
    luma = (change * torch.tensor(LUMA).view(3, 1, 1, 1)).sum(dim=1)
    assert change.abs().max() > 0.1
    assert luma.abs().max() < 1e-6


def test_fine_colours_go_in_the_mouth_only(pictures):
    prior, residual, mouth = pictures
    softened = soft_colours(prior, residual, mouth)
    before, after = colour(prior + residual), colour(prior + softened)
    assert roughness(after) < 0.5 * roughness(before)
    torch.testing.assert_close(softened[..., :6, :], residual[..., :6, :])


def test_a_shut_mouth_changes_nothing(pictures):
    prior, residual, mouth = pictures
    assert torch.equal(soft_colours(prior, residual, 0 * mouth), residual)


def test_colours_are_blurred_as_if_all_of_the_picture_were():
    prior, residual = (torch.rand(1, 3, 2, 64, 64) for _ in range(2))
    mouth = torch.zeros(1, 1, 2, 64, 64)
    mouth[..., 40:44, 3:20] = 1
    before, after = (colour(prior + r) for r in (residual, soft_colours(prior, residual, mouth)))
    near = (2 * blur_pictures(mouth, [1.0])).clamp(max=1)
    torch.testing.assert_close(
        after, torch.lerp(before, blur_pictures(before, [1.0]), near), atol=1e-5, rtol=0
    )


def test_even_colours_stay():
    even = torch.rand(1, 3, 1, 1, 1, generator=torch.Generator().manual_seed(1)).expand(-1, -1, 2, SIDE, SIDE)
    mouth = torch.ones(1, 1, 2, SIDE, SIDE)
    torch.testing.assert_close(soft_colours(0 * even, even, mouth), even.contiguous())
