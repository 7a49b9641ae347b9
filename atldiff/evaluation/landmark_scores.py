"""How well landmarks predicted from speech follow the true ones, in face units (inter-ocular distance 1)."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from atldiff.evaluation.landmark_metrics import (
    best_lag,
    correlation,
    relative_landmark_distance,
    silent_lip_motion,
)
from atldiff.landmarks import MOUTH, mouth_opening
from atldiff.media.audio import Speech, voice_activity
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.speech_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder

MAX_LAG = 6  # frames searched for the audio-video lag


class SpokenClip(Protocol):
    """A recording with what the face really did (`training.speech_clips.SpeechClip` is one).

    Attributes:
        displacements: (F, 68, 2) face units at 30 fps, from `identity` (68, 2).
        ok: (F,) bool, the frame was tracked.
    """

    @property
    def stem(self) -> str:
        """Its name."""

    @property
    def displacements(self) -> np.ndarray:
        """(F, 68, 2), as above."""

    @property
    def identity(self) -> np.ndarray:
        """(68, 2), as above."""

    @property
    def ok(self) -> np.ndarray:
        """(F,), as above."""

    @property
    def speech(self) -> Speech:
        """Its sound."""


def clip_scores(clip: SpokenClip, predicted: np.ndarray) -> dict[str, float]:
    """Scores of predicted landmarks (F, 68, 2) against one clip's; a flat curve correlates with none: 0.

    LMD is in % of the inter-ocular distance; `still_*` that of a face that never moves; `silent_lip_motion`
    is NaN where the recording has no silence.
    """
    true, ok = clip.displacements + clip.identity, clip.ok
    still = np.broadcast_to(clip.identity, true.shape)
    opening, wanted = mouth_opening(predicted), np.where(ok, mouth_opening(true), np.nan)
    lag, at_lag = best_lag(wanted, opening, MAX_LAG)
    scores = {
        "correlation": float(np.nan_to_num(correlation(opening, wanted))),
        "lag": float(lag),
        "correlation_at_lag": float(np.nan_to_num(at_lag)),
        "deviation_ratio": float(opening[ok].std() / max(wanted[ok].std(), 1e-6)),
    }
    for name, points in (("", predicted), ("still_", still)):
        scores[f"{name}lmd"] = float(relative_landmark_distance(points, true)[ok].mean())
        scores[f"{name}m_lmd"] = float(relative_landmark_distance(points, true, MOUTH)[ok].mean())
    activity = voice_activity(clip.speech)[: len(ok)]
    return scores | {"silent_lip_motion": silent_lip_motion(predicted[: len(activity)], activity)}


def validate_landmarks(
    encoder: StarterSpeechEncoder | Wav2Vec2SpeechEncoder,
    generator: LandmarkGenerator,
    clips: Sequence[SpokenClip],
) -> dict:
    """Scores on clips of people that training never saw.

    Returns:
        mean of every score over the clips that have it (see `clip_scores`; `lag`, frames by which the true
        lips come after the predicted, is the median, `lag_of_all` that of all clips' curves together), and
        `clips`: the scores of each.
    """
    scores, curves = {}, []
    for clip in clips:
        predicted = generator.predict(encoder.encode(clip.speech), clip.identity, len(clip.ok))
        scores[clip.stem] = clip_scores(clip, predicted)
        true = mouth_opening(clip.displacements + clip.identity)
        curves.append((np.where(clip.ok, true, np.nan), mouth_opening(predicted)))
    table = {
        name: np.array([score[name] for score in scores.values()]) for name in next(iter(scores.values()))
    }
    report: dict = {name: _mean(column) for name, column in table.items()}
    report["lag"] = float(np.median(table["lag"]))
    report["lag_of_all"] = best_lag(*_joined(curves), MAX_LAG)[0]
    return report | {"clips": scores}


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _joined(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """All clips' (true, predicted) in one pair, each standardised, with MAX_LAG frames of nothing between."""
    parts = []
    for pair in curves:
        where = np.isfinite(pair[0])
        flat = [(curve - curve[where].mean()) / (curve[where].std() + 1e-6) for curve in pair]
        parts.append([np.pad(curve, (0, MAX_LAG), constant_values=np.nan) for curve in flat])
    true, predicted = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return true, predicted
