"""How late the clips' pictures are against their sound, as the landmark network itself finds out."""

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
    """What is trained: the landmark generator and the speech encoder's gate, as one network."""

    def __init__(self, generator: LandmarkGenerator, gate: nn.Module) -> None:
        super().__init__({"generator": generator, "gate": gate})

    def forward(
        self, acoustic: Tensor, emotion: Tensor, identity: Tensor, frames: int, samples: Tensor
    ) -> Tensor:
        """Displacements (B, F, 68, 2) of F frames from identities (B, 68, 2), in face units, from acoustic
        features (B, T, D), emotion (B, E) and, where the generator hears them, samples (B, n).
        """
        features = SpeechFeatures(acoustic, self["gate"](acoustic, emotion), emotion, samples=samples)
        return self["generator"](features, identity, frames)


@torch.no_grad()
def measure_lags(
    net: LandmarkNetworks, speakers: Sequence[str], examples: Sequence[Example], device: torch.device
) -> dict[str, list]:
    """How late each clip's picture comes after its sound, in frames, and how far the network trusts it.

    The network itself may be early or late; speakers vote on that, one vote each. A clip's trust is
    its correlation at its lag, at least 0.1.
    """
    found: list[int | None] = []
    trust: list[float] = []
    for example in examples:
        acoustic, emotion = example.acoustic.float().to(device), example.emotion.to(device)
        identity = example.identity[None].to(device)
        samples = example.samples.float().to(device)
        moved = net(acoustic, emotion, identity, len(example.ok), samples)[0].cpu()
        opening, seen = (
            lm.mouth_opening((d + example.identity).numpy()) for d in (moved, example.displacements)
        )
        seen = np.where(example.ok.numpy(), seen, np.nan)
        lag, at_lag = best_lag(seen, opening, MAX_LAG)
        at_lag, at_zero = np.nan_to_num([at_lag, correlation(seen, opening)]).tolist()
        found.append((lag if at_lag > at_zero + 0.02 else 0) if at_lag > 0.4 else None)
        trust.append(max(0.1, at_lag))
    votes: dict[str, list[int]] = {}
    for speaker, vote in zip(speakers, found, strict=True):
        if vote is not None:
            votes.setdefault(speaker, []).append(vote)
    centre = round(float(np.mean([np.median(lags) for lags in votes.values()]))) if votes else 0
    return {"lags": [0 if vote is None else vote - centre for vote in found], "trust": trust}
