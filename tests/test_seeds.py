"""Each test draws the same numbers in any order of tests."""

import random

import numpy as np
import pytest
import torch


def drawn() -> tuple[float, float, float]:
    return random.random(), np.random.random(), torch.rand(1, dtype=torch.float64).item()  # noqa: NPY002


def expected() -> tuple[float, float, float]:
    generator = torch.Generator().manual_seed(0)
    sampled = torch.rand(1, dtype=torch.float64, generator=generator).item()
    return random.Random(0).random(), np.random.RandomState(0).random(), sampled


@pytest.fixture(scope="module")
def of_the_module() -> tuple[float, float, float]:
    return drawn()


def test_fixtures_of_a_module_are_made_from_the_seed(of_the_module):
    assert of_the_module == expected()


@pytest.mark.parametrize("time", [1, 2])
def test_each_test_begins_from_the_seed(time):
    assert drawn() == expected()
