"""Closed lids: the spline squeezes an open eye into a slit; here skin and lashes are drawn over it."""

from dataclasses import dataclass

import numpy as np

from atldiff.landmarks import BROWS, LEFT_EYE, LOWER_LIDS, RIGHT_EYE, UPPER_LIDS
from atldiff.rendering.mouth import smoothstep
from atldiff.rendering.warp import parted_lids

_CLOSING = (0.5, 0.85)  # how far the eye is closed where lids begin to be drawn, and are drawn in full
_LASHES = 0.04  # thickness of the lash line, share of the eye's width


@dataclass(frozen=True, eq=False)
class Eyelids:
    """One person's lids: the photo's landmarks (68, 2), colours of skin and lashes (2, 3), right and left."""

    still: np.ndarray
    skin: np.ndarray
    lashes: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, still: np.ndarray) -> "Eyelids":
        """The lids of the face with landmarks `still` (68, 2), pixels of `image` (H, W, >=3) uint8."""
        skin, lashes = [], []
        brows = still[BROWS].reshape(2, 5, 2)
        for side, eye in enumerate((RIGHT_EYE, LEFT_EYE)):
            upper = still[list(UPPER_LIDS[2 * side : 2 * side + 2])]
            to_brow = brows[side][1:4].mean(axis=0) - upper
            lid = upper[:, None] + np.linspace(0.3, 0.55, 4)[:, None] * to_brow[:, None]
            skin.append(np.median(_pixels(image, lid.reshape(-1, 2)), axis=0))
            ring = still[eye] + 0.02 * (still[eye] - still[eye].mean(axis=0))
            lashes.append(np.percentile(_pixels(image, np.concatenate([ring, upper])), 20, axis=0))
        return cls(still, np.array(skin), np.minimum(lashes, 0.55 * np.array(skin)))

    def paint(self, image: np.ndarray, landmarks: np.ndarray) -> None:
        """Draws what is closed of the eyes of landmarks (68, 2), pixels of the frame `image`, in place."""
        import cv2

        closed = 1 - eye_gaps(landmarks) / np.maximum(eye_gaps(self.still), 1e-6)
        parted = parted_lids(landmarks[None], self.still)[0]
        for side, eye in enumerate((RIGHT_EYE, LEFT_EYE)):
            weight = float(smoothstep(*_CLOSING, closed[side]))
            outline = parted[eye]
            width = float(np.linalg.norm(outline[3] - outline[0]))
            margin = 0.25 * width + 2
            x0, y0 = np.maximum(np.floor(outline.min(axis=0) - margin), 0).astype(int)
            x1, y1 = np.minimum(np.ceil(outline.max(axis=0) + margin), image.shape[1::-1]).astype(int)
            if weight <= 0 or x0 >= x1 or y0 >= y1:
                continue
            slit = outline - (x0, y0) - 0.5
            line = slit[[0, 5, 4, 3]]
            fixed = [np.round(points * 16).astype(np.int32) for points in (slit, line)]
            masks = np.zeros((2, y1 - y0, x1 - x0), np.uint8)
            cv2.fillPoly(masks[0], [fixed[0]], 255, cv2.LINE_AA, 4)
            cv2.polylines(masks[0], [fixed[0]], True, 255, max(1, round(0.06 * width)), cv2.LINE_AA, 4)
            cv2.polylines(masks[1], [fixed[1]], False, 255, max(1, round(_LASHES * width)), cv2.LINE_AA, 4)
            soft = max(0.6, 0.025 * width)
            part = image[y0:y1, x0:x1, :3]
            drawn = part.astype(np.float32)
            for mask, colour in zip(masks, (self.skin[side], self.lashes[side]), strict=True):
                alpha = cv2.GaussianBlur(mask, (0, 0), soft).astype(np.float32)[..., None] * (weight / 255)
                drawn += (colour - drawn) * alpha
            part[:] = np.clip(drawn + 0.5, 0, 255).astype(np.uint8)


def eye_gaps(landmarks: np.ndarray) -> np.ndarray:
    """Gaps between the lids of landmarks (68, 2) over the eyes' widths, right and left: (2,)."""
    gaps = np.linalg.norm(landmarks[list(UPPER_LIDS)] - landmarks[list(LOWER_LIDS)], axis=-1)
    widths = np.linalg.norm(landmarks[[39, 45]] - landmarks[[36, 42]], axis=-1)
    return gaps.reshape(2, 2).mean(axis=1) / np.maximum(widths, 1e-6)


def _pixels(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours (N, 3) at points (N, 2), the nearest pixel's."""
    columns, rows = np.clip(np.round(points - 0.5), 0, np.array(image.shape[1::-1]) - 1).astype(int).T
    return image[rows, columns, :3].astype(np.float32)
