"""The stages of the renderer's training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """Settings of one stage.

    Attributes:
        frames: of a window; of the temporal stage a preset has its own.  batch: windows.
        learning_rate: peak; it falls linearly over the last fifth.
        critic_from: step at which the critic joins.  critic_lead: steps in which it then learns alone, so
            that what it asks for makes sense when it is first heard; at most a tenth of all.
        adversarial: how hard it pulls at the pictures, beside the loss on them.  matching: weight of its
            features' loss.
        fine_share, coarse_share: of the loss inside the mouth is on its fine detail and on its coarse
            colours, which are else left to the critic.
        share_of_last: of the samples are at t = T - 1, the only timestep that one-step sampling sees.
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
