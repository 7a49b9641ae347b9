"""Emotions as sums of facial actions (Ekman and Friesen's coding system), with the head's pose.

- An emotion rises and falls with the voice. A video begins with the photo's own face.
- An emotion never opens or closes the lips: both points of an inner-lip pair move alike.
- Limits keep brows away from lids, and eyes from closing or bulging.
- A photo's own smile fades before an emotion that does not smile.
"""

import json
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from atldiff.config import WEIGHTS
from atldiff.errors import InputError
from atldiff.landmarks import (
    BROWS,
    LIDS_BELOW_BROWS,
    LOWER_INNER_LIP,
    LOWER_LIDS,
    NUM_LANDMARKS,
    UPPER_INNER_LIP,
    UPPER_LIDS,
    FaceFrame,
)
from atldiff.smoothstep import smoothstep

TABLE = WEIGHTS / "starter" / "facial_actions.json"
MAX_STRENGTH = 1.5
RECOGNISED_FEELING = 0.5  # share of the strength for an emotion that the voice has, not the options
NEAREST_BROW = 0.7  # least distance from brow to lid, share of the photo's
MOST_NARROWING, MOST_WIDENING = 0.22, 0.35  # largest changes of an eye's opening, share of the photo's
QUIET = 0.6  # share of the emotion in a pause
AHEAD = 15  # frames of the voice that the face reacts to in advance
MOST_SMILE = 1.3
SMILE_FADE = 0.7  # share of a photo's smile that fades before an emotion that does not smile
_RISE = 15  # frames in which the emotion rises from the photo's face
_RISE_TIME, _FALL_TIME = 6.0, 20.0  # frames; time constants of two filters in a row
# Width of a mouth and height of its corners above its middle: at rest, and the addition of a smile.
_REST_MOUTH, _SMILE_CHANGE = (0.57, 0.02), (0.15, 0.06)


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
        {"AU1": 1.1, "AU2": 0.45, "AU4": 0.65, "AU5": 1.3, "AU20": 1.2, "AU26": 0.1}, (3, -3, -2)
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
    """Adds an emotion to landmarks.

    Args:
        points: (F, 68, 2) of the unturned head with open eyes, any unit; blinks come later.
        identity: (68, 2) the photo's landmarks, same unit.
        emotion: one of EMOTIONS.
        strength: 0 = none, 1 = as actors show it, at most 1.5.
        activity: (F,) of the voice, 0 to 1.

    Returns:
        (F, 68, 2) landmarks with the inner-lip gaps of `points`, and (F, 6) poses of the head (see
        `rendering.warp.turn`), which add to its motion.

    Raises:
        InputError: no such emotion, or a strength beyond 0 to 1.5.
    """
    if emotion not in EMOTIONS:
        raise InputError(f"There is no emotion {emotion[:40]!r}", f"Choose one of {', '.join(EMOTIONS)}")
    if not 0 <= strength <= MAX_STRENGTH:
        raise InputError(f"A feeling cannot be {strength:g} strong", f"Choose from 0 to {MAX_STRENGTH:g}")
    frame, amount = FaceFrame.from_landmarks(np.asarray(identity, np.float64)), strength * envelope(activity)
    motion, pose = facial_expression(frame.to_face(np.asarray(identity, np.float64)), emotion, amount)
    return points + frame.vectors_from_face(motion), pose


