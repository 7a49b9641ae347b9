"""Finds the faces of one photo with MediaPipe's detectors and mesh."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from atldiff import landmarks as points
from atldiff.landmarks import EYE_CORNERS, mesh_to_landmarks
from atldiff.options import MAX_FACES
from atldiff.portrait.face_networks import FAR, NEAR, FaceDetector, find_meshes
from atldiff.portrait.photo import crop_square

MESH_SIZE = 512  # pixels; side of the crop in which the mesh is fitted
# The landmarks are a median over crops of these sides (over the detector's box), plain and mirrored.
# One crop alone misplaces drawn and painted faces.
MESH_SCALES = (1.7, 2.0, 2.5)
# Highest scatter of these landmarks, in longer sides of the face. A hand that the detector takes for a face
# scatters by 0.046, 48 portraits and faces cut by the border by 0.021 at most (2026-11-29).
MOST_SCATTER = 0.035
MOST_NEAR = 4  # faces in one crop
TURN_MARGIN = 0.1  # rise of the detector's score that turns a photo
MOST_SPREAD = 0.025  # highest `Face.spread` that turns a photo

Part = tuple[int, int, np.ndarray]  # x, y of its corner, and its pixels
Partition = Callable[[np.ndarray], list[Part]]  # cuts an image into the parts that are searched
Candidate = tuple[np.ndarray, float, float]  # box (4,) pixels, score 0..1, roll in radians


class Face(NamedTuple):
    """A face in an image.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1, pixels, of the detector.
        landmarks: (68, 2) float32 pixels.
        spread: distance at the mouth of the meshes of the face and of its mirror image from their mean,
            inter-ocular distances; NaN if one mesh is missing.
    """

    box: np.ndarray
    landmarks: np.ndarray
    spread: float


class Finder:
    """Finds faces with two detectors.

    Args:
        near: the detector of large faces.
        far: the detector of small faces.
    """

    def __init__(self, near: FaceDetector = NEAR, far: FaceDetector = FAR) -> None:
        self._near, self._far = near, far

    def turn_upright(self, image: np.ndarray) -> tuple[np.ndarray, int]:
        """Turns a photo by the quarter turns that give the most probable upright face.

        A photo that shows an upright face, also in one of its parts, stays as it is.

        Returns:
            The photo (H, W, 3) uint8, and the number of quarter turns.
        """
        best, best_score, best_turns = image, 0.0, 0
        box: np.ndarray | None
        for turns in range(4):
            turned = np.ascontiguousarray(np.rot90(image, turns))
            candidates = [(score * np.cos(roll), box) for box, score, roll in self._detect(turned)]
            score, box = max(candidates, key=lambda face: face[0], default=(0.0, None))
            # The detector misjudges the roll of small faces; the mesh does not.
            if turns == 0 or (score > best_score and box is not None and self._is_upright(turned, box)):
                best, best_turns = turned, turns
                best_score = score + (TURN_MARGIN if turns == 0 else 0)
            if best_score >= 1:  # the highest score: no further turn is better
                break
        if best_turns and self._has_upright(image, best_score):
            return image, 0
        return best, best_turns

    def _has_upright(self, image: np.ndarray, score: float) -> bool:
        """Does the image, or a part of it, show an upright face of nearly the `score`?

        The detector prefers a cropped face that stands on its head.
        """
        searches = ((self._detect(image), 2 * TURN_MARGIN), (self._detect_in(cut_tiles(image)), TURN_MARGIN))
        boxes = [
            box
            for candidates, margin in searches
            for box, probability, roll in candidates
            if probability * np.cos(roll) > score - margin
        ]
        return any(self._is_upright(image, box) for box in distinct_boxes(boxes)[:MAX_FACES])

    def _is_upright(self, image: np.ndarray, box: np.ndarray) -> bool:
        """Does the box surely hold a face that stands upright?"""
        face = self.fit(image, box)
        return face is not None and is_upright(face.landmarks) and not face.spread > MOST_SPREAD

    def find_faces(self, image: np.ndarray, partitions: Sequence[Partition]) -> tuple[Face, ...]:
        """Finds the faces of an image, the largest first.

        Args:
            image: (H, W, 3) uint8.
            partitions: tried in their order, until one shows a face.
        """
        for cut in partitions:
            boxes = distinct_boxes([box for box, _, _ in self._detect_in(cut(image))])
            boxes = sorted(boxes, key=longest_side, reverse=True)[:MAX_FACES]
            faces = [face for face in (self.fit(image, box) for box in boxes) if face is not None]
            if faces:
                return tuple(sorted(faces, key=lambda face: -longest_side(face.landmarks)))
        return ()

    def _detect_in(self, parts: Iterable[Part]) -> list[Candidate]:
        """Detects faces in parts of an image, the most probable first; boxes in pixels of the image."""
        candidates = [
            (box + np.array([x, y, x, y], np.float32), score, roll)
            for x, y, part in parts
            for box, score, roll in self._detect(part)
        ]
        return sorted(candidates, key=lambda candidate: -candidate[1])

    def _detect(self, image: np.ndarray) -> list[Candidate]:
        """Detects faces with both detectors."""
        candidates = []
        for detector in (self._near, self._far):
            for face in detector(image):
                across, down = face.keypoints[1] - face.keypoints[0]
                candidates.append((face.box, face.score, float(np.arctan2(down, across))))
        return candidates

    def fit(self, image: np.ndarray, box: np.ndarray) -> Face | None:
        """Fits the face in a detector's box (4,), pixels; None: too few crops show it, or they disagree."""
        fits, pair = [], []
        for scale in MESH_SCALES:
            centre, half = (box[:2] + box[2:]) / 2, scale * (box[2:] - box[:2]).max() / 2
            square = np.concatenate([centre - half, centre + half])
            crop = crop_square(image, square, MESH_SIZE)
            for mirrored in (False, True):
                picture = np.ascontiguousarray(crop[:, ::-1] if mirrored else crop)
                meshes = find_meshes(picture, MOST_NEAR, self._near)
                faces = [mesh_to_landmarks(mesh[:, :2]) for mesh in meshes]
                faces = [points.mirror(face, MESH_SIZE) for face in faces] if mirrored else faces
                faces = [face * (2 * half / MESH_SIZE) + square[:2] for face in faces]
                faces = [face for face in faces if contains(box, face.mean(axis=0))]  # not a neighbour's
                fits += faces
                pair += faces[:1] if scale == MESH_SCALES[1] else []
        if len(fits) < len(MESH_SCALES):
            return None
        landmarks = np.median(fits, axis=0).astype(np.float32)
        scatter = np.median(np.linalg.norm(fits - landmarks, axis=2).mean(axis=1))
        if scatter > MOST_SCATTER * longest_side(landmarks):
            return None
        return Face(box, landmarks, _spread(pair, landmarks))


