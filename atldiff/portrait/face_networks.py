"""MediaPipe's face detectors, face mesh and segmenter as networks of this package, run by ONNX Runtime.

- The weights lie in `weights/face`; `tools/convert_face_models.py` converts them from mediapipe 0.10.21.
- Regions, crops and thresholds follow its graphs: the points agree to hundredths of a pixel.
- Each process has sessions of its own, which are thread-safe; a fork shares none.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from atldiff.config import WEIGHTS
from atldiff.system import disable_telemetry

FOLDER = WEIGHTS / "face"
MESH_POINTS = 478
MESH_SIDE, MASK_SIDE = 192, 256  # pixels; input squares of mesh and segmenter
ROI_SCALE = 1.5  # side of the mesh's square / longer side of the face's box
PRESENT = 0.5  # lowest probability of a face in the mesh's square
_OVERLAP, _SAME = 0.3, 0.5  # intersection over union above which boxes, and squares, show one face
_EYE_POINTS = (33, 263)  # outer corners of the eyes in the mesh
_IRISES = ((468, 1), (473, 2))  # first point of each iris, and the index of its eye in `_refined_parts`


@dataclass(frozen=True, eq=False)
class Detection:
    """One face in a picture.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1, pixels; may reach beyond the picture.
        keypoints: (6, 2) float32 pixels: eyes, nose, mouth, ears; the person's right eye comes first.
        score: probability in [0, 1].
    """

    box: np.ndarray
    keypoints: np.ndarray
    score: float


@dataclass(frozen=True)
class Detector:
    """A face detector.

    Attributes:
        name: its file in `weights/face`, without the ending.
        side: pixels of the square that it sees.
        cells: (cells along a side, anchors in each cell) of each grid of anchors.
        threshold: lowest probability of a face.
    """

    name: str
    side: int
    cells: tuple[tuple[int, int], ...]
    threshold: float

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """Finds the faces of an image (H, W, 3) uint8, the most probable first."""
        height, width = image.shape[:2]
        side = float(max(height, width))
        corner = np.array([(width - side) / 2, (height - side) / 2])
        picture = _cut_square(image, corner + side / 2, side, 0.0, self.side, repeat=False)
        values = picture.transpose(2, 0, 1)[None].astype(np.float32) / 255 * 2 - 1
        outputs = dict(zip(*_run(self.name, values), strict=True))
        scores = _sigmoid(outputs["classificators"][0, :, 0])
        probable = np.flatnonzero(scores >= self.threshold)
        offsets = outputs["regressors"][0, probable].reshape(-1, 8, 2) / self.side
        points = offsets + self._anchors()[probable, None] * [[0 if row == 1 else 1] for row in range(8)]
        half = points[:, 1] / 2
        points = np.concatenate(
            [points[:, :1] - half[:, None], points[:, :1] + half[:, None], points[:, 2:]], 1
        )
        return [
            Detection(face[:2].reshape(4).astype(np.float32), face[2:].astype(np.float32), float(score))
            for face, score in _merge(points * side + corner, scores[probable])
        ]

    def _anchors(self) -> np.ndarray:
        """The anchors' centres (N, 2), 0..1 across the square."""
        return _anchor_centres(self.cells)


FaceDetector = Callable[[np.ndarray], list[Detection]]  # of an image; the most probable face comes first
# NEAR finds faces that fill a fifth of the picture or more, FAR smaller ones.
NEAR = Detector("detector_near", 128, ((16, 2), (8, 6)), 0.5)
FAR = Detector("detector_far", 192, ((48, 1),), 0.6)


