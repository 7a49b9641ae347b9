"""Principal components of landmark displacements: the basis of the landmark generator's output."""

from collections.abc import Iterable

import numpy as np
import torch

from atldiff import landmarks as lm
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.training.landmarks.clips import SpeechClip

MOUTH_WEIGHT = 2.0  # of the mouth's coordinates


def fit_components(generator: LandmarkGenerator, clips: Iterable[SpeechClip]) -> None:
    """Sets the generator's basis to the principal components of the clips' displacements."""
    weights = np.ones((lm.NUM_LANDMARKS, 2))
    weights[lm.MOUTH] = MOUTH_WEIGHT
    weight = weights.reshape(-1)
    count, total, products = 0, np.zeros(len(weight)), np.zeros((len(weight), len(weight)))
    for clip in clips:
        displacements = clip.displacements[clip.ok][::3]
        both = (
            np.concatenate([displacements, lm.mirror(displacements, 0.0)])
            .reshape(-1, len(weight))
            .astype(np.float64)
        )
        count, total, products = count + len(both), total + both.sum(0), products + both.T @ both
    mean = total / count
    covariance = (products / count - np.outer(mean, mean)) * np.outer(weight, weight)
    variances, columns = np.linalg.eigh(covariance)  # a complete basis even from few frames
    order = np.argsort(-variances)[: len(generator.scale)]
    generator.basis.copy_(torch.from_numpy(columns[:, order].T / weight))
    generator.scale.copy_(torch.from_numpy(np.sqrt(variances[order].clip(min=0))))
    generator.mean.copy_(torch.from_numpy(mean))
