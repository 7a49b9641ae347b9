"""Scores of landmarks predicted from speech against true ones, in face units (inter-ocular distance 1)."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from atldiff.evaluation.landmarks import (
    best_lag,
    correlation,
    mouth_roundness,
    mouth_width,
    relative_landmark_distance,
    silent_lip_motion,
)
from atldiff.landmarks import MOUTH, mouth_opening
from atldiff.media.speech import Speech, voice_activity
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.motion.bilabials import AFTER, BEFORE, close_bilabials, recognised_bilabials
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder

CLOSED = 0.01  # inter-ocular distances; the largest opening of closed lips
MAX_LAG = 6  # frames; the largest audio-video lag that is searched


class SpokenClip(Protocol):
    """A recording with the true landmarks, such as `training.landmarks.clips.SpeechClip`."""

    @property
    def stem(self) -> str:
        """Name of the clip."""

    @property
    def displacements(self) -> np.ndarray:
        """(F, 68, 2) face units at 30 fps, from `identity`."""

    @property
    def identity(self) -> np.ndarray:
        """(68, 2) face units."""

    @property
    def ok(self) -> np.ndarray:
        """(F,) bool, the frame is tracked."""

    @property
    def speech(self) -> Speech:
        """The sound."""


def clip_scores(
    clip: SpokenClip, predicted: np.ndarray, bilabials: np.ndarray | None = None
) -> dict[str, float]:
    """Scores of predicted landmarks against one clip's true ones.

    Args:
        clip: the recording with its true landmarks.
        predicted: (F, 68, 2) face units.
        bilabials: (N,) frames of bilabial sounds; None: unknown.

    Returns:
        correlation, correlation_at_lag: of the mouth's opening; 0 for a flat curve;
        lag: frames by which the true lips come after the predicted ones;
        deviation_ratio: deviation of the opening, predicted over true;
        width_correlation, roundness_correlation: of the mouth's width, and of its height over its width;
        lmd, m_lmd, and still_lmd, still_m_lmd of a face without motion: % of the inter-ocular distance;
        bilabials_shut, and true_bilabials_shut of the true face: share of the bilabials with an opening up to
        CLOSED nearby; NaN without bilabials;
        silent_lip_motion: see the function; NaN without silence.
    """
    true, ok = clip.displacements + clip.identity, clip.ok
    still = np.broadcast_to(clip.identity, true.shape)
    opening, truth = mouth_opening(predicted), np.where(ok, mouth_opening(true), np.nan)
    lag, at_lag = best_lag(truth, opening, MAX_LAG)
    scores = {
        "correlation": float(np.nan_to_num(correlation(opening, truth))),
        "lag": float(lag),
        "correlation_at_lag": float(np.nan_to_num(at_lag)),
        "deviation_ratio": float(opening[ok].std() / max(truth[ok].std(), 1e-6)),
    }
    for name, measure in (("width", mouth_width), ("roundness", mouth_roundness)):
        curve = np.where(ok, measure(true), np.nan)
        scores[f"{name}_correlation"] = float(np.nan_to_num(correlation(measure(predicted), curve)))
    for name, points in (("", predicted), ("still_", still)):
        scores[f"{name}lmd"] = float(relative_landmark_distance(points, true)[ok].mean())
        scores[f"{name}m_lmd"] = float(relative_landmark_distance(points, true, MOUTH)[ok].mean())
    for name, curve in (("", opening), ("true_", truth)):
        scores[f"{name}bilabials_shut"] = shut_share(curve, bilabials)
    activity = voice_activity(clip.speech)[: len(ok)]
    return scores | {"silent_lip_motion": silent_lip_motion(predicted[: len(activity)], activity)}


def validate_landmarks(
    encoder: StarterSpeechEncoder | Wav2Vec2SpeechEncoder,
    generator: LandmarkGenerator,
    clips: Sequence[SpokenClip],
) -> dict:
    """Scores on clips of unseen people.

    Returns:
        The mean of each score of `clip_scores` over the clips that have it, but the median of `lag`;
        `lag_of_all`: the lag of all clips' curves together; `clips`: the scores of each clip by name.
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
    true, predicted = _join_curves(curves)
    report["lag_of_all"] = best_lag(true, predicted, MAX_LAG)[0]
    return report | {"clips": scores}


def shut_share(opening: np.ndarray, bilabials: np.ndarray | None) -> float:
    """Share of the bilabial frames (N,) with an opening (F,) up to CLOSED nearby; NaN if there are none."""
    if bilabials is None or not len(bilabials):
        return float("nan")
    spans = [opening[max(0, frame - BEFORE) : frame + AFTER + 1] for frame in bilabials]
    narrowest = [np.nanmin(span) for span in spans if np.isfinite(span).any()]
    return float(np.mean(np.array(narrowest) <= CLOSED)) if narrowest else float("nan")


def _mean(values: np.ndarray) -> float:
    """Mean of the finite values; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _join_curves(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Joins the clips' (true, predicted) curves into one pair, standardised, with MAX_LAG NaN between."""
    parts = []
    for pair in curves:
        where = np.isfinite(pair[0])
        flat = [(curve - curve[where].mean()) / (curve[where].std() + 1e-6) for curve in pair]
        parts.append([np.pad(curve, (0, MAX_LAG), constant_values=np.nan) for curve in flat])
    true, predicted = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return true, predicted
