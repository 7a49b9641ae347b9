"""How well landmarks predicted from speech follow the true ones, in face units (inter-ocular distance 1)."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from atldiff.evaluation.landmarks import (
    best_lag,
    correlation,
    relative_landmark_distance,
    silent_lip_motion,
)
from atldiff.landmarks import MOUTH, mouth_opening
from atldiff.media.speech import Speech, voice_activity
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.motion.bilabials import AFTER, BEFORE, close_bilabials, recognised_bilabials
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder

SHUT = 0.01  # inter-ocular distances between lips that touch
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


def clip_scores(
    clip: SpokenClip, predicted: np.ndarray, bilabials: np.ndarray | None = None
) -> dict[str, float]:
    """Scores of predicted landmarks (F, 68, 2) against one clip's; a flat curve correlates with none: 0.

    LMD is in % of the inter-ocular distance; `still_*` that of a face that never moves; `silent_lip_motion`
    is NaN where the recording has no silence. `bilabials_shut`, and `true_bilabials_shut` of the real face,
    is the share of the (N,) frames `bilabials` round which the lips come within SHUT; NaN if there are none.
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
    for name, curve in (("", opening), ("true_", wanted)):
        scores[f"{name}bilabials_shut"] = _shut_share(curve, bilabials)
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
        features = encoder.encode(clip.speech, waveform=generator.hears_waveform)
        predicted = generator.predict(features, clip.identity, len(clip.ok))
        bilabials = recognised_bilabials(features)
        if bilabials is not None:
            predicted = close_bilabials(predicted, bilabials)
        scores[clip.stem] = clip_scores(clip, predicted, bilabials)
        true = mouth_opening(clip.displacements + clip.identity)
        curves.append((np.where(clip.ok, true, np.nan), mouth_opening(predicted)))
    table = {
        name: np.array([score[name] for score in scores.values()]) for name in next(iter(scores.values()))
    }
    report: dict = {name: _mean(column) for name, column in table.items()}
    report["lag"] = float(np.median(table["lag"]))
    report["lag_of_all"] = best_lag(*_joined(curves), MAX_LAG)[0]
    return report | {"clips": scores}


def _shut_share(opening: np.ndarray, bilabials: np.ndarray | None) -> float:
    if bilabials is None or not len(bilabials):
        return float("nan")
    spans = [opening[max(0, frame - BEFORE) : frame + AFTER + 1] for frame in bilabials]
    narrowest = [np.nanmin(span) for span in spans if np.isfinite(span).any()]
    return float(np.mean(np.array(narrowest) <= SHUT)) if narrowest else float("nan")


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
