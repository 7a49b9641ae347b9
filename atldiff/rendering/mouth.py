"""The layered mouth: cavity, tongue, lower teeth and upper teeth, drawn from the landmarks.

A mouth's inside is a simple solid: the upper row stands still on the skull, the lower one moves with the
jaw, the tongue lies between them, and the lips slide over all of it and throw a shadow. So it can be drawn
at any resolution, steady in time, with nothing learnt but the few numbers of `MouthShape`; the diffusion
network starts from it. Lengths are millimetres of an adult face (outer eye corners 90 mm apart).
"""

from dataclasses import dataclass

import numpy as np

from atldiff.easing import smoothstep
from atldiff.landmarks import inter_ocular_distance
from atldiff.rendering.photo_light import EYE_SPAN, face_axes, softness, teeth_colour

# Visible widths from the midline outwards, as borders between teeth; adult means.
UPPER_TEETH = np.cumsum([0, 8.3, 6.4, 6.2, 4.6, 3.6, 2.6]).astype(np.float32)
LOWER_TEETH = np.cumsum([0, 5.3, 5.6, 5.8, 5.0, 4.5, 3.5]).astype(np.float32)
UPPER_STEPS = np.array([0, 0.8, 0.2, 1.0, 1.0, 1.0], np.float32)  # how much shorter than the first
LIP_DROP = (15.0, 26.0)  # mm from nose base to the upper inner lip of closed lips: what is believed
_CURVE = 6  # points between two landmarks of the smooth lip outline


@dataclass(frozen=True)
class MouthShape:
    """What is the same for everybody, fitted to open mouths of training people (`training.fit_mouth`).

    Lights are shares of the teeth's; lengths are mm.
    """

    edge: float = 5.0  # upper row's edge below the closed lips' line
    jaw: float = 0.8  # share of the jaw's way that the lower row follows
    overbite: float = 3.9  # how far the closed lower row stands behind the upper one's edge
    lower_show: float = 5.33  # what the lower lip leaves to be seen of the lower row, at most
    dim: float = 0.64  # opening at which half of the light comes in
    pucker: float = 0.36  # share of its rest width at which a rounded mouth is dark
    upper_light: float = 1.14
    lower_light: float = 1.2
    tongue_light: float = 1.2
    cavity_light: float = 0.37
    falloff: float = 33.2  # half width at which the light has gone to the sides
    shadow: float = 0.52  # light that is left right under the lips
    shadow_width: float = 1.94
    gap: float = 0.14  # darkness of the gaps between teeth
    blur: float = 0.37  # of the whole painting


