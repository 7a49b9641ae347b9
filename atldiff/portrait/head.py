"""The head of a portrait as a surface that can turn: its depth, and the share of each place in the motion.

- The face mesh gives the depth inside its outline. Beyond it, an ellipse falls to the head's outline.
- The share is 1 on the head and fades to 0 beside it and below the chin: shoulders and background stay.
- Both lie on the grid of the warp's displacement field.
"""

from dataclasses import dataclass

import numpy as np

from atldiff.landmarks import FaceFrame, to_crop
from atldiff.rendering.warp.spline import GRID, REGION, border_fade, grid_points
from atldiff.smoothstep import smoothstep

RIM = -0.95  # depth of the head's outline
STEEPEST = 2.2  # highest slope of the depth; a steeper surface folds when it turns
BESIDE, BELOW = 0.6, 1.3  # reach of the fade outside the head, and below the chin
SKULL = 1.5, 1.75, 1.6  # half axes of the head: in half widths of the face; above the eyes; below the eyes
BARE_SKULL = 1.2, 1.5, 1.45  # the same without a matte, which separates hair from background
_CENTRE = -0.15  # of the skull's ellipse, below the eyes
_NECK, _NECK_WIDTH = 0.45, 0.55  # how far the neck lies in front of the outline, and its width
_SMOOTH_DEPTH, _SMOOTH_SHARE = 0.06, 0.08  # standard deviations of the last blur
_EDGE_SHARE, _EDGE = 0.15, 0.45  # share of hair at the picture's border, and reach of the border
_FACE = 468  # points of the mesh without the irises
_EYES, _CHIN, _SIDES = [33, 263], 152, [234, 454]  # mesh points: outer eye corners, chin, sides of the face


@dataclass(frozen=True, eq=False)
class Head:
    """Depth and share of one portrait's head, in face units, on the grid of the displacement field.

    Attributes:
        frame: the face's upright frame in crop units.
        places: (GRID, GRID, 2) float32, centres of the cells.
        depth: (GRID, GRID) float32, grows towards the camera; 0 at the outer eye corners.
        share: (GRID, GRID) float32 in [0, 1], the share of the head's motion that a place follows.
        yaw: degrees, turn of the head in the photo; positive = the nose points to the picture's right.
    """

    frame: FaceFrame
    places: np.ndarray
    depth: np.ndarray
    share: np.ndarray
    yaw: float

    @classmethod
    def from_mesh(
        cls,
        mesh: np.ndarray,
        landmarks: np.ndarray,
        box: np.ndarray,
        size: tuple[int, int],
        alpha: np.ndarray | None = None,
    ) -> "Head":
        """Builds the head from the face mesh of a photo.

        Args:
            mesh: (>= 468, 3) pixels of `mesh.photo_mesh`; z grows towards the camera.
            landmarks: (68, 2) pixels.
            box: (4,) the network's crop, pixels.
            size: (height, width) of the photo.
            alpha: (H, W) float32 in [0, 1], 1 = person. None: the head is an ellipse.
        """
        frame = FaceFrame.from_landmarks(to_crop(landmarks, box).astype(np.float64))
        places = frame.to_face(grid_points().numpy())
        face = _in_face_units(mesh[:_FACE], frame, box)
        cell = _cell(frame)
        inside = _inside(frame.from_face(face[:, :2]))
        head = inside | _skull(places, face, alpha, box)
        depth = _depth(places, face, inside, head, cell)
        share = _share(places, head, float(face[_CHIN, 1]), cell)
        share *= _limit_at_edges(box, size, frame) * border_fade(grid_points())[..., 0]
        across, back = face[_SIDES[1]] - face[_SIDES[0]], face[_SIDES[0], 2] - face[_SIDES[1], 2]
        yaw = float(np.rad2deg(np.arctan2(back, across[0])))
        return cls(frame, places.astype(np.float32), depth, share.astype(np.float32), yaw)


def _in_face_units(mesh: np.ndarray, frame: FaceFrame, box: np.ndarray) -> np.ndarray:
    """Mesh (N, 3) pixels -> face units, depth 0 at the outer eye corners."""
    unit = float(np.linalg.norm(frame.axes[0])) * float(box[2] - box[0])
    flat = frame.to_face((mesh[:, :2] - box[:2]) / float(box[2] - box[0]))
    depth = (mesh[:, 2] - mesh[_EYES, 2].mean()) / unit
    return np.column_stack([flat, depth])


def _cell(frame: FaceFrame) -> float:
    """Side of a cell of the grid in face units."""
    return (REGION[1] - REGION[0]) / GRID / float(np.linalg.norm(frame.axes[0]))


def _inside(points: np.ndarray) -> np.ndarray:
    """(GRID, GRID) bool: cells well inside the outline of the mesh's points (N, 2), crop units."""
    import cv2

    cells = (points - REGION[0]) * (GRID / (REGION[1] - REGION[0])) - 0.5
    hull = cv2.convexHull(np.round(cells * 16).astype(np.int32))
    mask = cv2.fillPoly(np.zeros((GRID, GRID), np.uint8), [hull], 255, cv2.LINE_8, 4)
    return cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0


