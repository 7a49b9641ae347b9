"""Emotions as sums of facial actions (Ekman and Friesen's coding system), with the head's pose.

- An emotion rises and falls with the voice, and rises from the photo's own face at the beginning.
- It never opens or shuts the lips: both points of an inner-lip pair move alike.
- Brows keep away from the lids, eyes neither close nor bulge, a photo's smile goes before another emotion.
"""

import json
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from atldiff.config import WEIGHTS
from atldiff.errors import InputError
from atldiff.landmarks import (
    BROWS,
    LOWER_INNER_LIP,
    LOWER_LIDS,
    NUM_LANDMARKS,
    UPPER_INNER_LIP,
    UPPER_LIDS,
    FaceFrame,
)

TABLE = WEIGHTS / "starter" / "facial_actions.json"
MAX_STRENGTH = 1.5
NEAREST_BROW = 0.7  # of the photo's distance from brow to lid, that is always left
NARROWED, WIDENED = 0.22, 0.35  # of an eye's opening, the most that it loses and gains
QUIET = 0.6  # of the emotion that is left in a pause
AHEAD = 15  # frames by which the face knows the voice before it is heard
MOST_SMILE = 1.3
SMILE_GOES = 0.7  # of a photo's smile, before an emotion that does not smile
_RISE = 15  # frames in which the emotion rises from the photo's face
_FASTER, _SLOWER = 6.0, 20.0  # frames to rise and to fall, of two filters in a row
_LIDS_BELOW_BROWS = [36, 37, 38, 38, 39, 42, 43, 43, 44, 45]
# A mouth's width and how high its corners lie above its middle: of a mouth at rest, and what a smile adds.
_REST_MOUTH, _SMILE_ADDS = (0.57, 0.02), (0.15, 0.06)


@dataclass(frozen=True)
class Emotion:
    """A sum of facial actions.

    Attributes:
        actions: weight of each action of the table; a name that ends in " left" or " right" moves that side
            of the picture only.
        head: yaw, pitch, roll in degrees.
        smiles: whether a photo's own smile may stay.
    """

    actions: dict[str, float] = field(default_factory=dict)
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    smiles: bool = False


EMOTIONS = {
    "neutral": Emotion(smiles=True),
    "calm": Emotion({"AU12": 0.18, "AU6": 0.3, "AU1": 0.12}, (0, 0, 2), smiles=True),
    "happy": Emotion({"AU12": 1.0, "AU6": 1.0, "AU2": 0.25, "AU1": 0.15}, (0, -1.5, 3), smiles=True),
    "sad": Emotion({"AU1": 0.9, "AU4": 0.35, "AU15": 0.9, "AU17": 0.4, "AU7": 0.4}, (3, 5, -3)),
    "angry": Emotion({"AU4": 1.0, "AU5": 0.5, "AU7": 0.7, "AU23": 0.8, "AU17": 0.3}, (0, 4, 0)),
    "fearful": Emotion(
        {"AU1": 1.0, "AU2": 0.5, "AU4": 0.5, "AU5": 1.0, "AU20": 0.7, "AU26": 0.12}, (0, -3, 2)
    ),
    "disgust": Emotion(
        {"AU9": 1.0, "AU4": 0.45, "AU15": 0.4, "AU17": 0.5, "AU7": 0.7, "AU6": 0.3}, (-4, -2, 2)
    ),
    "surprised": Emotion({"AU1": 0.9, "AU2": 1.0, "AU5": 1.1, "AU26": 0.3}, (0, -3, 0)),
    "contempt": Emotion(
        {"AU12 right": 0.55, "AU14 right": 0.8, "AU2 right": 0.3, "AU7": 0.4}, (4, -4, -3), smiles=True
    ),
}


@lru_cache(maxsize=1)
def facial_actions() -> dict[str, np.ndarray]:
    """The table: displacements (68, 2) of each action at strength 1, face units."""
    table = {}
    for name, action in json.loads(TABLE.read_text(encoding="utf-8"))["actions"].items():
        table[name] = np.zeros((NUM_LANDMARKS, 2))
        for point, displacement in action["points"].items():
            table[name][int(point)] = displacement
    return table