@dataclass(frozen=True)
class Square:
    """A turned square in a picture: centre x, y and side in pixels, angle in radians."""

    x: float
    y: float
    side: float
    angle: float

    @classmethod
    def from_detection(cls, face: Detection) -> "Square":
        """The mesh's square round a detected face, turned with its eyes."""
        return cls.from_box(face.box, face.keypoints[:2])

    @classmethod
    def from_mesh(cls, mesh: np.ndarray) -> "Square":
        """The mesh's square round the mesh (478, >=2) of the previous frame."""
        points = mesh[:, :2]
        return cls.from_box(np.concatenate([points.min(0), points.max(0)]), points[list(_EYE_POINTS)])

    @classmethod
    def from_box(cls, box: np.ndarray, eyes: np.ndarray) -> "Square":
        """The mesh's square round a box (4,), turned by the line through the eyes (2, 2)."""
        x, y = (box[:2] + box[2:]) / 2
        across, down = eyes[1] - eyes[0]
        side = ROI_SCALE * float((box[2:] - box[:2]).max())
        return cls(float(x), float(y), side, float(np.arctan2(down, across)))

    def overlap(self, other: "Square") -> float:
        """Intersection over union with another square; both angles are ignored."""
        low = np.maximum(
            [self.x - self.side / 2, self.y - self.side / 2],
            [other.x - other.side / 2, other.y - other.side / 2],
        )
        high = np.minimum(
            [self.x + self.side / 2, self.y + self.side / 2],
            [other.x + other.side / 2, other.y + other.side / 2],
        )
        common = float(np.prod(np.clip(high - low, 0, None)))
        return common / max(self.side**2 + other.side**2 - common, 1e-9)


def fit_meshes(image: np.ndarray, squares: Sequence[Square]) -> list[np.ndarray | None]:
    """Fits the face mesh in each square of an image (H, W, 3) uint8, as one batch.

    Returns:
        (478, 3) float32 each: pixels; a smaller z is nearer to the camera. None: no face is there.
    """
    if not squares:
        return []
    crops = [
        _cut_square(image, np.array([s.x, s.y]), s.side, s.angle, MESH_SIDE, repeat=True) for s in squares
    ]
    return [
        None if mesh is None else _to_picture(mesh, square)
        for mesh, square in zip(fit_crops(np.stack(crops)), squares, strict=True)
    ]


def fit_crops(crops: np.ndarray) -> list[np.ndarray | None]:
    """Fits the mesh in crops (N, 192, 192, 3) uint8; as `fit_meshes`, in pixels of the crops."""
    values = crops.transpose(0, 3, 1, 2).astype(np.float32) / 255
    outputs = dict(zip(*_run("mesh", values), strict=True))
    points = np.zeros((len(crops), MESH_POINTS, 3), np.float32)
    points[:, :468] = outputs["output_mesh_identity"].reshape(-1, 468, 3)
    parts = _refined_parts()
    for part, name in zip(parts, ("lips", "left_eye", "right_eye"), strict=True):
        points[:, part, :2] = outputs[f"output_{name}"].reshape(len(crops), -1, 2)
    for (first, eye), name in zip(_IRISES, ("left_iris", "right_iris"), strict=True):
        points[:, first : first + 5, :2] = outputs[f"output_{name}"].reshape(-1, 5, 2)
        points[:, first : first + 5, 2] = points[:, parts[eye][:16], 2].mean(1, keepdims=True)
    present = _sigmoid(outputs["conv_faceflag"].reshape(-1)) > PRESENT
    return [mesh if is_face else None for mesh, is_face in zip(points, present, strict=True)]


def find_meshes(image: np.ndarray, most: int = 1, detect: FaceDetector = NEAR) -> list[np.ndarray]:
    """Finds and fits at most `most` faces that fill much of an image (H, W, 3) uint8: (478, 3) each."""
    squares: list[Square] = []
    for face in detect(image)[:most]:
        square = Square.from_detection(face)
        squares = [other for other in squares if other.overlap(square) <= _SAME] + [square]
    return [mesh for mesh in fit_meshes(image, squares) if mesh is not None]