def _skull(places: np.ndarray, face: np.ndarray, alpha: np.ndarray | None, box: np.ndarray) -> np.ndarray:
    """(GRID, GRID) bool: the person's cells within an ellipse round the face (N, 3)."""
    left, right = face[_SIDES, 0]
    wide, above, below = BARE_SKULL if alpha is None else SKULL
    x = (places[..., 0] - (left + right) / 2) / (wide * (right - left) / 2)
    y = places[..., 1] - _CENTRE
    ellipse = x**2 + (y / np.where(y < 0, above, below)) ** 2 < 1
    return ellipse if alpha is None else ellipse & (_at_cells(alpha, box) > 0.5)


def _at_cells(alpha: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Samples the matte (H, W) at the grid's cells: (GRID, GRID); the photo's border is repeated."""
    import cv2

    pixels = (grid_points().numpy() * float(box[2] - box[0]) + box[:2] - 0.5).astype(np.float32)
    return cv2.remap(alpha, pixels, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _depth(
    places: np.ndarray, face: np.ndarray, inside: np.ndarray, head: np.ndarray, cell: float
) -> np.ndarray:
    """(GRID, GRID) float32: the mesh, an ellipse from its rim to the head's outline, and the neck."""
    import cv2

    mesh = np.zeros(inside.shape)
    mesh[inside] = _spline(face[:, :2], face[:, 2], places[inside])
    from_mesh, from_outline = _distance(inside, cell), _distance(~head, cell)
    part = from_mesh / np.maximum(from_mesh + from_outline, 1e-6)
    skin = RIM + (np.maximum(_nearest(mesh, inside), RIM) - RIM) * np.sqrt(1 - part**2) * head
    x, y = places[..., 0] - face[_SIDES, 0].mean(), places[..., 1]
    neck = RIM + _NECK * np.exp(-((x / _NECK_WIDTH) ** 2)) * (y > face[_CHIN, 1] - 0.1)
    depth = np.where(inside, mesh, np.maximum(skin, neck)).astype(np.float32)
    depth = cv2.GaussianBlur(depth, (0, 0), max(_SMOOTH_DEPTH / cell, 0.3), borderType=cv2.BORDER_REPLICATE)
    return limit_slope(depth, STEEPEST * cell)


def _share(places: np.ndarray, head: np.ndarray, chin: float, cell: float) -> np.ndarray:
    """(GRID, GRID): 1 on the head; it fades beside the head and below the chin."""
    import cv2

    beside = 1 - smoothstep(0, BESIDE, _distance(head, cell))
    below = 1 - smoothstep(chin - 0.05, chin + BELOW, places[..., 1])
    share = (beside * below).astype(np.float32)
    return cv2.GaussianBlur(share, (0, 0), max(_SMOOTH_SHARE / cell, 0.3), borderType=cv2.BORDER_REPLICATE)


def _limit_at_edges(box: np.ndarray, size: tuple[int, int], frame: FaceFrame) -> np.ndarray:
    """(GRID, GRID) in [_EDGE_SHARE, 1]: hair hardly moves at the photo's left, right and upper border."""
    side = float(box[2] - box[0])
    pixels = grid_points().numpy() * side + box[:2]
    x, y = pixels[..., 0], pixels[..., 1]
    away = np.minimum(np.minimum(x, size[1] - x), y) / (side * float(np.linalg.norm(frame.axes[0])))
    return _EDGE_SHARE + (1 - _EDGE_SHARE) * smoothstep(0, _EDGE, away)


def _distance(mask: np.ndarray, cell: float) -> np.ndarray:
    """Distance from each cell to the nearest True cell of the mask, face units."""
    import cv2

    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * cell


def _nearest(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Values (GRID, GRID); a cell outside the mask takes the value of the nearest cell inside."""
    import cv2

    _, labels = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(int(labels.max()) + 1)
    table[labels[mask]] = values[mask]
    return table[labels]


def _spline(points: np.ndarray, values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Evaluates at places (P, 2) a smoothed thin-plate spline through values (N,) at points (N, 2)."""
    count = len(points)
    flat = np.column_stack([np.ones(count), points])
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(points, points) + 2e-2 * np.eye(count)
    system[:count, count:], system[count:, :count] = flat, flat.T
    weights = np.linalg.solve(system, np.concatenate([values, np.zeros(3)]))
    return (
        _kernel(where, points) @ weights[:count]
        + np.column_stack([np.ones(len(where)), where]) @ weights[count:]
    )


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The spline's kernel r^2 log r^2 between points (N, 2) and (M, 2): (N, M)."""
    squared = (a[:, None, 0] - b[:, 0]) ** 2 + (a[:, None, 1] - b[:, 1]) ** 2
    return squared * np.log(np.maximum(squared, 1e-12))


def limit_slope(depth: np.ndarray, steepest: float) -> np.ndarray:
    """Limits the rise of a surface (h, w) between neighbouring cells to `steepest`: (h, w) float32.

    The result is the mean of the highest such surface below and the lowest such surface above.
    """
    low = _lower_envelope(depth.astype(np.float32), steepest)
    high = -_lower_envelope(-depth.astype(np.float32), steepest)
    return (low + high) / 2


def _lower_envelope(surface: np.ndarray, steepest: float) -> np.ndarray:
    """The highest surface (h, w) below this one that rises by at most `steepest` a cell."""
    steps = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
    height, width = surface.shape
    for _ in range(max(height, width)):
        border, before = np.pad(surface, 1, mode="edge"), surface
        for y, x in steps:
            near = border[1 + y : 1 + y + height, 1 + x : 1 + x + width]
            surface = np.minimum(surface, near + np.float32(steepest * np.hypot(y, x)))
        if np.array_equal(surface, before):
            break
    return surface
