"""The 68-point landmark layout: its parts, its geometry, and its crop.

Landmarks are arrays (..., 68, 2) of (x, y). They have one of three units:

- pixels of a photo.
- crop units: 0 to 1 across the network's square crop.
- face units: upright, origin between the eyes, inter-ocular distance 1.
"""

from dataclasses import dataclass

import numpy as np

NUM_LANDMARKS = 68
WHOLE_FACE = slice(0, NUM_LANDMARKS)
JAW, BROWS, NOSE = slice(0, 17), slice(17, 27), slice(27, 36)
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)  # the person's right eye is on the picture's left
MOUTH, OUTER_LIPS, INNER_LIPS = slice(48, 68), slice(48, 60), slice(60, 68)
EYE_CORNERS = (36, 45)
UPPER_INNER_LIP, LOWER_INNER_LIP = (61, 62, 63), (67, 66, 65)
UPPER_LIDS, LOWER_LIDS = (37, 38, 43, 44), (41, 40, 47, 46)
LIDS_BELOW_BROWS = [36, 37, 38, 38, 39, 42, 43, 43, 44, 45]  # the eye's point under each brow point

# Landmark i of a mirrored face is landmark MIRROR[i] of the original.
MIRROR = np.concatenate(
    [
        np.arange(16, -1, -1),
        np.arange(26, 16, -1),
        [27, 28, 29, 30, 35, 34, 33, 32, 31],
        [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40],
        [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55],
        [64, 63, 62, 61, 60, 67, 66, 65],
    ]
)

