"""The faces of one photo, by MediaPipe's detectors and mesh."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from atldiff import landmarks as points
from atldiff.landmarks import EYE_CORNERS, mesh_to_landmarks
from atldiff.options import MAX_FACES
from atldiff.portrait.face_networks import FAR, NEAR, find_meshes
from atldiff.portrait.photo import crop_square

MESH_SIZE = 512  # pixels; the square a face is brought to before the mesh is fitted
# Each face is fitted in these crops (side over the detector's box), plain and mirrored, and the median
# taken: one crop alone moves drawn and painted faces by several per cent of the eyes' distance.
MESH_SCALES = (1.7, 2.0, 2.5)
MOST_NEAR = 4  # faces in one of these crops
TURN_MARGIN = 0.1  # how much surer of a face the detector must be to turn the photo
MOST_SPREAD = 0.025  # of the face for which a photo is turned, see `Face`

Part = tuple[int, int, np.ndarray]  # x, y of its corner, and its pixels
Look = Callable[[np.ndarray], list[Part]]  # which parts of an image to look at; see `detection_boxes`
Detection = tuple[np.ndarray, float, float]  # box (4,) pixels, score 0..1, roll of the eyes in radians


class Face(NamedTuple):
    """A face in an image.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1 of the detector, pixels.
        landmarks: (68, 2) float32 pixels.
        spread: how far the meshes of the face and of its mirror image lie from their mean at the mouth,
            inter-ocular distances; NaN where one of them is missing.
    """

    box: np.ndarray
    landmarks: np.ndarray
    spread: float


class Finder:
    """Finds faces with two detectors: one for faces that fill much of the photo, one for smaller ones."""

    def upright(self, image: np.ndarray) -> tuple[np.ndarray, int]:
        """The photo in the quarter turn in which a face is surest and nearest to upright; how many turns.

        Before it is turned, an upright face is looked for in all of it and in its parts.
        """
        best, surest, kept = image, 0.0, 0
        box: np.ndarray | None
        for turns in range(4):
            turned = np.ascontiguousarray(np.rot90(image, turns))
            found = [(score * np.cos(roll), box) for box, score, roll in self._detect(turned)]
            score, box = max(found, key=lambda face: face[0], default=(0.0, None))
            # The detector misjudges the roll of small faces; the mesh does not.
            if turns == 0 or (score > surest and box is not None and self._is_upright(turned, box)):
                best, kept, surest = turned, turns, score + (TURN_MARGIN if turns == 0 else 0)
        if kept and self._has_upright(image, surest):
            return image, 0
        return best, kept

    def _has_upright(self, image: np.ndarray, score: float) -> bool:
        """Does the image, or a part of it, show an upright face of nearly the `score`?

        Of a face that is cut off the detector is surer when it stands on its head.
        """
        looks = ((self._detect(image), 2 * TURN_MARGIN), (self._detect_in(tiles(image)), TURN_MARGIN))
        found = [
            box for faces, less in looks for box, sure, roll in faces if sure * np.cos(roll) > score - less
        ]
        return any(self._is_upright(image, box) for box in distinct_boxes(found)[:MAX_FACES])

    def _is_upright(self, image: np.ndarray, box: np.ndarray) -> bool:
        """Is there surely a face in the box, and does it stand upright?"""
        face = self.fit(image, box)
        return face is not None and is_upright(face.landmarks) and not face.spread > MOST_SPREAD

    def faces(self, image: np.ndarray, looks: Sequence[Look]) -> tuple[Face, ...]:
        """The faces that the first of `looks` with any of them finds, the largest first."""
        for look in looks:
            boxes = distinct_boxes([box for box, _, _ in self._detect_in(look(image))])
            boxes = sorted(boxes, key=longest_side, reverse=True)[:MAX_FACES]
            faces = [face for face in (self.fit(image, box) for box in boxes) if face is not None]
            if faces:
                return tuple(sorted(faces, key=lambda face: -longest_side(face.landmarks)))
        return ()

    def _detect_in(self, parts: Iterable[Part]) -> list[Detection]:
        """As `_detect`, in parts of an image, the surest first."""
        found = [
            (box + np.array([x, y, x, y], np.float32), score, roll)
            for x, y, part in parts
            for box, score, roll in self._detect(part)
        ]
        return sorted(found, key=lambda face: -face[1])

    def _detect(self, image: np.ndarray) -> list[Detection]:
        """(box (4,) pixels, score 0..1, roll of the eyes in radians) of each face."""
        detections = []
        for detector in (NEAR, FAR):
            for face in detector(image):
                across, down = face.keypoints[1] - face.keypoints[0]
                detections.append((face.box, face.score, float(np.arctan2(down, across))))
        return detections

    def fit(self, image: np.ndarray, box: np.ndarray) -> Face | None:
        """The face in the detector's box, its landmarks the median over several crops."""
        fits, pair = [], []
        for scale in MESH_SCALES:
            centre, half = (box[:2] + box[2:]) / 2, scale * (box[2:] - box[:2]).max() / 2
            square = np.concatenate([centre - half, centre + half])
            crop = crop_square(image, square, MESH_SIZE)
            for mirrored in (False, True):
                picture = np.ascontiguousarray(crop[:, ::-1] if mirrored else crop)
                fitted = [mesh_to_landmarks(mesh[:, :2]) for mesh in find_meshes(picture, MOST_NEAR)]
                fitted = [points.mirror(face, MESH_SIZE) for face in fitted] if mirrored else fitted
                fitted = [face * (2 * half / MESH_SIZE) + square[:2] for face in fitted]
                fitted = [face for face in fitted if holds(box, face.mean(axis=0))]  # not a neighbour's
                fits += fitted
                pair += fitted[:1] if scale == MESH_SCALES[1] else []
        if len(fits) < len(MESH_SCALES):
            return None
        landmarks = np.median(fits, axis=0).astype(np.float32)
        return Face(box, landmarks, _spread(pair, landmarks))


