"""Fits the parameters of the layered mouth to open mouths of training people, by random search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from atldiff import landmarks as lm
from atldiff.config import FRAME_SIZE
from atldiff.evaluation.mouth_metrics import INSIDE, inside_ratios, inside_statistics
from atldiff.rendering.diffusion.guide_noise import fill_masks
from atldiff.rendering.face_parts.mouth_layers import MouthShape
from atldiff.rendering.output.composite import crop_view
from atldiff.rendering.warp.canvas import make_view_canvas
from atldiff.rendering.warp.prior import WarpedPhoto, moving_part
from atldiff.training.renderer.clips import MAX_YAW_CHANGE, Moment, StoredClip
from atldiff.training.renderer.reopened import reopen_mouth

MOUTH_VIEW = 1  # the mouth's place among a canvas's views
MAX_CLOSED = 0.04  # inter-ocular distances; the largest opening of a portrait's mouth
OPENINGS = (0.03, 0.07, 0.13, 1.0)  # borders of little, half and wide open mouths
LIMITS = {
    "edge": (-1, 5), "jaw": (0.8, 1.1), "overbite": (0, 4), "lower_show": (0, 8), "dim": (0, 6),
    "pucker": (0, 0.8), "upper_light": (0.5, 1.5),
    "lower_light": (0.3, 1.2), "tongue_light": (0.2, 1.2), "cavity_light": (0.05, 0.7),
    "falloff": (14, 40), "shadow": (0.2, 1), "shadow_width": (0.5, 4), "gap": (0, 0.4), "blur": (0.2, 1.6),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class OpenMouth:
    """A warped portrait without a painted mouth, and the true frame.

    Attributes:
        photo: the prior of the portrait.
        moving: (h, w, 3) uint8, the prior's moving part in this frame, without paint.
        points: (1, 68, 2) landmarks of this frame, pixels of the photo's canvas.
        truth: (128, 128, 3) uint8, mouth view of the true frame.
        inside: (128, 128) float32 in [0, 1], the filled inner lips in the mouth view.
    """

    photo: WarpedPhoto
    moving: np.ndarray
    points: np.ndarray
    truth: np.ndarray
    inside: np.ndarray

    @classmethod
    def from_moment(cls, moment: Moment) -> "OpenMouth":
        """The mouth view of a moment's first frame."""
        points, still = moment.points[:1], moment.photo_points
        face = lm.crop_box(still)
        box = lm.mouth_box(np.stack([points[0], still]), face)
        canvas = make_view_canvas(moment.photo, still, (face, box))
        photo = WarpedPhoto.from_canvas(canvas)
        truth = crop_view(canvas, moving_part(moment.frames[0], canvas), MOUTH_VIEW)
        inside = fill_masks(lm.to_crop(points, box), FRAME_SIZE)[0, 0]
        return cls(photo, next(photo.warp(points)), points, truth, inside)

    @property
    def opening(self) -> float:
        """Opening of the mouth, see `landmarks.mouth_opening`."""
        return float(lm.mouth_opening(self.points[0]))

    def paint(self, shape: MouthShape) -> np.ndarray:
        """The prior's mouth view (128, 128, 3) uint8 with a mouth of this shape."""
        mouth = self.photo.mouth
        mouth = replace(mouth, shape=shape, edge=mouth.edge - mouth.shape.edge + shape.edge)
        (frame,) = replace(self.photo, mouth=mouth).paint([self.moving.copy()], self.points)
        return crop_view(self.photo.canvas, frame, MOUTH_VIEW)


def open_mouths(
    clips: Sequence[StoredClip], photos: Sequence[StoredClip], count: int, seed: int = 0
) -> list[OpenMouth]:
    """About `count` open mouths: four fifths from clips (speech), the rest from single photos (smiles)."""
    rng = np.random.default_rng(seed)
    mouths: list[OpenMouth] = []
    for index in rng.permutation(len(clips)):
        clip = clips[index]
        opening = np.where(clip.usable, lm.mouth_opening(clip.points), np.nan)
        still = int(np.nanargmin(opening))
        alike = np.abs(lm.yaw(clip.points) - lm.yaw(clip.points[still])) < MAX_YAW_CHANGE
        if opening[still] >= MAX_CLOSED or len(mouths) > 0.8 * count:
            continue
        for least, most in pairwise(OPENINGS):
            numbers = np.flatnonzero((opening > least) & (opening <= most) & alike)
            if len(numbers):
                moment = Moment.from_clip(clip, still, int(rng.choice(numbers)), 1)
                mouths.append(OpenMouth.from_moment(moment))
    gaping = [photo for photo in photos if lm.mouth_opening(photo.points[0]) > OPENINGS[1]]
    for index in rng.permutation(len(gaping))[: count - len(mouths)]:
        mouths.append(OpenMouth.from_moment(reopen_mouth(gaping[index], rng)))
    return [mouth for mouth in mouths if (mouth.inside > INSIDE).sum() > 25]


def fit_mouth(mouths: Sequence[OpenMouth], tries: int = 400, seed: int = 0) -> tuple[MouthShape, float]:
    """Searches the best shape; returns it and its loss (see `shape_loss`)."""
    rng, best = np.random.default_rng(seed), MouthShape()
    lowest, reach = shape_loss(best, mouths), 0.25
    for _ in range(tries):
        names = rng.choice(list(LIMITS), rng.integers(1, 4), replace=False)
        steps = {name: reach * rng.normal() * np.ptp(LIMITS[name]) for name in names}
        changes = {n: float(np.clip(getattr(best, n) + step, *LIMITS[n])) for n, step in steps.items()}
        candidate = replace(best, **changes)
        loss = shape_loss(candidate, mouths)
        if loss < lowest:
            best, lowest = candidate, loss
        reach = max(0.06, 0.992 * reach)
    return best, lowest


def shape_loss(shape: MouthShape, mouths: Sequence[OpenMouth]) -> float:
    """Distance of painted mouths from true ones.

    It adds the blurred difference, and the |log ratios| of gradient, deviation and brightness inside the
    lips. Little, half and wide open mouths have ratios of their own.
    """
    import cv2

    pictures = np.stack([mouth.paint(shape) for mouth in mouths])
    truth, inside = (np.stack([getattr(m, name) for m in mouths]) for name in ("truth", "inside"))
    generated, real = (inside_statistics(frames, inside) for frames in (pictures, truth))
    difference = pictures.astype(np.float32) - truth
    errors = [cv2.GaussianBlur(d, (0, 0), 1.5)[i > INSIDE] for d, i in zip(difference, inside, strict=True)]
    distance = np.abs(np.concatenate(errors)).mean() / 60
    openings, unlike = np.array([mouth.opening for mouth in mouths]), []
    for least, most in pairwise(OPENINGS):
        group = (openings > least) & (openings <= most)
        ratios = inside_ratios(generated[group], real[group])
        unlike.append(np.nan_to_num([abs(np.log(ratio)) for ratio in ratios.values()]).sum())
    return float(distance + 0.4 * np.mean(unlike))
