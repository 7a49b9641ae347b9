"""Edits of a landmark sequence between the landmark network and the renderer.

Face units (upright, inter-ocular distance 1, y down); frame by frame or by short filters, so the
first frames of a long recording move as those of a short one.
"""

import numpy as np

from atldiff.landmarks import BROWS, MOUTH, UPPER_LIDS, FaceFrame, mouth_opening
from atldiff.media.speech import Speech, voice_activity
from atldiff.options import Motion
from atldiff.sequence import HEAD_PARTS, POSE_PARTS
from atldiff.smoothstep import smoothstep
from atldiff.speech.motion.bilabials import close_bilabials
from atldiff.speech.motion.blinks import _blink, blink_curve
from atldiff.speech.motion.expressions import MAX_STRENGTH, express
from atldiff.speech.motion.glances import glance_angles
from atldiff.speech.motion.head_motion import MOVES, head_moves
from atldiff.speech.motion.lips import LIPS, SPEECH_WEIGHT, gaps, narrow_mouth

_SILENT, _SPOKEN = 0.1, 0.4  # voice activity below the first is silence, above the second speech
_EARLY, _LATE, _RAMP = 3, 3, 2  # frames: lips part before a sound and linger after it; fade of the gate

_LIDS_FOLLOW = 0.2  # of a raised brow, how far the upper lid goes with it
_LIDS_LOOK = 0.0012  # inter-ocular distances that the upper lid goes with a glance, a degree


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
        motion: the edits; where it edits nothing, bilabials stay as predicted, too.
        seed: of blinks and head motion; the same seed gives the same movement.
        bilabials: (N,) frames at which a p, b or m was recognised (`bilabials.bilabial_frames`).
        emotion: one of `expressions.EMOTIONS`, shown as strongly as `motion.feeling` says; None: none.

    Returns:
        (F, 68, 2) float32, same unit, and (F, 8) float32 poses of `LandmarkSequence`. Inner lips and eyelids
        never cross in what was edited.
    """
    if motion.edits_nothing:
        return np.array(landmarks, np.float32), np.zeros((len(landmarks), POSE_PARTS), np.float32)
    identity = np.asarray(identity, np.float64)
    frame = FaceFrame.from_landmarks(identity)
    rest, points = frame.to_face(identity), frame.to_face(np.asarray(landmarks, np.float64))
    activity = _activity(speech, len(points))
    points = _gain(points, rest, motion.expression, motion.lips)
    points = _close_smile(points, rest, motion.closure * min(motion.lips, 1))
    points = _smooth(points, motion.smoothing)
    displacement, poses = _whole_face(rest, speech, activity, motion, seed, emotion)
    points = points + displacement
    if bilabials is not None:
        points = close_bilabials(points, bilabials, min(motion.lips, 1))
    points = _close_in_silence(points, rest + displacement, motion.silence * (1 - _gate(activity)))
    points = _blink(points, blink_curve(activity, motion.blinks, seed))
    return frame.from_face(points).astype(np.float32), poses.astype(np.float32)


def _whole_face(
    rest: np.ndarray, speech: Speech, activity: np.ndarray, motion: Motion, seed: int, emotion: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """What moves beside the lips: displacements (F, 68, 2) in face units, poses (F, 8) of head and eyes."""
    moves = np.zeros((len(activity), MOVES))
    if max(motion.sway, motion.liveliness) > 0:
        moves = head_moves(speech, len(activity), seed)
    displacement = np.zeros((len(activity), *rest.shape))
    brows = motion.expression * motion.liveliness * moves[:, HEAD_PARTS, None]
    displacement[:, BROWS, 1] -= brows
    displacement[:, list(UPPER_LIDS), 1] -= _LIDS_FOLLOW * brows
    glances = min(motion.expression, 1) * glance_angles(activity, motion.liveliness, seed)
    displacement[:, list(UPPER_LIDS), 1] += _LIDS_LOOK * glances[:, 1:]
    poses, strength = (
        motion.sway * moves[:, :HEAD_PARTS],
        min(motion.feeling * motion.expression, MAX_STRENGTH),
    )
    if emotion is not None and strength > 0:
        displacement, pose = express(displacement, rest, emotion, strength, activity)
        poses = poses + min(motion.sway, 1) * pose
    return displacement, np.concatenate([poses, glances], axis=1)


def _activity(speech: Speech, num_frames: int) -> np.ndarray:
    """Voice activity (num_frames,); landmarks of another length are stretched over the recording."""
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
    """Takes a share of the gap between the photo's own lips (68, 2) off every frame's, at most all of it."""
    down, gap = gaps(points, *LIPS)
    return narrow_mouth(points, down, np.clip(share * gaps(rest[None], *LIPS)[1], 0, np.maximum(gap, 0)))


def _smooth(points: np.ndarray, strength: float) -> np.ndarray:
    """Zero-phase Gaussian, none where the lips touch: a plosive shuts them for but two or three frames."""
    if strength <= 0:
        return points
    smooth = _gaussian(points, 0.8 * strength)
    touching = np.exp(-((mouth_opening(points) / 0.03) ** 2))[:, None, None]
    lips = _gaussian(points[:, MOUTH], 0.5 * strength)
    smooth[:, MOUTH] = lips + touching * (points[:, MOUTH] - lips)
    return smooth


def _gate(activity: np.ndarray) -> np.ndarray:
    """Voice activity (F,) -> (F,) in [0, 1], 0 = the lips close; it opens early and never chops an onset."""
    speaking = smoothstep(_SILENT, _SPOKEN, activity)
    padded = np.pad(speaking, (_LATE + _RAMP, _EARLY + _RAMP), mode="edge")
    held = np.lib.stride_tricks.sliding_window_view(padded, _EARLY + _LATE + 1).max(axis=1)
    return np.lib.stride_tricks.sliding_window_view(held, 2 * _RAMP + 1).mean(axis=1)


def _close_in_silence(points: np.ndarray, rest: np.ndarray, closing: np.ndarray) -> np.ndarray:
    """Brings mouth and chin to rest and the lips together by `closing` (F,); parts lips that cross."""
    closing = np.clip(closing, 0, 1)[:, None]
    calm = points + closing[..., None] * SPEECH_WEIGHT * (rest - points)
    down, gap = gaps(calm, *LIPS)
    return narrow_mouth(calm, down, np.where(gap > 0, closing * gap, gap))


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Zero-phase Gaussian along axis 0 with `sigma` in frames; the ends are held."""
    reach = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(values, [(reach, reach)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    taps = kernel / kernel.sum()
    return sum(tap * padded[k : k + len(values)] for k, tap in enumerate(taps))