def _spread(pair: list[np.ndarray], landmarks: np.ndarray) -> float:
    """See `Face`; of the meshes (68, 2) of one crop, plain and mirrored."""
    if len(pair) < 2:
        return float("nan")
    apart = np.linalg.norm(pair[0] - pair[1], axis=1)[points.MOUTH].mean()
    return float(apart / 2 / points.inter_ocular_distance(landmarks))


def whole(image: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """The image (H, W, 3) as the only part of itself: (x, y, part), as `padded` and `tiles`."""
    return [(0, 0, image)]


def padded(image: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """The image with a border of half its longer side: a face that fills it becomes an ordinary one."""
    margin = max(image.shape[:2]) // 2
    return [(-margin, -margin, np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))]


def tiles(image: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """Squares of 0.42 of the longer side that overlap by half, for small faces; in a long picture squares of
    its shorter side that overlap by two thirds.
    """
    longer, shorter = max(image.shape[:2]), min(image.shape[:2])
    side = min(int(0.42 * longer), shorter)
    step = max(1, side // (3 if side == shorter else 2))
    rows, columns = (range(0, max(1, length - step), step) for length in image.shape[:2])
    return [(x, y, image[y : y + side, x : x + side]) for y in rows for x in columns]


def holds(box: np.ndarray, point: np.ndarray) -> bool:
    """Does the point (x, y) lie in the box (x0, y0, x1, y1)?"""
    return bool((point > box[:2]).all() and (point < box[2:]).all())


def distinct_boxes(boxes: list[np.ndarray]) -> list[np.ndarray]:
    """Leaves out each box (4,) that holds the middle of an earlier one or has its own in it."""
    kept: list[np.ndarray] = []
    for box in boxes:
        middle = (box[:2] + box[2:]) / 2
        if not any(holds(other, middle) or holds(box, (other[:2] + other[2:]) / 2) for other in kept):
            kept.append(box)
    return kept


def is_upright(landmarks: np.ndarray) -> bool:
    """Do the eyes of a face (68, 2) lie side by side, the right one on the left?"""
    x, y = landmarks[EYE_CORNERS[1]] - landmarks[EYE_CORNERS[0]]
    return bool(x > abs(y))


def longest_side(corners: np.ndarray) -> float:
    """The larger side of the box round points (n, 2) or of a box (4,)."""
    return float(np.ptp(corners.reshape(-1, 2), axis=0).max())