def express(
    points: np.ndarray, identity: np.ndarray, emotion: str, strength: float, activity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shows an emotion.

    Args:
        points: (F, 68, 2) unturned landmarks, any unit; eyes open (blinks come after it).
        identity: (68, 2) the photo's landmarks, same unit.
        emotion: one of EMOTIONS.
        strength: 0 = none, 1 = as actors show it, at most 1.5.
        activity: (F,) of the voice, 0 to 1.

    Returns:
        (F, 68, 2) landmarks, and (F, 6) poses of the head to be added to its motion (degrees, see
        `rendering.turn`). The gaps between the inner lips are those of `points`.

    Raises:
        InputError: no such emotion, or a strength beyond 0 to 1.5.
    """
    if emotion not in EMOTIONS:
        raise InputError(f"There is no emotion {emotion[:40]!r}", f"Choose one of {', '.join(EMOTIONS)}")
    if not 0 <= strength <= MAX_STRENGTH:
        raise InputError(f"A feeling cannot be {strength:g} strong", f"Choose from 0 to {MAX_STRENGTH:g}")
    frame, amount = FaceFrame.from_landmarks(np.asarray(identity, np.float64)), strength * envelope(activity)
    rest = frame.to_face(np.asarray(identity, np.float64))
    motion = amount[:, None, None] * displacement(emotion)
    if not EMOTIONS[emotion].smiles:
        fading = np.minimum(amount, 1)[:, None, None] * SMILE_GOES * smile(rest)
        motion = motion - fading * facial_actions()["AU12"]
    motion = _align_lips(_limit_lids(_limit_brows(motion, rest), rest))
    pose = np.zeros((len(points), 6))
    pose[:, :3] = amount[:, None] * EMOTIONS[emotion].head
    return points + frame.vectors_from_face(motion), pose


def displacement(emotion: str) -> np.ndarray:
    """(68, 2) of an emotion at strength 1, before anything is limited; face units."""
    total = np.zeros((NUM_LANDMARKS, 2))
    for name, weight in EMOTIONS[emotion].actions.items():
        action, _, side = name.partition(" ")
        total += weight * facial_actions()[action] * (_side(side) if side else 1)
    return total


def envelope(activity: np.ndarray) -> np.ndarray:
    """How far an emotion shows (F,) in [0, 1] while a voice is active (F,): it rises faster than it falls."""
    stream = Envelope()
    return np.concatenate([stream.push(activity), stream.flush()])


class Envelope:
    """`envelope` of a voice that is still being heard; a frame needs AHEAD frames of what follows."""

    def __init__(self) -> None:
        self._voice, self._stages, self._frame = np.zeros(0), np.ones(2), 0

    def push(self, activity: np.ndarray) -> np.ndarray:
        """Takes the activity (n,) of further frames; gives (m,) of all frames that can be told now."""
        self._voice = np.concatenate([self._voice, np.clip(activity, 0, 1)])
        count = max(0, len(self._voice) - AHEAD)
        amounts = np.array([self._next(self._voice[i + AHEAD - 3 : i + AHEAD + 1]) for i in range(count)])
        self._voice = self._voice[count:]
        return amounts

    def flush(self) -> np.ndarray:
        """(m,) of the frames that are left, as if the voice went on."""
        return self.push(np.full(AHEAD, self._voice[-1])) if len(self._voice) else np.zeros(0)

    def _next(self, voice: np.ndarray) -> float:
        target = float(voice.mean())
        for stage in range(2):
            pace = _FASTER if target > self._stages[stage] else _SLOWER
            self._stages[stage] += (target - self._stages[stage]) / pace
            target = float(self._stages[stage])
        begin = min(self._frame / _RISE, 1.0)
        self._frame += 1
        return (QUIET + (1 - QUIET) * target) * begin * begin * (3 - 2 * begin)


def smile(rest: np.ndarray) -> float:
    """How far a face (68, 2), face units, smiles: by its mouth's width and how high the corners lie.

    Returns:
        0 = not at all, 1 = as AU12 of the table, at most MOST_SMILE.
    """
    width = float(np.linalg.norm(rest[54] - rest[48]))
    lift = float(rest[[62, 66], 1].mean() - rest[[48, 54], 1].mean())
    parts = [(x - r) / a for x, r, a in zip((width, lift), _REST_MOUTH, _SMILE_ADDS, strict=True)]
    return float(np.clip(np.mean(parts), 0, MOST_SMILE))


def _side(side: str) -> np.ndarray:
    """(68, 1) weights of the points on the picture's "left" or "right"; half on the middle line."""
    left = np.zeros(NUM_LANDMARKS)
    middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    of_left = [*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67]
    left[of_left], left[middle] = 1, 0.5
    assert side in ("left", "right"), side
    return (left if side == "left" else 1 - left)[:, None]


def _align_lips(motion: np.ndarray) -> np.ndarray:
    """Displacements (F, 68, 2) in which both points of each inner-lip pair move alike."""
    motion, upper, lower = motion.copy(), list(UPPER_INNER_LIP), list(LOWER_INNER_LIP)
    mean = (motion[:, upper] + motion[:, lower]) / 2
    motion[:, upper] = motion[:, lower] = mean
    return motion


def _limit_brows(motion: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Displacements (F, 68, 2) that leave each brow NEAREST_BROW of the photo's way to its lid."""
    motion = motion.copy()
    most = (1 - NEAREST_BROW) * np.maximum(rest[_LIDS_BELOW_BROWS, 1] - rest[BROWS, 1], 0)
    motion[:, BROWS, 1] = np.minimum(motion[:, BROWS, 1], most)
    return motion


def _limit_lids(motion: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Displacements (F, 68, 2) whose lids narrow or widen no eye by more than NARROWED and WIDENED."""
    motion, upper, lower = motion.copy(), list(UPPER_LIDS), list(LOWER_LIDS)
    opening = np.maximum(rest[lower, 1] - rest[upper, 1], 1e-6)
    change = (motion[:, lower, 1] - motion[:, upper, 1]) / opening
    limit = np.clip(change, -NARROWED, WIDENED) / np.where(change == 0, 1, change)
    scale = np.where(change == 0, 1, limit)
    motion[:, upper, 1] *= scale
    motion[:, lower, 1] *= scale
    return motion
