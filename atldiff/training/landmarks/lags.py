"""The lag of each clip's pictures behind its sound, measured by the landmark network itself."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from atldiff import landmarks as lm
from atldiff.evaluation.landmark_scores import MAX_LAG
from atldiff.evaluation.landmarks import best_lag, correlation
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.training.landmarks.encoded import Example


class LandmarkNetworks(nn.ModuleDict):
    """The landmark generator and the speech encoder's gate, trained as one network."""

    def __init__(self, generator: LandmarkGenerator, gate: nn.Module) -> None:
        super().__init__({"generator": generator, "gate": gate})

    def forward(
        self, acoustic: Tensor, emotion: Tensor, identity: Tensor, frames: int, samples: Tensor
    ) -> Tensor:
        """Predicts displacements from the identity.

        Args:
            acoustic: (B, T, D) features.
            emotion: (B, E) embedding.
            identity: (B, 68, 2) face units.
            frames: F.
            samples: (B, n), n = 0 if the generator does not take the waveform.

        Returns:
            (B, F, 68, 2) face units.
        """
        features = SpeechFeatures(acoustic, self["gate"](acoustic, emotion), emotion, samples=samples)
        return self["generator"](features, identity, frames)


@torch.no_grad()
def measure_lags(
    net: LandmarkNetworks, speakers: Sequence[str], examples: Sequence[Example], device: torch.device
) -> dict[str, list]:
    """Measures how many frames each clip's picture comes after its sound, and how reliable the clip is.

    The network may be early or late as a whole; the speakers' median lags, averaged, correct that.

    Args:
        speakers: (N,) names.
        examples: (N,) clips.

    Returns:
        "lags": (N,) frames; "trust": (N,) correlation at the lag, at least 0.1.
    """
    votes_of_clips: list[int | None] = []
    trust: list[float] = []
    for example in examples:
        acoustic, emotion = example.acoustic.float().to(device), example.emotion.to(device)
        identity = example.identity[None].to(device)
        samples = example.samples.float().to(device)
        displacements = net(acoustic, emotion, identity, len(example.ok), samples)[0].cpu()
        opening, truth = (
            lm.mouth_opening((d + example.identity).numpy()) for d in (displacements, example.displacements)
        )
        truth = np.where(example.ok.numpy(), truth, np.nan)
        lag, at_lag = best_lag(truth, opening, MAX_LAG)
        at_lag, at_zero = np.nan_to_num([at_lag, correlation(truth, opening)]).tolist()
        votes_of_clips.append((lag if at_lag > at_zero + 0.02 else 0) if at_lag > 0.4 else None)
        trust.append(max(0.1, at_lag))
    votes: dict[str, list[int]] = {}
    for speaker, vote in zip(speakers, votes_of_clips, strict=True):
        if vote is not None:
            votes.setdefault(speaker, []).append(vote)
    centre = round(float(np.mean([np.median(lags) for lags in votes.values()]))) if votes else 0
    return {"lags": [0 if vote is None else vote - centre for vote in votes_of_clips], "trust": trust}
