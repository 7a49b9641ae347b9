"""Edits a landmark sequence between the landmark network and the renderer.

- Landmarks are in face units: upright, inter-ocular distance 1, y down.
- Edits see single frames or a short stretch of time. So a long recording begins like a short one.
"""

from dataclasses import dataclass

import numpy as np

from atldiff.landmarks import BROWS, MOUTH, NUM_LANDMARKS, UPPER_LIDS, FaceFrame, mouth_opening
from atldiff.media.speech import Speech, voice_activity
from atldiff.options import Motion
from atldiff.sequence import HEAD_PARTS, POSE_PARTS
from atldiff.smoothstep import smoothstep
from atldiff.speech.motion.bilabials import close_bilabials
from atldiff.speech.motion.blinks import blink_curve, close_eyes
from atldiff.speech.motion.expressions import MAX_STRENGTH, express
from atldiff.speech.motion.glances import glance_angles
from atldiff.speech.motion.head_motion import MOVES, head_moves
from atldiff.speech.motion.lips import LIPS, SPEECH_WEIGHT, gaps, narrow_mouth

_SILENCE, _SPEECH = 0.1, 0.4  # voice activity below the first is silence, above the second speech
_EARLY, _LATE, _RAMP = 9, 9, 4  # frames: lips part before a sound and linger after it; fade of the gate
_LIDS_FOLLOW = 0.2  # share of a brow's rise that the upper lid follows
_LIDS_LOOK = 0.0012  # inter-ocular distances that the upper lid follows a glance, a degree


