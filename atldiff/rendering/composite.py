"""Network frames -> full-resolution frames: the photo's warp plus the upsampled residual."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from atldiff import landmarks as lm
from atldiff.config import FRAME_SIZE
from atldiff.easing import smoothstep
from atldiff.errors import InputError
from atldiff.options import BACKGROUNDS, OUTPUTS
from atldiff.portrait.face import Portrait
from atldiff.portrait.matting import green_screen
from atldiff.portrait.photo import crop_square
from atldiff.rendering.closures import Closures
from atldiff.rendering.disocclusion import opened_mouth
from atldiff.rendering.mouth import LayeredMouth
from atldiff.rendering.warp import REGION, displacement_field, region_rect, warp_image

SQUARE_SIZE = 512
SQUARE_SCALE = 1.6  # side of the "square" output over the network's crop
CROP_WORK_SIZE = 2 * FRAME_SIZE  # the "crop" output is worked at twice its size, then averaged
_COARSE = (
    1 / 64
)  # standard deviation, share of a view's side, of the blur that leaves the residual's coarse part
_FADE = 0.12  # width of the residual's fade at a view's border, share of its side


@dataclass(frozen=True, eq=False)
class Canvas:
    """The picture that is warped, already at the scale of the output.

    Attributes:
        image: (H, W, 3 or 4) uint8; a fourth channel is the matte.
        landmarks: (68, 2) of the portrait, pixels of `image`.
        scale, offset: photo pixels p are canvas pixels p * scale + offset.
        views: the square boxes the network sees, (4,) whole pixels each: face, then mouth.
        rect: x0, y0, x1, y1 whole pixels of the canvas that can move; holds all views.
        frame_box: (4,) what of the canvas a frame shows.  frame_size: (width, height) of a frame.
    """

    image: np.ndarray
    landmarks: np.ndarray
    scale: float
    offset: np.ndarray
    views: tuple[np.ndarray, ...]
    rect: tuple[int, int, int, int]
    frame_box: np.ndarray
    frame_size: tuple[int, int]

    @property
    def keeps_detail(self) -> bool:
        """Whether a frame is finer than the network's, so that the photo's detail is worth more."""
        return self.frame_size != (FRAME_SIZE, FRAME_SIZE)

    def to_canvas(self, points: np.ndarray) -> np.ndarray:
        """Photo pixels (..., 2) -> canvas pixels."""
        return points * self.scale + self.offset


def make_canvas(
    portrait: Portrait,
    points: np.ndarray,
    output: str = "photo",
    background: str = "keep",
    mouth: bool = True,
) -> Canvas:
    """Lays out the rendering of a portrait whose landmarks will be points (F, 68, 2), photo pixels.

    Args:
        output: "photo" (the whole photo at its own resolution), "square" (512 x 512 round the head)
            or "crop" (the network's own 128 x 128, the paper's).
        background: "keep", "green" (the paper's green screen) or "matte" (a fourth channel);
            all but "keep" need `portrait.alpha`.
        mouth: whether the network also sees a mouth-centred view.

    Raises:
        InputError: no such output or background.
    """
    _check("output", output, OUTPUTS)
    _check("background", background, BACKGROUNDS)
    image, offset, scale = _background(portrait, background), np.zeros(2, np.float32), 1.0
    height, width = image.shape[:2]
    frame_box, frame_size = np.array([0, 0, width, height], np.float32), (width, height)
    if output != "photo":
        side = float(portrait.box[2] - portrait.box[0])
        centre = (portrait.box[:2] + portrait.box[2:]) / 2
        work = SQUARE_SIZE if output == "square" else round(CROP_WORK_SIZE * (REGION[1] - REGION[0]))
        reach = SQUARE_SCALE if output == "square" else REGION[1] - REGION[0]
        source = lm.square_box(centre, side * reach)
        scale = work / float(source[2] - source[0])
        offset = -source[:2] * scale
        image = _crop_channels(image, source, work)
        frame_box, frame_size = np.array([0, 0, work, work], np.float32), (work, work)
    face = _scaled_box(portrait.box, scale, offset)
    if output == "crop":
        frame_box, frame_size = face, (FRAME_SIZE, FRAME_SIZE)
    views = (face, lm.mouth_box(points * scale + offset, face)) if mouth else (face,)
    still = portrait.landmarks * scale + offset
    return Canvas(image, still, scale, offset, views, _moving_rect(image, views), frame_box, frame_size)


def _check(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"There is no {what} {value!r}", f"Choose one of {', '.join(allowed)}")


def _background(portrait: Portrait, background: str) -> np.ndarray:
    if background == "keep":
        return portrait.image
    assert portrait.alpha is not None, "the portrait was prepared without its matte"
    if background == "green":
        return green_screen(portrait.image, portrait.alpha)
    return np.dstack([portrait.image, np.round(portrait.alpha * 255).astype(np.uint8)])


def _crop_channels(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """`crop_square` of three or four channels."""
    colour = crop_square(np.ascontiguousarray(image[..., :3]), box, size)
    if image.shape[2] == 3:
        return colour
    return np.dstack([colour, crop_square(np.repeat(image[..., 3:], 3, axis=2), box, size)[..., 0]])


def _scaled_box(box: np.ndarray, scale: float, offset: np.ndarray) -> np.ndarray:
    low, high = box[:2] * scale + offset, box[2:] * scale + offset
    return lm.square_box((low + high) / 2, float((high - low)[0]))


def _moving_rect(image: np.ndarray, views: tuple[np.ndarray, ...]) -> tuple[int, int, int, int]:
    """The field's region where it lies in the picture, and all of the views."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = region_rect(views[0])
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    low = np.min([view[:2] for view in views], axis=0)
    high = np.max([view[2:] for view in views], axis=0)
    return min(x0, int(low[0])), min(y0, int(low[1])), max(x1, int(high[0])), max(y1, int(high[1]))


def warped_frames(canvas: Canvas, points: np.ndarray) -> Iterator[np.ndarray]:
    """The canvas's moving part in each frame with landmarks (F, 68, 2) in canvas pixels:
    (rect height, rect width, C) uint8 each.
    """
    face = canvas.views[0]
    fields = displacement_field(lm.to_crop(points, face), lm.to_crop(canvas.landmarks, face))
    mouth = LayeredMouth.of(canvas.image, canvas.landmarks)
    closures, corner = Closures.of(canvas.image, canvas.landmarks), np.array(canvas.rect[:2], np.float32)
    outlines, shares = opened_mouth(points, canvas.landmarks)
    for field, marks, inner, share in zip(fields, points, outlines, shares, strict=True):
        moving = warp_image(canvas.image, field, face, canvas.rect)
        mouth.paint(moving, marks - corner, inner - corner, share)
        closures.paint(moving, marks - corner)
        yield moving


def still_frames(canvas: Canvas, count: int) -> Iterator[np.ndarray]:
    """As `warped_frames`, of a photo that does not move (the paper's prior)."""
    x0, y0, x1, y1 = canvas.rect
    rows = np.clip(np.arange(y0, y1), 0, canvas.image.shape[0] - 1)
    columns = np.clip(np.arange(x0, x1), 0, canvas.image.shape[1] - 1)
    part = canvas.image[rows][:, columns]
    for _ in range(count):
        yield part.copy()


def view_of(canvas: Canvas, moving: np.ndarray, view: int, size: int = FRAME_SIZE) -> np.ndarray:
    """What the network sees of a moving part: (size, size, 3) uint8 prior frame of that view."""
    import cv2

    x0, y0, x1, y1 = _in_moving(canvas, canvas.views[view])
    method = cv2.INTER_AREA if x1 - x0 > size else cv2.INTER_CUBIC
    return cv2.resize(moving[y0:y1, x0:x1, :3], (size, size), interpolation=method)


def _in_moving(canvas: Canvas, box: np.ndarray) -> tuple[int, ...]:
    """A box of whole canvas pixels in the pixels of the moving part, which holds it."""
    return tuple(int(v) for v in box - np.array([*canvas.rect[:2]] * 2, np.float32))


def composite(
    canvas: Canvas,
    moving: np.ndarray,
    residuals: Sequence[np.ndarray],
    unseen: Sequence[np.ndarray],
) -> np.ndarray:
    """One finished frame.

    Args:
        moving: the warped moving part (h, w, C) uint8; changed in place.
        residuals: (S, S, 3) float32 in [-2, 2] for each view, the network's r_0; a view has its own S.
        unseen: (S, S) float32 in [0, 1] for each view, of `disocclusion.unseen_mask`. There all of the
            residual is taken. Elsewhere a larger output takes only its coarse part, light and shade: the
            photo's own detail is finer.

    Returns:
        (height, width, C) uint8 frame, C as the canvas's.
    """
    import cv2

    untouched = moving.copy() if len(canvas.views) > 1 else moving
    for index, view in enumerate(canvas.views):
        x0, y0, x1, y1 = _in_moving(canvas, view)
        side, size = x1 - x0, len(residuals[index])
        change, inner, fade = residuals[index] * 127.5, unseen[index][..., None], _window(size)
        if canvas.keeps_detail:
            coarse = cv2.GaussianBlur(change, (0, 0), _COARSE * size)
            change = coarse + (change - coarse) * inner
        planes = np.concatenate([change, fade], axis=-1)
        planes = cv2.resize(planes.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
        patch = untouched[y0:y1, x0:x1, :3] + planes[..., :3]
        below = moving[y0:y1, x0:x1, :3]
        blended = below + (patch - below) * planes[..., 3:]
        moving[y0:y1, x0:x1, :3] = np.clip(blended + 0.5, 0, 255).astype(np.uint8)
    return _frame(canvas, moving)


def _window(size: int) -> np.ndarray:
    """(size, size, 1): 1 inside, smoothly 0 at the border."""
    line = (np.arange(size) + 0.5) / size
    ramp = smoothstep(0, _FADE, np.minimum(line, 1 - line))
    return (ramp[:, None] * ramp[None])[..., None].astype(np.float32)


def _frame(canvas: Canvas, moving: np.ndarray) -> np.ndarray:
    """The frame that shows the moving part in its place."""
    x0, y0, x1, y1 = canvas.rect
    if not canvas.keeps_detail:
        local = canvas.frame_box - np.array([x0, y0] * 2, np.float32)
        return _crop_channels(moving, local, FRAME_SIZE)
    height, width = canvas.image.shape[:2]
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    frame = canvas.image.copy()
    frame[top:bottom, left:right] = moving[top - y0 : bottom - y0, left - x0 : right - x0]
    return frame