def _spread(pair: list[np.ndarray], landmarks: np.ndarray) -> float:
    """`Face.spread` of the meshes (68, 2) of one crop, plain and mirrored."""
    if len(pair) < 2:
        return float("nan")
    distance = np.linalg.norm(pair[0] - pair[1], axis=1)[points.MOUTH].mean()
    return float(distance / 2 / points.inter_ocular_distance(landmarks))


def take_all(image: np.ndarray) -> list[Part]:
    """The image (H, W, 3) as its only part."""
    return [(0, 0, image)]


def add_border(image: np.ndarray) -> list[Part]:
    """The image with a border of half its longer side, for a face that fills the image."""
    margin = max(image.shape[:2]) // 2
    return [(-margin, -margin, np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))]


def cut_tiles(image: np.ndarray) -> list[Part]:
    """Squares for small faces: 0.42 of the longer side, overlapping by half.

    A long picture gives squares of its shorter side, which overlap by two thirds.
    """
    longer, shorter = max(image.shape[:2]), min(image.shape[:2])
    side = min(int(0.42 * longer), shorter)
    step = max(1, side // (3 if side == shorter else 2))
    rows, columns = (range(0, max(1, length - step), step) for length in image.shape[:2])
    return [(x, y, image[y : y + side, x : x + side]) for y in rows for x in columns]


def contains(box: np.ndarray, point: np.ndarray) -> bool:
    """Does the point (x, y) lie in the box (x0, y0, x1, y1)?"""
    return bool((point > box[:2]).all() and (point < box[2:]).all())


def distinct_boxes(boxes: list[np.ndarray]) -> list[np.ndarray]:
    """Drops each box (4,) that shares its middle with an earlier one: either contains the other's middle."""
    distinct: list[np.ndarray] = []
    for box in boxes:
        middle = (box[:2] + box[2:]) / 2
        others = ((other, (other[:2] + other[2:]) / 2) for other in distinct)
        if not any(contains(other, middle) or contains(box, centre) for other, centre in others):
            distinct.append(box)
    return distinct


def is_upright(landmarks: np.ndarray) -> bool:
    """Do the eyes of a face (68, 2) lie side by side, the person's right eye on the left?"""
    x, y = landmarks[EYE_CORNERS[1]] - landmarks[EYE_CORNERS[0]]
    return bool(x > abs(y))


def longest_side(corners: np.ndarray) -> float:
    """The larger side of the box round points (n, 2) or of a box (4,)."""
    return float(np.ptp(corners.reshape(-1, 2), axis=0).max())