@dataclass(frozen=True, eq=False)
class LayeredMouth:
    """One person's mouth.

    Attributes:
        shape: see there.  teeth: (3,) colour.
        edge: mm from nose base to the upper row's edge.  rest: mm from nose base to the chin of the
            photo, less its lip gap.  gap, width: mm between the photo's lips and between their corners.
        slope: change of light a mm to the right.  soft: mm of blur of the photo.
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
    def of(cls, image: np.ndarray, still: np.ndarray, shape: MouthShape | None = None) -> "LayeredMouth":
        """The mouth of the face with landmarks `still` (68, 2), pixels of `image` (H, W, >=3) uint8."""
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
            image: (H, W, >=3) uint8 frame.  landmarks: (68, 2) of its face, in its pixels.
            outline: (8, 2) what is to be filled, of `disocclusion.opened_mouth`.
            share: in [0, 1], how much of it the photo does not show by itself; 0 changes nothing.
        """
        import cv2

        mm = float(inter_ocular_distance(landmarks)) / EYE_SPAN
        margin = 3 * max(mm, 1.0)
        x0, y0 = np.maximum(np.floor(outline.min(axis=0) - margin), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(outline.max(axis=0) + margin), image.shape[1::-1]).astype(int)
        if share <= 0 or x0 >= x1 or y0 >= y1:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        smooth = np.round((smooth_outline(outline) - (x0, y0) - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(mask, [smooth], 255, cv2.LINE_AA, 4)
        inside = mask.astype(np.float32) / 255
        painting = self._layers(landmarks, (x0, y0, x1, y1), mm)
        depth = cv2.GaussianBlur(inside, (0, 0), max(self.shape.shadow_width * mm, 0.6))
        lit = self.shape.shadow + (1 - self.shape.shadow) * smoothstep(0.5, 1.0, depth)
        painting = cv2.GaussianBlur(
            painting * lit[..., None], (0, 0), max(float(np.hypot(self.shape.blur, self.soft)) * mm, 0.3)
        )
        alpha = (
            cv2.GaussianBlur(inside, (0, 0), max(float(np.hypot(0.4, self.soft)) * mm, 0.5))[..., None]
            * share
        )
        part = image[y0:y1, x0:x1, :3]
        part[:] = np.clip(part + (painting - part) * alpha + 0.5, 0, 255).astype(np.uint8)

    def _layers(self, landmarks: np.ndarray, rect: tuple[int, int, int, int], mm: float) -> np.ndarray:
        """(h, w, 3) float32: all layers over one another, before the lips' shadow."""
        shape = self.shape
        right, down, _ = face_axes(landmarks)
        x, y = self._face_grid(landmarks, rect, mm)
        pixel = 0.5 / mm  # half a pixel: edges are this soft, narrower lines fade
        chin = float((landmarks[8] - landmarks[33]) @ down) / mm - self.rest
        gap = float(np.linalg.norm(landmarks[62] - landmarks[66])) / mm
        drop = max(0.0, 0.5 * chin + 0.5 * (gap - self.gap)) * shape.jaw
        side = np.exp(-((x / shape.falloff) ** 4))
        lip = float((landmarks[66] - landmarks[33]) @ down) / mm - self.edge
        low = max(drop - shape.overbite, lip - shape.lower_show) + 0.0036 * x * x
        light = shape.cavity_light * np.ones_like(x)
        tint = np.broadcast_to(np.array([1.1, 0.55, 0.5], np.float32), (*x.shape, 3))
        painting = tint * light[..., None]
        # tongue: between the rows, dark under the upper teeth, light behind the lower ones
        top, bottom = 0.8 + 0.22 * drop, low + 1.0
        height = np.maximum(bottom - top, 1.0)
        depth = np.clip((y - top) / height, 0, 1)
        reach = np.sqrt((x / 20) ** 2 + (np.minimum(y - bottom, 0) / (height + 1)) ** 2)
        tongue = shape.tongue_light * (0.35 + 0.65 * depth) * (0.45 + 0.55 * side)
        painting = _over(painting, (1.05, 0.68, 0.68), tongue, smoothstep(1.0, 0.7, reach))
        index, across, to_gap = _teeth(x, LOWER_TEETH)
        row = smoothstep(-0.2 - pixel, 0.2 + pixel, y - low - 0.35 * across**4)
        row *= np.abs(x) < LOWER_TEETH[-1]
        light = shape.lower_light * (1 - 0.16 * across**4) * _gaps(to_gap, shape.gap, pixel)
        light = light * (0.35 + 0.65 * side) * (0.75 + 0.25 * smoothstep(5, 0, y - low))
        painting = _over(painting, (1.0, 0.97, 0.93), light, row)
        index, across, to_gap = _teeth(x, UPPER_TEETH)
        edge = -0.0035 * x * x - UPPER_STEPS[index] - 0.7 * np.abs(across) ** 5
        row = smoothstep(0.2 + pixel, -0.2 - pixel, y - edge) * (np.abs(x) < UPPER_TEETH[-1])
        light = shape.upper_light * (1 - 0.14 * across**4) * _gaps(to_gap, shape.gap, pixel)
        light = light * (0.25 + 0.75 * side) * (0.9 + 0.1 * smoothstep(-1.2, -3, y - edge))
        gum = smoothstep(-8.6, -9.6, y + 1.2 * (1 - across**2) - UPPER_STEPS[index])
        colour = np.array([1, 1, 1], np.float32) - gum[..., None] * np.array([0.22, 0.54, 0.55], np.float32)
        painting = painting + (colour * light[..., None] - painting) * row[..., None]
        return painting * self.teeth * (1 + self.slope * x)[..., None] * self._opened(landmarks, gap, mm)

    def _opened(self, landmarks: np.ndarray, gap: float, mm: float) -> float:
        """Share of the light that comes in between lips `gap` mm apart, and rounded or not."""
        width = float(np.linalg.norm(landmarks[64] - landmarks[60])) / mm / max(self.width, 1.0)
        rounded = smoothstep(self.shape.pucker, self.shape.pucker + 0.4, np.array(width))
        return gap / (gap + self.shape.dim) * (0.3 + 0.7 * float(rounded))

    def _face_grid(
        self, landmarks: np.ndarray, rect: tuple[int, int, int, int], mm: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each pixel's place (h, w) in mm: right of the teeth's midline, below the upper row's edge."""
        right, down, _ = face_axes(landmarks)
        x0, y0, x1, y1 = rect
        base = landmarks[33]
        middle = base + right * float((landmarks[[51, 62]].mean(axis=0) - base) @ right) * 0.7
        px = np.arange(x0, x1, dtype=np.float32)[None] + 0.5
        py = np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5
        x = ((px - middle[0]) * right[0] + (py - middle[1]) * right[1]) / mm
        y = ((px - base[0]) * down[0] + (py - base[1]) * down[1]) / mm - self.edge
        return x.astype(np.float32), y.astype(np.float32)


def smooth_outline(inner: np.ndarray) -> np.ndarray:
    """Catmull-Rom curve (8 n, 2) through the inner lips (8, 2); the corners (0 and 4) stay sharp."""
    before, after = np.roll(inner, 1, axis=0), np.roll(inner, -1, axis=0)
    beyond = np.roll(inner, -2, axis=0)
    before[[0, 4]] = inner[[0, 4]]
    beyond[[3, 7]] = after[[3, 7]]
    t = np.linspace(0, 1, _CURVE, endpoint=False, dtype=np.float32)[:, None, None]
    cubic = 2 * inner + (after - before) * t
    cubic = cubic + (2 * before - 5 * inner + 4 * after - beyond) * t**2
    cubic = cubic + (3 * inner - before - 3 * after + beyond) * t**3
    return (0.5 * cubic).transpose(1, 0, 2).reshape(-1, 2)


def _teeth(x: np.ndarray, borders: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which tooth lies at x mm from the midline, where across it (-1 to 1), and mm to its border."""
    away = np.abs(x)
    index = np.clip(np.searchsorted(borders, away, side="right") - 1, 0, len(borders) - 2)
    width = borders[index + 1] - borders[index]
    across = np.clip((away - borders[index]) / width * 2 - 1, -1, 1)
    return index, across, (1 - np.abs(across)) * width / 2


def _gaps(distance: np.ndarray, darkness: float, pixel: float) -> np.ndarray:
    """Light of teeth near their borders: a line of 0.22 mm that a coarse pixel widens and thins."""
    width = max(0.22, pixel)
    return 1 - darkness * (0.22 / width) * np.exp(-((distance / width) ** 2))


def _over(below: np.ndarray, tint: tuple, light: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return below + (np.array(tint, np.float32) * light[..., None] - below) * alpha[..., None]