def person_mask(image: np.ndarray) -> np.ndarray:
    """The probability (H, W) float32 that each pixel of an image (H, W, 3) uint8 shows a person."""
    import cv2

    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float32)
    square = np.array([[0, 0], [MASK_SIDE, 0], [0, MASK_SIDE], [MASK_SIDE, MASK_SIDE]], np.float32)
    transform = cv2.getPerspectiveTransform(corners, square)
    picture = cv2.warpPerspective(image, transform, (MASK_SIDE, MASK_SIDE), flags=cv2.INTER_LINEAR)
    _, (mask,) = _run("segmenter", picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    return cv2.resize(mask[0, 0], (width, height), interpolation=cv2.INTER_LINEAR)


def _run(name: str, values: np.ndarray) -> tuple[list[str], list[np.ndarray]]:
    session, names = _session(name, os.getpid())
    return names, session.run(names, {"input": values})


@cache
def _session(name: str, process: int) -> tuple[Any, list[str]]:
    """The network's session in this process; a fork lacks the threads of its parent's session."""
    disable_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = str(FOLDER / f"{name}.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session, [output.name for output in session.get_outputs()]


@cache
def _refined_parts() -> list[list[int]]:
    """The mesh points that the refined lips, left eye and right eye replace."""
    session, _ = _session("mesh", os.getpid())
    metadata = session.get_modelmeta().custom_metadata_map
    return [[int(word) for word in metadata[f"part{number}"].split()] for number in range(3)]


@cache
def _anchor_centres(cells: tuple[tuple[int, int], ...]) -> np.ndarray:
    centres = []
    for count, each in cells:
        places = (np.arange(count) + 0.5) / count
        grid = np.stack(np.meshgrid(places, places), -1).reshape(-1, 2)
        centres.append(np.repeat(grid, each, axis=0))
    return np.concatenate(centres).astype(np.float32)


def _merge(points: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Joins overlapping faces to their mean, weighted by score: points (N, 8, 2), two corners first."""
    order, faces = list(np.argsort(-scores, kind="stable")), []
    while order:
        first = points[order[0]]
        same = [index for index in order if _box_overlap(first, points[index]) > _OVERLAP]
        weights = scores[same][:, None, None]
        faces.append(((points[same] * weights).sum(0) / weights.sum(), scores[order[0]]))
        order = [index for index in order if index not in same and index != order[0]]
    return faces


def _box_overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes; the first two of points (8, 2) are a box's corners."""
    common = np.prod(np.clip(np.minimum(one[1], other[1]) - np.maximum(one[0], other[0]), 0, None))
    both = np.prod(one[1] - one[0]) + np.prod(other[1] - other[0])
    return float(common / max(both - common, 1e-12))


def _cut_square(
    image: np.ndarray, centre: np.ndarray, side: float, angle: float, size: int, repeat: bool
) -> np.ndarray:
    """Cuts a turned square, (size, size, 3) uint8; beyond the image its border is repeated, or black."""
    import cv2

    cos, sin = np.cos(angle) * side / 2, np.sin(angle) * side / 2
    corners = centre + [
        (-cos + sin, -sin - cos),
        (cos + sin, sin - cos),
        (-cos - sin, -sin + cos),
        (cos - sin, sin + cos),
    ]
    square = np.array([(0, 0), (size, 0), (0, size), (size, size)], np.float32)
    transform = cv2.getPerspectiveTransform(corners.astype(np.float32), square)
    border = cv2.BORDER_REPLICATE if repeat else cv2.BORDER_CONSTANT
    return cv2.warpPerspective(image, transform, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def _to_picture(mesh: np.ndarray, square: Square) -> np.ndarray:
    """Moves a mesh from pixels of the network's crop to pixels of the picture."""
    cos, sin, scale = np.cos(square.angle), np.sin(square.angle), square.side / MESH_SIDE
    turn = np.array([[cos, sin], [-sin, cos]]) * scale
    flat = (mesh[:, :2] - MESH_SIDE / 2) @ turn + (square.x, square.y)
    return np.concatenate([flat, mesh[:, 2:] * scale], 1).astype(np.float32)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -80, 80)))
