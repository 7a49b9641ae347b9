"""A judge of head motion: a logistic regression that separates generated motion from real people's.

- 32 features describe a window of 4 s: range, speed and pace of each part, correlations of parts, and the
  relation of motion to voice.
- The measure is the area under its ROC curve on people outside its training: 0.5 = no difference, 1 = always
  correct.
"""

from collections.abc import Sequence

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.evaluation.judge import area_under_curve
from atldiff.sequence import HEAD_PARTS
from atldiff.speech.motion.head_motion import MOVES, Bank, head_moves

WINDOW = 4 * FRAME_RATE  # frames
BANDS = (0.5, 1.0, 2.0, 4.0)  # Hz, borders of the frequency bands
_SPEECH = 0.3  # least loudness of speech
_TINY = 1e-4
FEATURES = 32


def windows(track: np.ndarray, step: int = WINDOW) -> np.ndarray:
    """Windows (N, WINDOW, C) of a track (F, C), one every `step` frames."""
    starts = range(0, len(track) - WINDOW + 1, step)
    return np.array([track[i : i + WINDOW] for i in starts]).reshape(-1, WINDOW, track.shape[1])


def motion_features(poses: np.ndarray, loudness: np.ndarray) -> np.ndarray:
    """The judge's features of windows of motion.

    Args:
        poses: (N, F, 6) yaw, pitch, roll in degrees, shift x, y in inter-ocular distances, log size.
        loudness: (N, F) loudness of the voice, about 0 to 1.

    Returns:
        (N, 32) float64. Logarithms of 6 deviations, 5 speeds and 3 accelerations. 9 shares of power in bands.
        5 correlations. Logarithms of 3 ratios of the speed in speech over that in pauses. The share of still
        frames.
    """
    poses = np.asarray(poses, np.float64)
    speed = np.abs(np.diff(poses, axis=1)) * FRAME_RATE
    acceleration = np.diff(poses[..., :3], 2, axis=1) * float(FRAME_RATE) ** 2
    spoken = loudness[:, 1:] > _SPEECH
    columns = [
        np.log(poses.std(axis=1) + _TINY),
        np.log(speed[..., :5].mean(axis=1) + _TINY),
        np.log(np.sqrt((acceleration**2).mean(axis=1)) + _TINY),
        band_shares(poses[..., :3]).reshape(len(poses), -1),
        _correlation(poses[..., 0], poses[..., 3]),
        _correlation(poses[..., 0], poses[..., 2]),
        _correlation(poses[..., 1], poses[..., 4]),
        _correlation(loudness, poses[..., 1]),
        _correlation(loudness[:, 1:], speed[..., :3].sum(axis=2)),
        _log_ratio(speed[..., :3], spoken),
        (speed[..., :3].max(axis=2) < 1.5).mean(axis=1, keepdims=True),
    ]
    features = np.concatenate(columns, axis=1)
    assert features.shape[1] == FEATURES, features.shape
    return features


