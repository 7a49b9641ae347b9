"""Eyes that look: the iris moves within the opening of the lids, and is never deformed.

- While the head turns, the eyes take half of the turn back and keep their contact with the viewer.
- Between phrases they glance away and come back, as often and as long as in "Eyes Alive" by Lee, Badler and
  Badler (SIGGRAPH 2002): about 3.1 s of contact, 0.9 s away while talking, more often to the sides, up and
  down.
"""

from dataclasses import dataclass

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.landmarks import EYE_CORNERS, LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.eyelids import LidMaps
from atldiff.rendering.face_parts.shapes import Rect, rect_round
from atldiff.smoothstep import smoothstep

TAKEN_BACK = (0.5, 0.35)  # share of the head's yaw and pitch
EYE_RADIUS = 0.133  # inter-ocular distances
MOST = (0.028, 0.014)  # inter-ocular distances that an iris moves to the side, and up or down
_CONTACT, _AWAY = 3.1, 0.93  # seconds, means
_LEAST_CONTACT, _MOST_AWAY = 0.8, 2.0  # seconds
_PHRASE_END = 0.5  # chance of a glance where a phrase ends
# Of a glance: where to (degrees round from the picture's right, up is 90) and how often, per cent.
_DIRECTIONS = np.arange(0, 360, 45)
_OFTEN = np.array([15.54, 6.46, 17.69, 7.44, 16.80, 7.89, 20.38, 7.79])
_FAR = (4.0, 10.0)  # degrees of a glance
_SACCADE = 2  # frames that it takes
_FAINT = 0.004  # inter-ocular distances: below, the moved iris is mixed with the photo's own
_IRISES = ((468, range(469, 473)), (473, range(474, 478)))  # of the mesh: centre and rim, right and left
_MARGIN = 0.5  # eye widths round the eye


def glances(activity: np.ndarray, seed: int) -> np.ndarray:
    """Where the eyes look beside the viewer while a voice is active (F,) in [0, 1].

    Returns:
        (F, 2) degrees to the picture's right and down; zeros = at the viewer.
    """
    return Glances(seed).push(activity)


class Glances:
    """`glances` of a voice that is still being heard: a frame depends on the voice up to it alone."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 4])
        self._target, self._step, self._now = np.zeros(2), np.zeros(2), np.zeros(2)
        self._left = self._ends = self._frame = 0  # of a saccade; where a glance ends, 0 = none
        self._due, self._voice = self._contact(), 0.0

    def push(self, activity: np.ndarray) -> np.ndarray:
        """Takes the activity (n,) of further frames; gives (n, 2) as `glances`."""
        return np.array([self._next(float(voice)) for voice in activity]).reshape(-1, 2)

    def _next(self, voice: float) -> np.ndarray:
        phrase_ends = voice < 0.5 <= self._voice
        away, returns = self._ends > 0, 0 < self._ends <= self._frame
        due = self._frame >= self._due or (phrase_ends and self._rng.random() < _PHRASE_END)
        if returns:
            self._target, self._ends, self._due = np.zeros(2), 0, self._frame + self._contact()
        elif due and not away:
            self._target, seconds = _glance(self._rng)
            self._ends = self._frame + round(FRAME_RATE * seconds)
        if returns or (due and not away):
            self._step, self._left = (self._target - self._now) / _SACCADE, _SACCADE
        if self._left:
            self._left -= 1
            self._now = self._now + self._step if self._left else self._target
        self._frame, self._voice = self._frame + 1, voice
        return self._now

    def _contact(self) -> float:
        """Frames until the next glance."""
        return FRAME_RATE * (_LEAST_CONTACT + self._rng.exponential(_CONTACT - _LEAST_CONTACT))


def _glance(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Its target in degrees (2,), and how many seconds it lasts."""
    way = np.deg2rad(rng.choice(_DIRECTIONS, p=_OFTEN / _OFTEN.sum()) + rng.uniform(-20, 20))
    far = rng.uniform(*_FAR)
    seconds = min(0.25 + rng.exponential(_AWAY - 0.25), _MOST_AWAY)
    return far * np.array([np.cos(way), -np.sin(way)]), seconds