def facial_expression(rest: np.ndarray, emotion: str, amount: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The motion of an emotion in each frame.

    Args:
        rest: (68, 2) of the photo, face units.
        emotion: one of EMOTIONS.
        amount: (F,) 0 = none, 1 = as actors show it.

    Returns:
        (F, 68, 2) displacements in face units, and (F, 6) poses of the head.
    """
    motion = amount[:, None, None] * displacement(emotion)
    if not EMOTIONS[emotion].smiles:
        fading = np.minimum(amount, 1)[:, None, None] * SMILE_FADE * smile(rest)
        motion = motion - fading * facial_actions()["AU12"]
    motion = _align_lips(_limit_lids(_limit_brows(motion, rest), rest))
    pose = np.zeros((len(amount), 6))
    pose[:, :3] = amount[:, None] * EMOTIONS[emotion].head
    return motion, pose


def displacement(emotion: str) -> np.ndarray:
    """The sum of an emotion's actions at strength 1, without limits: (68, 2) face units."""
    total = np.zeros((NUM_LANDMARKS, 2))
    for name, weight in EMOTIONS[emotion].actions.items():
        action, _, side = name.partition(" ")
        total += weight * facial_actions()[action] * (_side(side) if side else 1)
    return total


def envelope(activity: np.ndarray) -> np.ndarray:
    """The strength (F,) in [0, 1] of an emotion during voice activity (F,); it rises faster than it falls."""
    stream = Envelope()
    return np.concatenate([stream.push(activity), stream.flush()])


class Envelope:
    """`envelope` of a live voice; a frame needs the next AHEAD frames of the voice."""

    def __init__(self) -> None:
        self._voice, self._stages, self._frame = np.zeros(0), np.ones(2), 0

    def push(self, activity: np.ndarray) -> np.ndarray:
        """Takes the activity (n,) of further frames; returns the strength (m,) of all ready frames."""
        self._voice = np.concatenate([self._voice, np.clip(activity, 0, 1)])
        count = max(0, len(self._voice) - AHEAD)
        amounts = np.array([self._next(self._voice[i + AHEAD - 3 : i + AHEAD + 1]) for i in range(count)])
        self._voice = self._voice[count:]
        return amounts

    def flush(self) -> np.ndarray:
        """Returns the strength (m,) of the remaining frames, as if the voice continued."""
        return self.push(np.full(AHEAD, self._voice[-1])) if len(self._voice) else np.zeros(0)

    def _next(self, voice: np.ndarray) -> float:
        target = float(voice.mean())
        for stage in range(2):
            pace = _RISE_TIME if target > self._stages[stage] else _FALL_TIME
            self._stages[stage] += (target - self._stages[stage]) / pace
            target = float(self._stages[stage])
        rise = float(smoothstep(0, _RISE, np.array(self._frame)))
        self._frame += 1
        return (QUIET + (1 - QUIET) * target) * rise


def smile(rest: np.ndarray) -> float:
    """Measures the smile of a face (68, 2), face units, by the mouth's width and the height of its corners.

    Returns:
        0 = no smile, 1 = as AU12 of the table, at most MOST_SMILE.
    """
    width = float(np.linalg.norm(rest[54] - rest[48]))
    lift = float(rest[[62, 66], 1].mean() - rest[[48, 54], 1].mean())
    parts = [(x - r) / a for x, r, a in zip((width, lift), _REST_MOUTH, _SMILE_CHANGE, strict=True)]
    return float(np.clip(np.mean(parts), 0, MOST_SMILE))


def _side(side: str) -> np.ndarray:
    """Weights (68, 1): 1 on the picture's side "left" or "right", 0.5 on the middle line, 0 elsewhere."""
    left = np.zeros(NUM_LANDMARKS)
    middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    side_points = [*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67]
    left[side_points], left[middle] = 1, 0.5
    assert side in ("left", "right"), side
    return (left if side == "left" else 1 - left)[:, None]


def _align_lips(motion: np.ndarray) -> np.ndarray:
    """Gives both points of each inner-lip pair the mean of their displacements (F, 68, 2)."""
    motion, upper, lower = motion.copy(), list(UPPER_INNER_LIP), list(LOWER_INNER_LIP)
    mean = (motion[:, upper] + motion[:, lower]) / 2
    motion[:, upper] = motion[:, lower] = mean
    return motion


def _limit_brows(motion: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Limits displacements (F, 68, 2) of brows, so that NEAREST_BROW of the distance to the lid remains."""
    motion = motion.copy()
    most = (1 - NEAREST_BROW) * np.maximum(rest[LIDS_BELOW_BROWS, 1] - rest[BROWS, 1], 0)
    motion[:, BROWS, 1] = np.minimum(motion[:, BROWS, 1], most)
    return motion


def _limit_lids(motion: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Limits displacements (F, 68, 2) of lids to MOST_NARROWING and MOST_WIDENING of the eye."""
    motion, upper, lower = motion.copy(), list(UPPER_LIDS), list(LOWER_LIDS)
    opening = np.maximum(rest[lower, 1] - rest[upper, 1], 1e-6)
    change = (motion[:, lower, 1] - motion[:, upper, 1]) / opening
    limit = np.clip(change, -MOST_NARROWING, MOST_WIDENING) / np.where(change == 0, 1, change)
    scale = np.where(change == 0, 1, limit)
    motion[:, upper, 1] *= scale
    motion[:, lower, 1] *= scale
    return motion
