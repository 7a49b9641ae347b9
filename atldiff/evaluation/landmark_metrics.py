"""How well predicted landmarks follow the true ones; all in face units (inter-ocular distance 1)."""

from pathlib import Path

import numpy as np

from atldiff.landmarks import LOWER_INNER_LIP, MOUTH, UPPER_INNER_LIP
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.speech_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder
from atldiff.training.speech_clips import SpeechClip, load_speech_clips

MAX_LAG = 6  # frames searched for the audio-video lag
QUIET = 10 ** (-40 / 20)  # a frame this far below the recording's loud parts is silence


def lip_gap(points: np.ndarray) -> np.ndarray:
    """Mean distance (F,) of the inner lips of landmarks (F, 68, 2), in their unit."""
    gap = points[:, UPPER_INNER_LIP] - points[:, LOWER_INNER_LIP]
    return np.linalg.norm(gap, axis=-1).mean(-1)


def correlation(predicted: np.ndarray, true: np.ndarray, ok: np.ndarray) -> float:
    """Pearson correlation of two curves (F,) over the frames that are ok (F,); 0 where one is flat."""
    a, b = predicted[ok], true[ok]
    if len(a) < 2 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def best_lag(
    predicted: np.ndarray, true: np.ndarray, ok: np.ndarray, max_lag: int = MAX_LAG
) -> tuple[int, float]:
    """The lag in frames at which the curves (F,) agree best, and their correlation there.

    Positive: the true curve comes later than the predicted one.
    """
    scores = {}
    for lag in range(-max_lag, max_lag + 1):
        early, late = slice(max(0, -lag), len(ok) - max(0, lag)), slice(max(0, lag), len(ok) + min(0, lag))
        scores[lag] = correlation(predicted[early], true[late], ok[late])
    lag = max(scores, key=scores.get)
    return lag, scores[lag]


def landmark_distance(predicted: np.ndarray, true: np.ndarray, ok: np.ndarray) -> float:
    """LMD: mean distance of landmarks (F, P, 2), in % of the inter-ocular distance."""
    return 100 * float(np.linalg.norm(predicted - true, axis=-1)[ok].mean())


def quiet_frames(samples: np.ndarray, frames: int) -> np.ndarray:
    """(frames,) bool: nobody has spoken within 0.1 s of the frame, judged by loudness."""
    hop = len(samples) // frames
    loudness = np.sqrt((samples[: hop * frames].reshape(frames, hop) ** 2).mean(1))
    heard = loudness > QUIET * np.percentile(loudness, 95)
    return ~np.convolve(heard, np.ones(7), "same").astype(bool)


def clip_scores(clip: SpeechClip, predicted: np.ndarray) -> dict[str, float]:
    """Scores of predicted landmarks (F, 68, 2) against one clip's."""
    true, ok = clip.displacements + clip.identity, clip.ok
    opening, wanted = lip_gap(predicted), lip_gap(true)
    lag, at_lag = best_lag(opening, wanted, ok)
    return {
        "correlation": correlation(opening, wanted, ok),
        "lag": lag,
        "correlation_at_lag": at_lag,
        "deviation_ratio": float(opening[ok].std() / max(wanted[ok].std(), 1e-6)),
        "lmd": landmark_distance(predicted, true, ok),
        "m_lmd": landmark_distance(predicted[:, MOUTH], true[:, MOUTH], ok),
        "still_lmd": landmark_distance(np.broadcast_to(clip.identity, true.shape), true, ok),
        "still_m_lmd": landmark_distance(
            np.broadcast_to(clip.identity[MOUTH], true[:, MOUTH].shape), true[:, MOUTH], ok
        ),
    }


def validate_landmarks(
    encoder: StarterSpeechEncoder | Wav2Vec2SpeechEncoder, generator: LandmarkGenerator, data: Path
) -> dict:
    """Scores on the prepared validation clips: speech of people that training never saw.

    Returns:
        mean of every score over the clips (see `clip_scores`; `lag` is the median, `lag_of_all` the
        best lag of all clips' curves together), and `clips`: the scores of each.
    """
    clips = load_speech_clips(data, "val")
    scores, curves = {}, []
    for clip in clips:
        features = encoder.encode(clip.speech)
        predicted = generator.predict(features, clip.identity, len(clip.ok))
        scores[clip.stem] = clip_scores(clip, predicted)
        curves.append((lip_gap(predicted), lip_gap(clip.displacements + clip.identity), clip.ok))
    names = next(iter(scores.values()))
    report = {name: float(np.mean([score[name] for score in scores.values()])) for name in names}
    report["lag"] = float(np.median([score["lag"] for score in scores.values()]))
    report["lag_of_all"] = best_lag(*_joined(curves))[0]
    return report | {"clips": scores}


def _joined(curves: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """All clips' curves in one, each standardised, with MAX_LAG unused frames between them."""
    parts = []
    for predicted, true, ok in curves:
        flat = [(curve - curve[ok].mean()) / (curve[ok].std() + 1e-6) for curve in (predicted, true)]
        parts.append([np.pad(curve, (0, MAX_LAG)) for curve in (*flat, ok)])
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))
