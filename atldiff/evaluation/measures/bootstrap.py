"""Means with confidence intervals, by bootstrap over people.

Clips of one person are alike, so people are drawn, not clips. The mean is that of the people's own means.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over people.

    Attributes:
        mean: mean of the people's means; NaN without values.
        low, high: ends of the 95 % interval; NaN with fewer than two people.
        people: number of people with a value.
    """

    mean: float
    low: float
    high: float
    people: int


def estimate(values: Sequence[float], people: Sequence[str], seed: int = 0) -> Estimate:
    """Estimates the mean of values, one a clip.

    Args:
        values: (N,) NaN = the clip has none.
        people: (N,) names.
        seed: of the draws; the same seed gives the same interval.
    """
    means = person_means(values, people)
    numbers = np.array(list(means.values()))
    if len(numbers) < 2:
        mean = float(numbers[0]) if len(numbers) else float("nan")
        return Estimate(mean, float("nan"), float("nan"), len(numbers))
    draws = np.random.default_rng(seed).choice(numbers, (DRAWS, len(numbers))).mean(axis=1)
    low, high = np.quantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(float(numbers.mean()), float(low), float(high), len(numbers))


def person_means(values: Sequence[float], people: Sequence[str]) -> dict[str, float]:
    """The mean value of each person who has one, by name."""
    rows: dict[str, list[float]] = {}
    for value, person in zip(values, people, strict=True):
        if np.isfinite(value):
            rows.setdefault(person, []).append(value)
    return {person: float(np.mean(rows[person])) for person in sorted(rows)}