def edit_landmarks(
    landmarks: np.ndarray,
    identity: np.ndarray,
    speech: Speech,
    motion: Motion,
    seed: int,
    bilabials: np.ndarray | None = None,
    emotion: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Applies a Motion to a landmark sequence.

    Args:
        landmarks: (F, 68, 2) at 30 fps, any unit.
        identity: (68, 2) the photo's landmarks, same unit.
        speech: what is said; F frames of it.
        motion: the edits; without any edit the bilabials also stay as predicted.
        seed: of blinks and head motion; equal seeds give equal motion.
        bilabials: (N,) frames of p, b and m (`bilabials.bilabial_frames`); None: unknown.
        emotion: one of `expressions.EMOTIONS`, with the strength `motion.feeling`; None: none.

    Returns:
        (F, 68, 2) float32 landmarks, same unit, and (F, 8) float32 poses of `LandmarkSequence`. Edits never
        make inner lips or eyelids cross.
    """
    if motion.edits_nothing:
        return np.array(landmarks, np.float32), np.zeros((len(landmarks), POSE_PARTS), np.float32)
    identity = np.asarray(identity, np.float64)
    frame = FaceFrame.from_landmarks(identity)
    rest, points = frame.to_face(identity), frame.to_face(np.asarray(landmarks, np.float64))
    activity = _activity(speech, len(points))
    displacement, poses = _face_motion(rest, speech, activity, motion, seed, emotion)
    blinks = blink_curve(activity, motion.blinks, seed)
    points = edit_face(points, rest, motion, FaceMotion(activity, displacement, blinks), bilabials)
    return frame.from_face(points).astype(np.float32), poses.astype(np.float32)


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """What moves a face beside its speech, frame by frame.

    Attributes:
        activity: (F,) of the voice, 0 to 1.
        displacement: (F, 68, 2) of brows, lids and emotion, face units; it opens and closes no lips.
        blinks: (F,) in [0, 1], 1 = closed.
    """

    activity: np.ndarray
    displacement: np.ndarray
    blinks: np.ndarray


def edit_face(
    points: np.ndarray,
    rest: np.ndarray,
    motion: Motion,
    face: FaceMotion,
    bilabials: np.ndarray | None = None,
) -> np.ndarray:
    """Applies the edits of `edit_landmarks` to a stretch of a video; it knows no frame outside.

    Args:
        points: (F, 68, 2) as predicted, face units.
        rest: (68, 2) of the photo, face units.
        motion: the edits.
        face: what moves beside the speech, in the same frames.
        bilabials: (N,) frames of p, b and m; None: unknown.

    Returns:
        (F, 68, 2) face units.
    """
    points = _gain(points, rest, motion.expression, motion.lips)
    points = _close_smile(points, rest, motion.closure * min(motion.lips, 1))
    points = _smooth(points, motion.smoothing) + face.displacement
    if bilabials is not None:
        points = close_bilabials(points, bilabials, min(motion.lips, 1))
    closing = motion.silence * (1 - _gate(face.activity))
    points = _close_in_silence(points, rest + face.displacement, closing)
    return close_eyes(points, face.blinks)


def _face_motion(
    rest: np.ndarray, speech: Speech, activity: np.ndarray, motion: Motion, seed: int, emotion: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """The motion of brows, lids, emotion and head: displacements (F, 68, 2), face units, and poses (F, 8)."""
    moves = np.zeros((len(activity), MOVES))
    if max(motion.sway, motion.liveliness) > 0:
        moves = head_moves(speech, len(activity), seed)
    glances = min(motion.expression, 1) * glance_angles(activity, motion.liveliness, seed)
    displacement, poses = move_brows(moves, glances, motion)
    strength = expression_strength(motion)
    if emotion is not None and strength > 0:
        displacement, pose = express(displacement, rest, emotion, strength, activity)
        poses[:, :HEAD_PARTS] += min(motion.sway, 1) * pose
    return displacement, poses


def move_brows(moves: np.ndarray, glances: np.ndarray, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Brows and lids of a moving head: displacements (F, 68, 2), face units, and poses (F, 8).

    Args:
        moves: (F, MOVES) of `head_motion.head_moves`.
        glances: (F, 2) degrees to the right and down.
        motion: the gains.
    """
    displacement = np.zeros((len(moves), NUM_LANDMARKS, 2))
    brows = motion.expression * motion.liveliness * moves[:, HEAD_PARTS, None]
    displacement[:, BROWS, 1] -= brows
    displacement[:, list(UPPER_LIDS), 1] += _LIDS_LOOK * glances[:, 1:] - _LIDS_FOLLOW * brows
    return displacement, np.concatenate([motion.sway * moves[:, :HEAD_PARTS], glances], axis=1)


def expression_strength(motion: Motion) -> float:
    """How strongly a face shows an emotion, 0 to `expressions.MAX_STRENGTH`."""
    return min(motion.feeling * motion.expression, MAX_STRENGTH)


def _activity(speech: Speech, num_frames: int) -> np.ndarray:
    """Voice activity (num_frames,), stretched if the recording has another length."""
    activity = np.asarray(voice_activity(speech), np.float64)
    if len(activity) == num_frames:
        return activity
    return np.interp(np.linspace(0, 1, num_frames), np.linspace(0, 1, len(activity)), activity)


def _gain(points: np.ndarray, rest: np.ndarray, expression: float, lips: float) -> np.ndarray:
    """Scales displacements from `rest`: by `lips` on lips and chin, by `expression` elsewhere."""
    if expression == lips == 1:
        return points
    return rest + (points - rest) * (expression + (lips - expression) * SPEECH_WEIGHT)


def _close_smile(points: np.ndarray, rest: np.ndarray, share: float) -> np.ndarray:
    """Narrows every frame's mouth by a share of the gap between the photo's own lips, at most to closed."""
    down, gap = gaps(points, *LIPS)
    return narrow_mouth(points, down, np.clip(share * gaps(rest[None], *LIPS)[1], 0, np.maximum(gap, 0)))


def _smooth(points: np.ndarray, strength: float) -> np.ndarray:
    """Smooths by a zero-phase Gaussian, except where lips touch: a plosive closes them for 2 or 3 frames."""
    if strength <= 0:
        return points
    smooth = _gaussian(points, 0.8 * strength)
    touching = np.exp(-((mouth_opening(points) / 0.03) ** 2))[:, None, None]
    lips = _gaussian(points[:, MOUTH], 0.5 * strength)
    smooth[:, MOUTH] = lips + touching * (points[:, MOUTH] - lips)
    return smooth


def _gate(activity: np.ndarray) -> np.ndarray:
    """Voice activity (F,) -> gate (F,) in [0, 1], 0 = the lips close; it opens before each sound."""
    speaking = smoothstep(_SILENCE, _SPEECH, activity)
    padded = np.pad(speaking, (_LATE + _RAMP, _EARLY + _RAMP), mode="edge")
    wide = np.lib.stride_tricks.sliding_window_view(padded, _EARLY + _LATE + 1).max(axis=1)
    return np.lib.stride_tricks.sliding_window_view(wide, 2 * _RAMP + 1).mean(axis=1)


def _close_in_silence(points: np.ndarray, rest: np.ndarray, closing: np.ndarray) -> np.ndarray:
    """Brings mouth and chin to rest and the lips together by `closing` (F,); parts lips that cross."""
    closing = np.clip(closing, 0, 1)[:, None]
    calm = points + closing[..., None] * SPEECH_WEIGHT * (rest - points)
    down, gap = gaps(calm, *LIPS)
    return narrow_mouth(calm, down, np.where(gap > 0, closing * gap, gap))


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Filters along axis 0 by a zero-phase Gaussian of `sigma` frames; the end values are repeated."""
    reach = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(values, [(reach, reach)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    taps = kernel / kernel.sum()
    return sum(tap * padded[k : k + len(values)] for k, tap in enumerate(taps))