def iris_shifts(poses: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """How far irises move in the face.

    Args:
        poses: (F, >= 2) yaw and pitch of the head, degrees.
        looks: (F, 2) of `glances`.

    Returns:
        (F, 2) inter-ocular distances along and across the eyes, softly kept within MOST.
    """
    angles = looks - np.array(TAKEN_BACK) * poses[:, :2]
    shifts = EYE_RADIUS * np.sin(np.deg2rad(np.clip(angles, -60, 60)))
    return np.array(MOST) * np.tanh(shifts / MOST)


@dataclass(frozen=True, eq=False)
class Iris:
    """One eye of a photo, whose iris can be moved.

    Attributes:
        ring: landmarks round the eye.  still: (68, 2) the photo's.
        rect: the part of the photo that is `part` (h, w, 3) float32.
        goes: (h, w) float32 in [0, 1], how far each pixel goes with the iris.
        opening: (h, w) float32 in [0, 1], what of the part is drawn.
        axes: (2, 2) unit vectors along and across the eye, pixels.
    """

    ring: tuple[int, ...]
    still: np.ndarray
    rect: Rect
    part: np.ndarray
    goes: np.ndarray
    opening: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, still: np.ndarray, mesh: np.ndarray, side: int) -> "Iris":
        """The right (0) or left (1) eye of a face.

        Args:
            image: (H, W, >= 3) uint8.  still: (68, 2) landmarks, its pixels.  mesh: (478, >= 2), its pixels.
        """
        eye = (RIGHT_EYE, LEFT_EYE)[side]
        outline = still[eye].astype(np.float64)
        width = max(float(np.linalg.norm(outline[3] - outline[0])), 1e-6)
        rect = rect_round(outline, _MARGIN * width, (image.shape[0], image.shape[1]))
        part = image[rect[1] : rect[3], rect[0] : rect[2], :3].astype(np.float32)
        maps = LidMaps.from_eye(outline - rect[:2], (part.shape[0], part.shape[1]), side)
        centre, rim = _IRISES[side]
        radius = float(np.linalg.norm(mesh[list(rim), :2] - mesh[centre, :2], axis=1).mean())
        rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
        middle = mesh[centre, :2] - rect[:2]
        far = np.hypot(columns + 0.5 - middle[0], rows + 0.5 - middle[1]) / max(radius, 1e-6)
        inner = np.minimum(maps.below, maps.gap - maps.below)
        from_corners = np.minimum(maps.along, 1 - maps.along)
        goes = smoothstep(2.3, 1.15, far) * smoothstep(0, 0.15, from_corners) * smoothstep(-0.02, 0.05, inner)
        opening = smoothstep(-0.01, 0.03, inner) * np.minimum(1, 20 * goes)
        along = (outline[3] - outline[0]) / width
        axes = np.stack([along, [-along[1], along[0]]])
        ring = tuple(range(eye.start, eye.stop))
        return cls(ring, still, rect, part, goes.astype(np.float32), opening.astype(np.float32), axes)

    def area(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """The pixels that may change in a frame of size (H, W) with landmarks (68, 2)."""
        eye = landmarks[list(self.ring)]
        return rect_round(eye, 0.25 * float(np.linalg.norm(eye[3] - eye[0])) + 2, size)

    def layers(
        self, landmarks: np.ndarray, shift: np.ndarray, rect: Rect
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The eye with its iris moved, for the pixels `rect` of a frame with landmarks (68, 2).

        Args:
            shift: (2,) inter-ocular distances along and across the eye; nothing is drawn where it is 0.
        """
        import cv2

        amount = float(np.linalg.norm(shift))
        if amount == 0:
            return []
        eyes = self.still[list(EYE_CORNERS)]
        pixels = float(np.linalg.norm(eyes[1] - eyes[0])) * shift @ self.axes
        rows, columns = np.mgrid[: self.goes.shape[0], : self.goes.shape[1]].astype(np.float32)
        back = (columns - np.float32(pixels[0]) * self.goes, rows - np.float32(pixels[1]) * self.goes)
        eye = cv2.remap(self.part, *back, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        to, size = self._moved(landmarks, rect), (rect[2] - rect[0], rect[3] - rect[1])
        colour = cv2.warpAffine(eye, to, size, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(self.opening, to, size) * min(1.0, amount / _FAINT)
        return [(np.clip(colour, 0, 255), alpha)]

    def _moved(self, landmarks: np.ndarray, rect: Rect) -> np.ndarray:
        """(2, 3) from pixels of `self.rect` to those of `rect`: by the lids' middles and the corners."""
        import cv2

        def three(points: np.ndarray, corner: Rect) -> np.ndarray:
            eye = points[list(self.ring)].astype(np.float64)
            up, low = (eye[1] + eye[2]) / 2, (eye[4] + eye[5]) / 2
            return np.stack([up, low, up + eye[3] - eye[0]]).astype(np.float32) - corner[:2] - 0.5

        then, now = three(self.still, self.rect), three(landmarks, rect)
        return cv2.getAffineTransform(then.astype(np.float32), now.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Gaze:
    """Both eyes of a photo."""

    irises: tuple[Iris, Iris]

    @classmethod
    def of(cls, image: np.ndarray, still: np.ndarray, mesh: np.ndarray) -> "Gaze":
        """Of the face with landmarks `still` (68, 2) and mesh (478, >= 2), pixels of `image` (H, W, >= 3)."""
        return cls((Iris.of(image, still, mesh, 0), Iris.of(image, still, mesh, 1)))

    def paint(self, image: np.ndarray, landmarks: np.ndarray, shift: np.ndarray) -> None:
        """Moves both irises of a frame with landmarks (68, 2), in place, by `shift` (see `Iris.layers`)."""
        for iris in self.irises:
            x0, y0, x1, y1 = rect = iris.area(landmarks, (image.shape[0], image.shape[1]))
            if x0 >= x1 or y0 >= y1:
                continue
            for colour, alpha in iris.layers(landmarks, shift, rect):
                part = image[y0:y1, x0:x1, :3].astype(np.float32)
                part += (colour - part) * alpha[..., None]
                image[y0:y1, x0:x1, :3] = np.clip(part + 0.5, 0, 255).astype(np.uint8)
