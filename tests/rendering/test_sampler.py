"""DDIM on the residual: exact with an oracle, joined in time by inpainting."""

import pytest
import torch

from atldiff.rendering.guide import frame_noise
from atldiff.rendering.sampler import Condition, compute_dtype, make_scheduler, sample_residual


class Oracle(torch.nn.Module):
    """Knows r_0 and answers with it, whatever it is shown; notes what it was shown."""

    dtype = torch.float32

    def __init__(self, residual: torch.Tensor) -> None:
        super().__init__()
        self.residual, self.seen = residual, []

    def forward(self, sample, timestep, prior, identity, emotion, guide):
        self.seen.append((int(timestep), sample - prior))
        return type("Output", (), {"sample": self.residual})


@pytest.fixture
def case():
    torch.manual_seed(0)
    shape = (1, 3, 4, 8, 8)
    condition = Condition(
        torch.rand(shape), None, torch.rand(1, 1, 4, 8, 8), torch.zeros(1, 2), torch.zeros(1, 2)
    )
    return torch.randn(shape) * 0.3, condition, frame_noise(0, 0, 4, 8)[None]


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_an_oracle_is_sampled_exactly(case, steps):
    residual, condition, noise = case
    oracle = Oracle(residual)
    sampled = sample_residual(oracle, make_scheduler(), condition, noise, steps)
    torch.testing.assert_close(sampled, residual, atol=1e-4, rtol=0)
    assert len(oracle.seen) == steps


def test_sampling_starts_from_the_guided_noise_alone(case):
    residual, condition, noise = case
    oracle = Oracle(residual)
    sample_residual(oracle, make_scheduler(), condition, noise, 2)
    timestep, first = oracle.seen[0]
    assert timestep == 999
    torch.testing.assert_close(first, condition.mask * noise, atol=1e-5, rtol=0)


def test_every_step_follows_the_forward_process(case):
    residual, condition, noise = case
    oracle, scheduler = Oracle(residual), make_scheduler()
    sample_residual(oracle, scheduler, condition, noise, 4)
    for timestep, seen in oracle.seen:
        alpha = scheduler.alphas_cumprod[timestep]
        expected = alpha.sqrt() * residual + (1 - alpha).sqrt() * condition.mask * noise
        torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)


def test_known_frames_are_shown_at_each_steps_noise_and_fade_into_the_models(case):
    residual, condition, noise = case
    oracle, scheduler = Oracle(residual), make_scheduler()
    known = torch.full_like(residual[:, :, :2], 0.5)
    sampled = sample_residual(oracle, scheduler, condition, noise, 4, known)
    for frame, share in ((0, 1 / 3), (1, 2 / 3)):
        expected = known[:, :, frame] * (1 - share) + residual[:, :, frame] * share
        torch.testing.assert_close(sampled[:, :, frame], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(sampled[:, :, 2:], residual[:, :, 2:], atol=1e-4, rtol=0)
    timestep, seen = oracle.seen[-1]
    alpha = scheduler.alphas_cumprod[timestep]
    expected = alpha.sqrt() * known + (1 - alpha).sqrt() * (condition.mask * noise)[:, :, :2]
    torch.testing.assert_close(seen[:, :, :2], expected, atol=1e-5, rtol=0)


def test_scheduler_is_left_as_it_was(case):
    residual, condition, noise = case
    scheduler = make_scheduler()
    sample_residual(Oracle(residual), scheduler, condition, noise, 3)
    assert scheduler.num_inference_steps is None


def test_cpu_type_is_one_it_can_compute():
    assert compute_dtype(torch.device("cpu")) in (torch.bfloat16, torch.float32)
