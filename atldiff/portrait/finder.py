"""MediaPipe's face detector and mesh on one photo."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

import numpy as np

from atldiff import landmarks as points
from atldiff.landmarks import mesh_to_landmarks
from atldiff.options import MAX_FACES
from atldiff.portrait.detection_boxes import distinct_boxes, holds, is_upright, longest_side, tiles
from atldiff.portrait.matting import mediapipe_solutions
from atldiff.portrait.photo import crop_square

MESH_SIZE = 512  # pixels; the square a face is brought to before the mesh is fitted
# Each face is fitted in these crops (side over the detector's box), plain and mirrored, and the median
# taken: one crop alone moves drawn and painted faces by several per cent of the eyes' distance.
MESH_SCALES = (1.7, 2.0, 2.5)
TURN_MARGIN = 0.1  # how much surer of a face the detector must be to turn the photo

Part = tuple[int, int, np.ndarray]  # x, y of its corner, and its pixels
Look = Callable[[np.ndarray], list[Part]]  # which parts of an image to look at; see `detection_boxes`
Detection = tuple[np.ndarray, float, float]  # box (4,) pixels, score 0..1, roll of the eyes in radians
Face = tuple[np.ndarray, np.ndarray]  # box (4,) and landmarks (68, 2), pixels


class Finder:
    """MediaPipe's graphs for one photo; `stack` closes them."""

    def __init__(self, stack: ExitStack) -> None:
        detection, face_mesh = (
            mediapipe_solutions().face_detection.FaceDetection,
            mediapipe_solutions().face_mesh.FaceMesh,
        )
        # Model 0 sees large faces, model 1 faces from about a twentieth of the photo's side.
        self._detectors = [stack.enter_context(detection(0.5, model_selection=model)) for model in (0, 1)]
        self._mesh = stack.enter_context(face_mesh(True, max_num_faces=4, refine_landmarks=True))

    def upright(self, image: np.ndarray) -> tuple[np.ndarray, int]:
        """The photo in the quarter turn in which a face is surest and nearest to upright; how many turns.

        Before it is turned, a surer upright face is looked for in parts of it.
        """
        best, surest, kept = image, 0.0, 0
        box: np.ndarray | None
        for turns in range(4):
            turned = np.ascontiguousarray(np.rot90(image, turns))
            found = [(score * np.cos(roll), box) for box, score, roll in self._detect(turned)]
            score, box = max(found, key=lambda face: face[0], default=(0.0, None))
            # The detector misjudges the roll of small faces; the mesh does not.
            if turns == 0 or (score > surest and box is not None and is_upright(self.fit(turned, box))):
                best, kept, surest = turned, turns, score + (TURN_MARGIN if turns == 0 else 0)
        if kept and self._has_upright(image, surest - TURN_MARGIN):
            return image, 0
        return best, kept

    def _has_upright(self, image: np.ndarray, score: float) -> bool:
        """Is there an upright face in a part of the image of which the detector is surer than `score`?"""
        found = [face for face in self._detect_in(tiles(image)) if face[1] * np.cos(face[2]) > score]
        boxes = distinct_boxes([box for box, _, _ in found])[:MAX_FACES]
        return any(is_upright(self.fit(image, box)) for box in boxes)

    def faces(self, image: np.ndarray, looks: Sequence[Look]) -> tuple[Face, ...]:
        """The faces that the first of `looks` with any of them finds, the largest first."""
        for look in looks:
            boxes = distinct_boxes([box for box, _, _ in self._detect_in(look(image))])
            boxes = sorted(boxes, key=longest_side, reverse=True)[:MAX_FACES]
            found = [(box, self.fit(image, box)) for box in boxes]
            faces = [(box, landmarks) for box, landmarks in found if landmarks is not None]
            if faces:
                return tuple(sorted(faces, key=lambda face: -longest_side(face[1])))
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
        size, found = np.array(image.shape[1::-1], np.float32), []
        for detector in self._detectors:
            for face in detector.process(np.ascontiguousarray(image)).detections or ():
                box, eyes = face.location_data.relative_bounding_box, face.location_data.relative_keypoints
                corner = np.array([box.xmin, box.ymin], np.float32) * size
                extent = np.array([box.width, box.height], np.float32) * size
                x, y = (eyes[1].x - eyes[0].x) * size[0], (eyes[1].y - eyes[0].y) * size[1]
                found.append((np.concatenate([corner, corner + extent]), face.score[0], np.arctan2(y, x)))
        return found

    def fit(self, image: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        """Landmarks (68, 2) pixels of the face in the detector's box: the median over several crops."""
        fits = []
        for scale in MESH_SCALES:
            centre, half = (box[:2] + box[2:]) / 2, scale * (box[2:] - box[:2]).max() / 2
            square = np.concatenate([centre - half, centre + half])
            crop = crop_square(image, square, MESH_SIZE)
            for mirrored in (False, True):
                found = self._mesh.process(np.ascontiguousarray(crop[:, ::-1] if mirrored else crop))
                fitted = [mesh_pixels(face, crop) for face in found.multi_face_landmarks or ()]
                fitted = [points.mirror(face, MESH_SIZE) for face in fitted] if mirrored else fitted
                fits += [face * (2 * half / MESH_SIZE) + square[:2] for face in fitted]
        fits = [fit for fit in fits if holds(box, fit.mean(axis=0))]  # not those of a neighbour
        return np.median(fits, axis=0).astype(np.float32) if len(fits) >= len(MESH_SCALES) else None


def mesh_pixels(face, image: np.ndarray) -> np.ndarray:
    """One of MediaPipe's meshes -> landmarks (68, 2) float32 in the image's pixels."""
    mesh = np.array([(point.x, point.y) for point in face.landmark])
    return (mesh_to_landmarks(mesh) * (image.shape[1], image.shape[0])).astype(np.float32)