# MediaPipe face-mesh vertices of each landmark; a pair means the midpoint of the two.
_MESH = (
    [127, 234, 93, (132, 58), (58, 172), 136, 150, 176, 152]
    + [400, 379, 365, (397, 288), (288, 361), 323, 454, 356]
    + [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]
    + [(168, 6), (197, 195), 5, 4, 98, 97, 2, 326, 327]
    + [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
    + [61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91]
    + [78, 82, 13, 312, 308, 317, 14, 87]
)
_MESH_PAIRS = np.array([v if isinstance(v, tuple) else (v, v) for v in _MESH])

CROP_SCALE = 1.5  # side of the network's square crop over the larger side of the landmarks' box
CROP_LIFT = 0.06  # share of its side by which the crop moves up, for the forehead
MOUTH_SCALE = 0.5  # side of the mouth-centred crop over the network's


def mesh_to_landmarks(mesh: np.ndarray) -> np.ndarray:
    """Converts a MediaPipe face mesh (..., >=468, 2) to 68 landmarks (..., 68, 2) in the same unit."""
    return mesh[..., _MESH_PAIRS, :].mean(axis=-2)


def mirror(landmarks: np.ndarray, width: float) -> np.ndarray:
    """Mirrors landmarks (..., 68, 2) horizontally, in a picture of that width."""
    mirrored = landmarks[..., MIRROR, :].copy()
    mirrored[..., 0] = width - mirrored[..., 0]
    return mirrored


def inter_ocular_distance(landmarks: np.ndarray) -> np.ndarray:
    """Distance (...) between the outer corners of the eyes of landmarks (..., 68, 2)."""
    right, left = EYE_CORNERS
    return np.linalg.norm(landmarks[..., left, :] - landmarks[..., right, :], axis=-1)


def mouth_opening(landmarks: np.ndarray) -> np.ndarray:
    """Mean gap (...) between the inner lips, in inter-ocular distances; 0 = closed."""
    gap = landmarks[..., UPPER_INNER_LIP, :] - landmarks[..., LOWER_INNER_LIP, :]
    return np.linalg.norm(gap, axis=-1).mean(axis=-1) / inter_ocular_distance(landmarks)


def eye_opening(landmarks: np.ndarray) -> np.ndarray:
    """Mean gap (...) between the lids of both eyes over the eyes' mean width; about 0.3 = open."""
    gap = landmarks[..., UPPER_LIDS, :] - landmarks[..., LOWER_LIDS, :]
    width = landmarks[..., (39, 45), :] - landmarks[..., (36, 42), :]
    return np.linalg.norm(gap, axis=-1).mean(-1) / np.linalg.norm(width, axis=-1).mean(-1)


def yaw(landmarks: np.ndarray) -> np.ndarray:
    """Turn (...) of the head to the side: 0 = frontal, about +-0.5 = a three-quarter view.

    It is the nose tip's place along the line between the outer corners of the eyes.
    """
    right, left = landmarks[..., 36, :], landmarks[..., 45, :]
    axis = left - right
    along = ((landmarks[..., 30, :] - right) * axis).sum(-1) / (axis * axis).sum(-1)
    return 2 * along - 1


def crop_box(landmarks: np.ndarray, scale: float = CROP_SCALE) -> np.ndarray:
    """The network's square crop round landmarks (68, 2) or (F, 68, 2), in pixels.

    Args:
        landmarks: of one frame, or of a sequence; a sequence's median counts.
        scale: side of the crop over the larger side of the landmarks' box.

    Returns:
        (4,) float32 x0, y0, x1, y1 in whole pixels. It may reach beyond the picture.
    """
    still = np.median(landmarks, axis=0) if landmarks.ndim == 3 else landmarks
    low, high = still.min(axis=0), still.max(axis=0)
    return square_box((low + high) / 2, scale * float((high - low).max()), lift=CROP_LIFT)


def square_box(centre: np.ndarray, side: float, lift: float = 0.0) -> np.ndarray:
    """The square (4,) in whole pixels nearest to a centre (2,) and side, moved up by `lift` sides."""
    size = max(2, round(side))
    corner = np.round(centre - (size / 2, size / 2 + lift * size))
    return np.concatenate([corner, corner + size]).astype(np.float32)


def mouth_box(landmarks: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The mouth-centred square (4,) in whole pixels, with half the side of the crop `box` (4,).

    It is larger if the mouth of landmarks (F, 68, 2), pixels, needs it.
    """
    mouth = landmarks[:, MOUTH].reshape(-1, 2)
    low, high = mouth.min(axis=0), mouth.max(axis=0)
    side = max(MOUTH_SCALE * float(box[2] - box[0]), 1.25 * float((high - low).max()))
    return square_box((low + high) / 2, side)


def to_crop(landmarks: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Converts pixels (..., 2) to crop units of the square box (x0, y0, x1, y1)."""
    return ((landmarks - box[:2]) / (box[2] - box[0])).astype(np.float32)


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """The similarity that makes a face upright with inter-ocular distance 1.

    Attributes:
        origin: (2,) midpoint of the outer eye corners, in the landmarks' unit.
        axes: (2, 2), its rows the face's unit vectors x and y, in the landmarks' unit.
    """

    origin: np.ndarray
    axes: np.ndarray

    @classmethod
    def from_landmarks(cls, landmarks: np.ndarray) -> "FaceFrame":
        """The frame of one face, landmarks (68, 2)."""
        right, left = landmarks[36], landmarks[45]
        x = left - right
        return cls((right + left) / 2, np.stack([x, np.array([-x[1], x[0]])]))

    def to_face(self, landmarks: np.ndarray) -> np.ndarray:
        """Converts landmarks (..., 68, 2) to face units."""
        return self.vectors_to_face(landmarks - self.origin)

    def from_face(self, landmarks: np.ndarray) -> np.ndarray:
        """Converts face units (..., 68, 2) to the landmarks' unit."""
        return self.vectors_from_face(landmarks) + self.origin

    def vectors_to_face(self, vectors: np.ndarray) -> np.ndarray:
        """Converts displacements (..., 2) to face units."""
        return vectors @ np.linalg.inv(self.axes)

    def vectors_from_face(self, vectors: np.ndarray) -> np.ndarray:
        """Converts displacements (..., 2) in face units to the landmarks' unit."""
        return vectors @ self.axes


# Points of the skull that speech hardly moves: nose bridge and base, eye corners.
RIGID = (27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45)


def align_rigid(landmarks: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Removes the head's pose in the picture plane (Umeyama).

    Args:
        landmarks: (F, 68, 2).
        reference: (68, 2).

    Returns:
        (F, 68, 2) float32, each frame moved by the similarity that best fits its RIGID points.
    """
    source, target = landmarks[:, RIGID], reference[list(RIGID)]
    source_mean, target_mean = source.mean(axis=1, keepdims=True), target.mean(axis=0)
    s, t = source - source_mean, target - target_mean
    norm = (s * s).sum(axis=(1, 2))
    cos = (s * t).sum(axis=(1, 2)) / norm
    sin = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(axis=1) / norm
    turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    return ((landmarks - source_mean) @ turn + target_mean).astype(np.float32)
