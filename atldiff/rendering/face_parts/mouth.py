"""The layered mouth: cavity, tongue, lower teeth and upper teeth, drawn from the landmarks.

- The upper teeth stay with the skull, the lower teeth move with the jaw, the tongue lies between them.
- The lips slide over all layers and cast a shadow.
- The drawing works at any resolution and does not flicker. The diffusion network refines it.
- Only the numbers of `MouthShape` are fitted to data.
- Lengths are millimetres of an adult face, with outer eye corners 90 mm apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from atldiff.landmarks import inter_ocular_distance
from atldiff.rendering.face_parts.light import EYE_SPAN, face_axes, softness, teeth_colour
from atldiff.rendering.face_parts.lip_outline import smooth_outline
from atldiff.rendering.face_parts.mouth_layers import MouthPose, MouthShape, paint_layers
from atldiff.rendering.face_parts.shapes import Rect, enclose, fill_polygon, rect_around
from atldiff.smoothstep import smoothstep

LIP_DROP = (15.0, 26.0)  # plausible mm from nose base to the upper inner lip of closed lips
_CACHED = 1 << 18  # pixels per batch of layers, 1 MB a layer
_EDGE = 3  # pixels by which filled outlines and their least blur extend beyond the outline


@dataclass(frozen=True, eq=False)
class LayeredMouth:
    """One person's mouth.

    Attributes:
        shape: parameters shared by all people.
        teeth: (3,) colour of the teeth, levels.
        edge: mm from nose base to the upper row's edge.
        rest: mm from nose base to chin in the photo, minus its lip gap.
        gap: mm between the photo's lips.
        width: mm between the corners of the photo's mouth.
        slope: relative change of light per mm to the right.
        soft: mm of the photo's blur.
    """

    shape: MouthShape
    teeth: np.ndarray
    edge: float
    rest: float
    gap: float
    width: float
    slope: float
    soft: float

    @classmethod
    def from_photo(
        cls, image: np.ndarray, still: np.ndarray, shape: MouthShape | None = None
    ) -> "LayeredMouth":
        """Measures the mouth of a photo.

        Args:
            image: (H, W, >=3) uint8.
            still: (68, 2) landmarks, pixels of `image`.
            shape: parameters shared by all people; None = the fitted ones.
        """
        shape = shape or MouthShape()
        _, down, mm = face_axes(still)
        drop = float((still[62] - still[33]) @ down) / mm
        gap = float(np.linalg.norm(still[62] - still[66])) / mm
        rest = float((still[8] - still[33]) @ down) / mm - gap
        teeth, slope = teeth_colour(image, still)
        return cls(
            shape,
            teeth,
            float(np.clip(drop, *LIP_DROP)) + shape.edge,
            rest,
            gap,
            float(np.linalg.norm(still[64] - still[60])) / mm,
            slope,
            min(softness(image, still) / mm, 1.5),
        )

    def paint(self, image: np.ndarray, landmarks: np.ndarray, outline: np.ndarray, share: float) -> None:
        """Paints the inside of the mouth into a picture, in place.

        Args:
            image: (H, W, >=3) uint8 frame.
            landmarks: (68, 2) of its face, its pixels.
            outline: (8, 2) from `disocclusion.opened_mouth`, its pixels.
            share: opacity in [0, 1]; 0 changes nothing.
        """
        height, width = image.shape[:2]
        layers = next(self.layers(landmarks[None], outline[None], (height, width)))
        self.blend(image, landmarks, outline, share, layers)

    def layers(
        self, landmarks: np.ndarray, outlines: np.ndarray, size: tuple[int, int]
    ) -> Iterator[tuple[Rect, np.ndarray]]:
        """Draws the layers of all frames, as many frames at once as fit a cache.

        Args:
            landmarks: (F, 68, 2) of the frames, pixels.
            outlines: (F, 8, 2) from `disocclusion.opened_mouth`, pixels.
            size: (height, width) of the frames.

        Yields:
            For each frame the rectangle that `blend` may change, and its layers (h, w, 3) float32 levels.
        """
        rects = [self.rect(*frame, size) for frame in zip(landmarks, outlines, strict=True)]
        x0, y0, x1, y1 = bounds = enclose(rects)
        at_once = max(1, _CACHED // max((x1 - x0) * (y1 - y0), 1))
        for start in range(0, len(rects), at_once):
            poses = [self.pose(frame) for frame in landmarks[start : start + at_once]]
            painting = paint_layers(self.shape, self.teeth, self.slope, poses, bounds)
            batch = painting.permute(0, 2, 3, 1).numpy()
            for (left, top, right, bottom), layers in zip(rects[start:], batch, strict=False):
                yield (left, top, right, bottom), layers[top - y0 : bottom - y0, left - x0 : right - x0]

    def blend(
        self,
        image: np.ndarray,
        landmarks: np.ndarray,
        outline: np.ndarray,
        share: float,
        layers: tuple[Rect, np.ndarray],
    ) -> None:
        """As `paint`, with the frame's rectangle and layers from `layers`."""
        import cv2

        (x0, y0, x1, y1), painting = layers
        if share <= 0 or painting.size == 0:
            return
        shadow, blur, edge = self.blurs(float(inter_ocular_distance(landmarks)) / EYE_SPAN)
        inside = fill_outline(outline, (x0, y0, x1, y1)).astype(np.float32) / 255
        depth = smoothstep(0.5, 1.0, cv2.GaussianBlur(inside, (0, 0), shadow))
        lit = self.shape.shadow + (1 - self.shape.shadow) * depth
        painting = cv2.GaussianBlur(painting * lit[..., None], (0, 0), blur)
        alpha = cv2.GaussianBlur(inside, (0, 0), edge)[..., None] * share
        part = image[y0:y1, x0:x1, :3]
        part[:] = np.clip(part + (painting - part) * alpha + 0.5, 0, 255).astype(np.uint8)

    def rect(self, landmarks: np.ndarray, outline: np.ndarray, size: tuple[int, int]) -> Rect:
        """The pixels that `paint` may change in a picture of size (H, W)."""
        margin = 3 * max(float(inter_ocular_distance(landmarks)) / EYE_SPAN, 1.0) + _EDGE
        return rect_around(outline, margin, size)

    def blurs(self, mm: float) -> tuple[float, float, float]:
        """Standard deviations in pixels of the blurs of the shadow, the painting and its edge.

        Args:
            mm: pixels per millimetre.
        """
        shape = self.shape
        painting = max(float(np.hypot(shape.blur, self.soft)) * mm, 0.3)
        return max(shape.shadow_width * mm, 0.6), painting, max(float(np.hypot(0.4, self.soft)) * mm, 0.5)

    def pose(self, landmarks: np.ndarray) -> MouthPose:
        """The layers' pose in a frame with landmarks (68, 2), pixels."""
        shape = self.shape
        right, down, mm = face_axes(landmarks)
        base = landmarks[33]
        middle = base + right * float((landmarks[[51, 62]].mean(axis=0) - base) @ right) * 0.7
        chin = float((landmarks[8] - base) @ down) / mm - self.rest
        gap = float(np.linalg.norm(landmarks[62] - landmarks[66])) / mm
        drop = max(0.0, 0.5 * chin + 0.5 * (gap - self.gap)) * shape.jaw
        lip = float((landmarks[66] - base) @ down) / mm - self.edge
        low = max(drop - shape.overbite, lip - shape.lower_show)
        origin = float(middle @ right), float(base @ down) + self.edge * mm
        light = self._light(landmarks, gap, mm)
        return MouthPose((float(right[0]), float(right[1])), origin, mm, drop, low, light)

    def _light(self, landmarks: np.ndarray, gap: float, mm: float) -> float:
        """Share of the light that enters between lips `gap` mm apart; rounded lips let in less."""
        width = float(np.linalg.norm(landmarks[64] - landmarks[60])) / mm / max(self.width, 1.0)
        rounded = smoothstep(self.shape.pucker, self.shape.pucker + 0.4, np.array(width))
        return gap / (gap + self.shape.dim) * (0.3 + 0.7 * float(rounded))


def fill_outline(outline: np.ndarray, rect: Rect) -> np.ndarray:
    """Fills the smooth outline of the inner lips (8, 2), pixels: (h, w) uint8 mask of `rect`."""
    return fill_polygon(smooth_outline(outline) - rect[:2], (rect[3] - rect[1], rect[2] - rect[0]))
