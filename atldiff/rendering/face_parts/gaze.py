"""Gaze: each iris moves within the opening of its lids and keeps its shape.

While the head turns, the eyes compensate half of the turn and stay on the viewer. A glance
leads them away.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from atldiff.landmarks import EYE_CORNERS, LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.eye_maps import EyeShape, LidMaps
from atldiff.rendering.face_parts.shapes import Layers, Rect, blend_layers, rect_around
from atldiff.sequence import HEAD_PARTS, POSE_PARTS
from atldiff.smoothstep import smoothstep

COMPENSATION = (0.5, 0.35)  # share of the head's yaw and pitch that the eyes undo
EYE_RADIUS = 0.133  # inter-ocular distances
MOST = (0.028, 0.014)  # inter-ocular distances; largest shift of an iris to the side, and up or down
_FAINT = 0.004  # inter-ocular distances; a smaller shift blends with the photo's own iris
_IRISES = ((468, range(469, 473)), (473, range(474, 478)))  # of the mesh: centre and rim, right and left
_MARGIN, _REACH = 0.5, 0.25  # eye widths round the eye: of the photo's part, and of the drawing


def iris_shifts(poses: np.ndarray) -> np.ndarray:
    """The shifts of both irises against a turn of the head.

    Args:
        poses: (F, 8) of `LandmarkSequence`; without the last two there is no glance.

    Returns:
        (F, 2) inter-ocular distances along and across the eyes, softly limited to MOST.
    """
    angles = -np.array(COMPENSATION) * poses[:, :2]
    if poses.shape[1] == POSE_PARTS:
        angles = angles + poses[:, HEAD_PARTS:]
    shifts = EYE_RADIUS * np.sin(np.deg2rad(np.clip(angles, -60, 60)))
    return np.array(MOST) * np.tanh(shifts / MOST)


@dataclass(frozen=True, eq=False)
class Iris:
    """One eye of a photo with an iris that moves.

    Attributes:
        ring: indices of the landmarks round the eye.
        still: (68, 2) landmarks of the photo, pixels.
        rect: the part of the photo round the eye.
        part: (h, w, 3) float32 levels, the pixels of `rect`.
        share: (h, w) float32 in [0, 1], share of the iris's shift that each pixel follows.
        opening: (h, w) float32 in [0, 1], opacity of each pixel.
        axes: (2, 2) unit vectors along and across the eye, pixels.
        reach: reach of the drawing beyond the landmarks, in their widths.
    """

    ring: tuple[int, ...]
    still: np.ndarray
    rect: Rect
    part: np.ndarray
    share: np.ndarray
    opening: np.ndarray
    axes: np.ndarray
    reach: float

    @classmethod
    def from_photo(
        cls, image: np.ndarray, still: np.ndarray, mesh: np.ndarray, side: int, shape: EyeShape | None = None
    ) -> "Iris":
        """Prepares one eye of a face.

        Args:
            image: (H, W, >= 3) uint8.
            still: (68, 2) landmarks, pixels of `image`.
            mesh: (478, >= 2) of the face, pixels of `image`.
            side: 0 = the right eye, 1 = the left one.
            shape: the eye's opening; None: the landmarks'.
        """
        eye = (RIGHT_EYE, LEFT_EYE)[side]
        shape = shape or EyeShape.from_landmarks(still[eye].astype(np.float64))
        width = shape.width
        rect = rect_around(shape.outline, _MARGIN * width, (image.shape[0], image.shape[1]))
        part = image[rect[1] : rect[3], rect[0] : rect[2], :3].astype(np.float32)
        own = shape.moved(-np.array(rect[:2]))
        maps = LidMaps.from_eye(own, (part.shape[0], part.shape[1]), side)
        middle, radius = own.iris or _mesh_iris(mesh, side, rect)
        rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
        far = np.hypot(columns + 0.5 - middle[0], rows + 0.5 - middle[1]) / max(radius, 1e-6)
        inner = np.minimum(maps.below, maps.gap - maps.below)
        from_corners = np.minimum(maps.along, 1 - maps.along)
        share = (
            smoothstep(2.3, 1.15, far) * smoothstep(0, 0.15, from_corners) * smoothstep(-0.02, 0.05, inner)
        )
        opening = smoothstep(-0.01, 0.03, inner) * np.minimum(1, 20 * share)
        along = (shape.corners[1] - shape.corners[0]) / width
        axes = np.stack([along, [-along[1], along[0]]])
        ring = tuple(range(eye.start, eye.stop))
        reach = shape.reach(still[eye], _REACH)
        return cls(ring, still, rect, part, share.astype(np.float32), opening.astype(np.float32), axes, reach)

    def area(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """The pixels that may change in a frame of size (H, W) with landmarks (68, 2)."""
        eye = landmarks[list(self.ring)]
        return rect_around(eye, self.reach * float(np.linalg.norm(eye[3] - eye[0])) + 2, size)

    def layers(self, landmarks: np.ndarray, shift: np.ndarray, rect: Rect) -> Layers:
        """The layers that show the eye with its iris moved; none for a shift of 0.

        Args:
            landmarks: (68, 2) of the frame, its pixels.
            shift: (2,) inter-ocular distances along and across the eye.
            rect: the frame's pixels to draw.
        """
        import cv2

        amount = float(np.linalg.norm(shift))
        if amount == 0 or not self.part.size:
            return []
        eyes = self.still[list(EYE_CORNERS)]
        pixels = float(np.linalg.norm(eyes[1] - eyes[0])) * shift @ self.axes
        columns, rows = self._grid
        back = (columns - np.float32(pixels[0]) * self.share, rows - np.float32(pixels[1]) * self.share)
        eye = cv2.remap(self.part, *back, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        to, size = self._placement(landmarks, rect), (rect[2] - rect[0], rect[3] - rect[1])
        colour = cv2.warpAffine(eye, to, size, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(self.opening, to, size) * min(1.0, amount / _FAINT)
        return [(np.clip(colour, 0, 255), alpha)]

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows (h, w) float32 of the part's pixels."""
        rows, columns = np.mgrid[: self.share.shape[0], : self.share.shape[1]].astype(np.float32)
        return columns, rows

    def _placement(self, landmarks: np.ndarray, rect: Rect) -> np.ndarray:
        """The affine map (2, 3) from pixels of `self.rect` to pixels of `rect`, by lids and corners."""
        import cv2

        def three(points: np.ndarray, corner: Rect) -> np.ndarray:
            eye = points[list(self.ring)].astype(np.float64)
            up, low = (eye[1] + eye[2]) / 2, (eye[4] + eye[5]) / 2
            return np.stack([up, low, up + eye[3] - eye[0]]).astype(np.float32) - corner[:2] - 0.5

        then, now = three(self.still, self.rect), three(landmarks, rect)
        return cv2.getAffineTransform(then.astype(np.float32), now.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Gaze:
    """Both eyes of a photo.

    Attributes:
        irises: of the right eye and of the left one.
    """

    irises: tuple[Iris, Iris]

    @classmethod
    def from_photo(
        cls,
        image: np.ndarray,
        still: np.ndarray,
        mesh: np.ndarray,
        shapes: tuple[EyeShape | None, EyeShape | None] = (None, None),
    ) -> "Gaze":
        """Prepares both eyes of a face; arguments as in `Iris.from_photo`."""
        right, left = (Iris.from_photo(image, still, mesh, side, shape) for side, shape in enumerate(shapes))
        return cls((right, left))

    def paint(self, image: np.ndarray, landmarks: np.ndarray, shift: np.ndarray) -> None:
        """Moves both irises of a frame, in place.

        Args:
            image: (H, W, >= 3) uint8 frame.
            landmarks: (68, 2) of its face, its pixels.
            shift: (2,) from `iris_shifts`.
        """
        for iris in self.irises:
            x0, y0, x1, y1 = rect = iris.area(landmarks, (image.shape[0], image.shape[1]))
            if x0 >= x1 or y0 >= y1:
                continue
            blend_layers(image, rect, iris.layers(landmarks, shift, rect))


def _mesh_iris(mesh: np.ndarray, side: int, rect: Rect) -> tuple[np.ndarray, float]:
    """Centre (2,), pixels of a part of the photo, and radius of an iris of a mesh (478, >= 2)."""
    centre, rim = _IRISES[side]
    radius = float(np.linalg.norm(mesh[list(rim), :2] - mesh[centre, :2], axis=1).mean())
    return mesh[centre, :2] - rect[:2], radius
