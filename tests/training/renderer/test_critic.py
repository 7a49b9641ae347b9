"""The critics of the mouth: what they see, what they learn, how hard they pull."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from atldiff.training.renderer.critic import (
    MouthCritic,
    Pairs,
    SharedNorm,
    balance_terms,
    critic_loss,
    generator_losses,
)


def test_critic_learns_to_tell_and_the_generator_is_told():
    torch.manual_seed(0)
    critic, guide = MouthCritic(channels=(8, 8, 8)), torch.ones(4, 3, 32, 32)
    real, made = torch.randn(4, 3, 32, 32), torch.zeros(4, 3, 32, 32, requires_grad=True)
    pairs = Pairs(real, made, guide, torch.zeros_like(real))
    optimizer = torch.optim.Adam(critic.parameters(), 2e-3)
    before = critic_loss(critic, pairs.for_critic()[0]).item()
    for _ in range(40):
        optimizer.zero_grad()
        critic_loss(critic, pairs.for_critic()[0]).backward()
        optimizer.step()
    assert critic_loss(critic, pairs.for_critic()[0]).item() < 0.5 * before
    adversarial, matching = generator_losses(critic, pairs)
    sum(adversarial).backward()
    assert made.grad.abs().sum() > 0 and matching > 0
    assert generator_losses(critic, replace(pairs, generated=real))[1] < 0.1 * matching


def test_a_steep_critic_costs_more():
    torch.manual_seed(0)
    critic, pictures = MouthCritic(channels=(8, 8, 8)), torch.randn(2, 3, 32, 32)
    still = Pairs(pictures, pictures, torch.ones(2, 3, 32, 32), torch.zeros_like(pictures))
    assert critic_loss(critic, replace(still, noise=torch.rand_like(pictures))) > critic_loss(critic, still)


def test_critics_see_and_move_nothing_but_the_inside_of_the_mouth():
    torch.manual_seed(0)
    guide, target = torch.zeros(1, 3, 2, 64, 64), torch.randn(1, 3, 2, 64, 64)
    guide[:, 1, :, 28:36, 24:40] = 1
    prediction = torch.randn(1, 3, 2, 64, 64, requires_grad=True)
    view = {"target": target, "prior": torch.zeros_like(target), "guide": guide}
    pairs = Pairs.from_view(view, prediction, torch.zeros(1, 3, 1, 64, 64))
    torch.testing.assert_close(pairs.generated[:, :, 20, 24], prediction[0, :, :, 32, 32].T)
    torch.testing.assert_close(pairs.generated[..., :8, :], pairs.real[..., :8, :])
    for loss in generator_losses(MouthCritic(channels=(8, 8, 8)), pairs)[0]:
        (moved,) = torch.autograd.grad(loss, prediction, retain_graph=True)
        assert moved[..., 30:34, 28:36].abs().sum() > 0
        assert moved[..., :20, :].abs().sum() == moved[..., 44:, :].abs().sum() == 0


def test_no_critic_pulls_harder_than_the_truth_and_a_weak_one_as_it_does():
    pictures = torch.randn(2, 3, 1, 4, 4, requires_grad=True)
    loss, strong, weak = pictures.square().mean(), 1000 * pictures.sum(), 1e-6 * pictures.sum()

    def pull(term: torch.Tensor) -> float:
        return float(torch.autograd.grad(term, pictures, retain_graph=True)[0].norm())

    assert pull(balance_terms(loss, [strong], pictures)) == pytest.approx(pull(loss), rel=1e-4)
    assert pull(balance_terms(loss, [weak], pictures)) == pytest.approx(pull(weak), rel=1e-4)
    assert pull(balance_terms(loss, [strong, strong], pictures)) == pytest.approx(pull(loss), rel=1e-4)


def test_the_critics_norm_is_a_batch_norm():
    pictures = 3 * torch.randn(4, 5, 6, 7) + 2
    torch.testing.assert_close(SharedNorm(5)(pictures), F.batch_norm(pictures, None, None, training=True))


def test_shared_norm_keeps_what_is_small_beside_the_mean():
    torch.manual_seed(0)
    small = torch.randn(4, 3, 8, 8)
    plain, shifted = SharedNorm(3)(small), SharedNorm(3)(0.1 * small + 300)
    torch.testing.assert_close(shifted, plain, atol=0.02, rtol=0)