def band_shares(values: np.ndarray) -> np.ndarray:
    """Share of the power of (N, F, C) values, less their mean, between neighbouring BANDS: (N, bands, C)."""
    count = values.shape[1]
    tapered = (values - values.mean(axis=1, keepdims=True)) * np.hanning(count)[:, None]
    power = np.abs(np.fft.rfft(tapered, axis=1)) ** 2
    frequency = np.fft.rfftfreq(count, 1 / FRAME_RATE)
    total = power[:, 1:].sum(axis=1) + 1e-12
    borders = zip(BANDS[:-1], BANDS[1:], strict=True)
    parts = [power[:, (frequency >= low) & (frequency < high)].sum(axis=1) / total for low, high in borders]
    return np.stack(parts, axis=1)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation (N, 1) of (N, F) with (N, F); 0 if one of them is constant."""
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return ((a * b).sum(axis=1) / np.maximum(size, 1e-9))[:, None]


def _log_ratio(speed: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    """Log ratio (N, C) of the mean speed (N, F, C) in speech (N, F) to that in pauses."""

    def mean(where: np.ndarray) -> np.ndarray:
        return (speed * where[..., None]).sum(axis=1) / np.maximum(where.sum(axis=1), 1)[:, None] + 0.1

    both = np.asarray(spoken.any(axis=1) & ~spoken.all(axis=1))
    return np.log(mean(spoken) / mean(~spoken)) * both[:, None]


def logistic(features: np.ndarray, labels: np.ndarray, ridge: float = 1.0) -> np.ndarray:
    """Weights (D + 1,) of a ridge logistic regression by Newton's method; the last is the free constant.

    Args:
        features: (N, D), roughly standardised.
        labels: (N,) 0 or 1.
    """
    design = np.column_stack([features, np.ones(len(features))])
    penalty = ridge * np.eye(design.shape[1])
    penalty[-1, -1] = 1e-6
    weights = np.zeros(design.shape[1])
    for _ in range(25):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (chance - labels) + penalty @ weights
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def judge_auc(
    real: np.ndarray, generated: np.ndarray, real_people: Sequence[str], voices: Sequence[str], folds: int = 5
) -> float:
    """Area under the ROC curve of the judge, by cross-validation over people.

    Args:
        real, generated: (N, 32) and (M, 32) features.
        real_people: (N,) names of the moving people.
        voices: (M,) names of the people to whose voice the motion was generated.
        folds: parts of the people; the others' features train the judge of each.
    """
    features = np.concatenate([real, generated])
    labels = np.concatenate([np.ones(len(real)), np.zeros(len(generated))])
    people = np.array([*real_people, *voices])
    names = np.unique(people)
    assert len(names) >= folds, f"{len(names)} people for {folds} folds"
    part = {name: i % folds for i, name in enumerate(np.random.default_rng(0).permutation(names))}
    fold = np.array([part[name] for name in people])
    scores = np.zeros(len(features))
    for number in range(folds):
        learn, ask = fold != number, fold == number
        mean, spread = features[learn].mean(axis=0), features[learn].std(axis=0) + 1e-6
        weights = logistic((features[learn] - mean) / spread, labels[learn])
        scores[ask] = (features[ask] - mean) / spread @ weights[:-1] + weights[-1]
    return area_under_curve(scores[labels == 1], scores[labels == 0])


def halvings(people: Sequence[str], count: int = 5, seed: int = 0) -> list[tuple[set[str], set[str]]]:
    """`count` random halvings of the people, each as (one half, other half)."""
    names, rng = sorted(set(people)), np.random.default_rng(seed)
    orders = [rng.permutation(names) for _ in range(count)]
    return [(set(names[: len(names) // 2]), set(names[len(names) // 2 :])) for names in orders]


def judge_bank(pieces: Sequence[tuple[str, np.ndarray]], count: int = 5) -> list[float]:
    """Judges generated motion: a bank of one half of the people against the real motion of the other half.

    Args:
        pieces: (name, track (F, MOVES + 1)) from `training.data.head_tracks.training_tracks`.
        count: halvings of the people.

    Returns:
        `judge_auc` of each halving.
    """
    areas = []
    for ours, theirs in halvings([name for name, _ in pieces], count):
        bank = Bank.from_tracks([track for name, track in pieces if name in ours])
        real: list[np.ndarray] = []
        generated: list[np.ndarray] = []
        people: list[str] = []
        for name, track in pieces:
            if name not in theirs or len(track) < WINDOW:
                continue
            voice = track[:, MOVES]
            moves = head_moves(voice, len(track), len(people), bank=bank)
            voices = windows(voice[:, None])[..., 0]
            real.append(motion_features(windows(track[:, :HEAD_PARTS]), voices))
            generated.append(motion_features(windows(moves[:, :HEAD_PARTS]), voices))
            people += [name] * len(voices)
        areas.append(judge_auc(np.concatenate(real), np.concatenate(generated), people, people))
    return areas
