"""DDIM on the residual: exact with an oracle, joined in time by inpainting."""

import pytest
import torch

from atldiff.rendering.diffusion.guide_noise import frame_noise
from atldiff.rendering.diffusion.sampler import Condition, compute_dtype, make_scheduler, sample_residual
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel


class Oracle(torch.nn.Module):
    """Predicts the true r_0 for all inputs, and records them."""

    dtype = torch.float32

    def __init__(self, residual: torch.Tensor) -> None:
        super().__init__()
        self.residual, self.calls = residual, []

    def forward(self, sample, timestep, prior, identity, emotion, guide, style):
        self.calls.append((int(timestep), sample - prior))
        return type("Output", (), {"sample": self.residual})


@pytest.fixture
def case():
    torch.manual_seed(0)
    shape = (1, 3, 4, 8, 8)
    condition = Condition(
        torch.rand(shape), None, torch.rand(1, 1, 4, 8, 8), torch.zeros(1, 2), torch.zeros(1, 2)
    )
    return torch.randn(shape) * 0.3, condition, frame_noise(0, range(4), 8)[None]


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_an_oracle_is_sampled_exactly(case, steps):
    residual, condition, noise = case
    oracle = Oracle(residual)
    sampled = sample_residual(oracle, make_scheduler(), condition, noise, steps)
    torch.testing.assert_close(sampled, residual, atol=1e-4, rtol=0)
    assert len(oracle.calls) == steps


def test_sampling_starts_from_the_guided_noise_alone(case):
    residual, condition, noise = case
    oracle = Oracle(residual)
    sample_residual(oracle, make_scheduler(), condition, noise, 2)
    timestep, first = oracle.calls[0]
    assert timestep == 999
    torch.testing.assert_close(first, condition.mask * noise, atol=1e-5, rtol=0)


def test_every_step_follows_the_forward_process(case):
    residual, condition, noise = case
    oracle, scheduler = Oracle(residual), make_scheduler()
    sample_residual(oracle, scheduler, condition, noise, 4)
    assert len(oracle.calls) == 4
    for timestep, noisy in oracle.calls:
        alpha = scheduler.alphas_cumprod[timestep]
        expected = alpha.sqrt() * residual + (1 - alpha).sqrt() * condition.mask * noise
        torch.testing.assert_close(noisy, expected, atol=1e-4, rtol=0)


def test_known_frames_are_shown_at_each_steps_noise_and_fade_into_the_models(case):
    residual, condition, noise = case
    oracle, scheduler = Oracle(residual), make_scheduler()
    known = torch.full_like(residual[:, :, :2], 0.5)
    sampled = sample_residual(oracle, scheduler, condition, noise, 4, known)
    for frame, share in ((0, 1 / 3), (1, 2 / 3)):
        expected = known[:, :, frame] * (1 - share) + residual[:, :, frame] * share
        torch.testing.assert_close(sampled[:, :, frame], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(sampled[:, :, 2:], residual[:, :, 2:], atol=1e-4, rtol=0)
    timestep, last = oracle.calls[-1]
    alpha = scheduler.alphas_cumprod[timestep]
    expected = alpha.sqrt() * known + (1 - alpha).sqrt() * (condition.mask * noise)[:, :, :2]
    torch.testing.assert_close(last[:, :, :2], expected, atol=1e-5, rtol=0)


def test_scheduler_is_left_as_it_was(case):
    residual, condition, noise = case
    scheduler = make_scheduler()
    sample_residual(Oracle(residual), scheduler, condition, noise, 3)
    assert scheduler.num_inference_steps is None


@pytest.mark.parametrize(("capability", "wanted"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16)])
def test_a_card_that_only_emulates_bfloat16_takes_float16(capability, wanted, monkeypatch):
    """Compute capabilities of a T4 (7.5) and an A100 (8.0)."""
    card = type("Card", (), {"major": capability[0], "minor": capability[1]})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert compute_dtype(torch.device("cuda")) is wanted


@pytest.mark.parametrize(("amx", "wanted"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_processor_takes_bfloat16_only_with_instructions_for_it(amx, wanted, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert compute_dtype(torch.device("cpu")) is wanted


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sampling_in_half_precision_stays_close(dtype):
    torch.manual_seed(0)
    unet = IdentityUNet3DModel((8, 16), identity_dim=8, emotion_dim=4).eval()
    torch.nn.init.normal_(unet.conv_out.weight, std=0.1)
    shape = (1, 3, 2, 32, 32)
    condition = Condition(
        torch.rand(shape) * 2 - 1, None, torch.rand(1, 1, 2, 32, 32), torch.randn(1, 8), torch.randn(1, 4)
    )
    noise = torch.randn(shape)
    exact = sample_residual(unet, make_scheduler(), condition, noise, 2)
    half = sample_residual(unet.to(dtype), make_scheduler(), condition, noise, 2)
    assert half.dtype is torch.float32
    torch.testing.assert_close(half, exact, atol=0.05 * float(exact.abs().max()), rtol=0)
