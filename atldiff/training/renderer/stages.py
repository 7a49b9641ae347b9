"""Settings of the renderer's training stages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """Settings of one stage.

    Attributes:
        frames: frames a window; presets have their own number for the temporal stage.
        batch: windows a batch of each process.
        steps: optimiser steps.
        learning_rate: peak; it falls linearly over the last fifth.
        critic_from: step at which the critic joins.
        critic_lead: steps in which the critic then learns alone; at most a tenth of all.
        adversarial: weight of the critic's gradient against that of the loss on pictures.
        matching: weight of the feature matching loss.
        fine_share: weight of fine detail inside the mouth (1 = as elsewhere).
        coarse_share: weight of coarse colours inside the mouth (1 = as elsewhere).
        share_of_last: share of samples at t = T - 1, the only timestep of one-step sampling.
        warmup: steps of the linear warm-up.
        ema: decay of the averaged weights.
        save_seconds: seconds between validations.
    """

    frames: int
    batch: int
    steps: int
    learning_rate: float
    critic_from: int = 0
    critic_lead: int = 500
    adversarial: float = 9.0
    matching: float = 1.0
    fine_share: float = 0.08
    coarse_share: float = 0.18
    share_of_last: float = 0.8
    warmup: int = 50
    ema: float = 0.996
    save_seconds: float = 240.0


STAGES = {"spatial": Stage(1, 16, 14500, 5e-4, critic_from=500), "temporal": Stage(6, 3, 600, 1e-4)}
