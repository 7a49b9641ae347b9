"""The canvas of a video: the whole photo, a square round the head, or the network's crop."""

from dataclasses import dataclass

import numpy as np
from PIL import ImageColor

from atldiff import landmarks as lm
from atldiff.config import FRAME_SIZE
from atldiff.errors import InputError
from atldiff.options import BACKGROUNDS, OUTPUTS
from atldiff.portrait.head import Head
from atldiff.portrait.matting import GREEN, green_screen, lay_over
from atldiff.portrait.photo import crop_square
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.face_parts.toning import find_tone
from atldiff.rendering.warp.spline import REGION, region_rect
from atldiff.rendering.warp.turn import turn_pixels

SQUARE_SIZE = 512
SQUARE_SCALE = 1.6  # side of the "square" output over the network's crop
CROP_WORK_SIZE = 2 * FRAME_SIZE  # the "crop" output is rendered at twice its size, then averaged


@dataclass(frozen=True, eq=False)
class Canvas:
    """The picture that is warped, already at the scale of the output.

    Attributes:
        image: (H, W, 3 or 4) uint8; a fourth channel is the matte.
        landmarks: (68, 2) of the portrait, pixels of `image`.
        scale: canvas pixels per photo pixel.
        offset: (2,) such that photo pixels p are canvas pixels p * scale + offset.
        views: the network's square boxes, (4,) whole pixels each: face, then mouth.
        rect: x0, y0, x1, y1 of the moving part, whole pixels; contains all views.
        frame_box: (4,) the part of the canvas that a frame shows, pixels.
        frame_size: (width, height) of a frame, pixels.
        tone: (256, 3) uint8 of a grey or sepia photo, from `find_tone`; None for a coloured one.
        head: the portrait's head; None where it does not turn.
        mesh: (478, 2) of its face, pixels of `image`; None where the head does not turn.
    """

    image: np.ndarray
    landmarks: np.ndarray
    scale: float
    offset: np.ndarray
    views: tuple[np.ndarray, ...]
    rect: tuple[int, int, int, int]
    frame_box: np.ndarray
    frame_size: tuple[int, int]
    tone: np.ndarray | None = None
    head: Head | None = None
    mesh: np.ndarray | None = None

    @property
    def keeps_detail(self) -> bool:
        """Whether frames are finer than the network's, so that the photo's own detail is kept."""
        return self.frame_size != (FRAME_SIZE, FRAME_SIZE)

    def to_canvas(self, points: np.ndarray) -> np.ndarray:
        """Photo pixels (..., 2) -> canvas pixels (..., 2)."""
        return points * self.scale + self.offset

    def turn(self, points: np.ndarray, poses: np.ndarray | None) -> np.ndarray:
        """Turns points (F, N, 2) of an unturned head, canvas pixels, by the head's poses (F, >= 6)."""
        if self.head is None or poses is None:
            return points
        return turn_pixels(self.head, points, poses, self.views[0])


def split_ground(background: str, prior: str) -> tuple[str, np.ndarray | None]:
    """The background to render, and the colour (3,) to lay behind the finished frames; None: nothing.

    A warped photo brings its matte along. So what the network adds does not touch the colour behind it. From
    the still frame the network draws the moved outline itself, over the colour.

    Args:
        background: see `make_canvas`.
        prior: `Preset.prior`.
    """
    if prior != "warp" or background in ("keep", "matte"):
        return background, None
    colour = GREEN if background == "green" else ImageColor.getrgb(background)
    return "matte", np.array(colour)


def make_canvas(
    portrait: Portrait,
    points: np.ndarray,
    output: str = "photo",
    background: str = "keep",
    mouth: bool = True,
    poses: np.ndarray | None = None,
) -> Canvas:
    """Lays out the canvas of a portrait.

    Args:
        portrait: the photo.
        points: (F, 68, 2) landmarks of all frames, photo pixels.
        output: "photo" (all of it, at its own resolution), "square" (512 x 512 round the head)
            or "crop" (the network's own 128 x 128, the paper's). Shapes such as "9:16" are those of the
            portrait, and like "photo" here.
        background: "keep", "green" (the paper's green screen), "matte" (a fourth channel) or a colour such
            as "#1e90ff". All but "keep" need `portrait.alpha`.
        mouth: whether the network also sees a mouth-centred view.
        poses: (F, >= 6) of the head, see `turn`; None, or all zeros: it does not turn.

    Raises:
        InputError: the output or background does not exist.
    """
    _check("output", output, OUTPUTS)
    if not background.startswith("#"):
        _check("background", background, BACKGROUNDS)
    image, scale = _background(portrait, background), 1.0
    offset: np.ndarray = np.zeros(2, np.float32)
    height, width = image.shape[:2]
    frame_box, frame_size = np.array([0, 0, width, height], np.float32), (width, height)
    if output in ("square", "crop"):
        side = float(portrait.box[2] - portrait.box[0])
        centre = (portrait.box[:2] + portrait.box[2:]) / 2
        work = SQUARE_SIZE if output == "square" else round(CROP_WORK_SIZE * (REGION[1] - REGION[0]))
        reach = SQUARE_SCALE if output == "square" else REGION[1] - REGION[0]
        source = lm.square_box(centre, side * reach)
        if output == "square":
            source = _inside(source, width, height)
        scale = work / float(source[2] - source[0])
        offset = -source[:2] * scale
        image = crop_channels(image, source, work)
        frame_box, frame_size = np.array([0, 0, work, work], np.float32), (work, work)
    face = _scaled_box(portrait.box, scale, offset)
    if output == "crop":
        frame_box, frame_size = face, (FRAME_SIZE, FRAME_SIZE)
    head, points = None if poses is None or not poses.any() else portrait.head, points * scale + offset
    if head is not None and poses is not None:
        points = turn_pixels(head, points, poses, face)
    views = (face, lm.mouth_box(points, face)) if mouth else (face,)
    still = portrait.landmarks * scale + offset
    rect = _moving_rect(image, views)
    tone = find_tone(portrait.image)
    mesh = None if head is None or portrait.mesh is None else portrait.mesh[:, :2] * scale + offset
    return Canvas(image, still, scale, offset, views, rect, frame_box, frame_size, tone, head, mesh)


def make_view_canvas(image: np.ndarray, landmarks: np.ndarray, views: tuple[np.ndarray, ...]) -> Canvas:
    """A canvas for the network's views alone, at the picture's own scale.

    Args:
        image: (H, W, 3) uint8.
        landmarks: (68, 2) pixels of the picture.
        views: the network's square boxes, see `Canvas`.
    """
    height, width = image.shape[:2]
    rect, frame_box = _moving_rect(image, views), np.array([0, 0, width, height], np.float32)
    return Canvas(image, landmarks, 1.0, np.zeros(2, np.float32), views, rect, frame_box, (width, height))


def _check(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"There is no {option} {value!r}", f"Choose one of {', '.join(choices)}")


def _background(portrait: Portrait, background: str) -> np.ndarray:
    if background == "keep":
        return portrait.image
    assert portrait.alpha is not None, "the portrait was prepared without its matte"
    if background == "green":
        return green_screen(portrait.image, portrait.alpha)
    if background.startswith("#"):
        return lay_over(portrait.image, portrait.alpha, np.array(ImageColor.getrgb(background)))
    return np.dstack([portrait.image, np.round(portrait.alpha * 255).astype(np.uint8)])


def crop_channels(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """`crop_square` of a picture with three or four channels."""
    colour = crop_square(np.ascontiguousarray(image[..., :3]), box, size)
    if image.shape[2] == 3:
        return colour
    return np.dstack([colour, crop_square(np.repeat(image[..., 3:], 3, axis=2), box, size)[..., 0]])


def _inside(box: np.ndarray, width: int, height: int) -> np.ndarray:
    """Moves a square box (4,) into a photo of that size, and shrinks it if it is larger."""
    side = min(float(box[2] - box[0]), width, height)
    centre = (box[:2] + box[2:]) / 2
    corner = np.clip(np.round(centre - side / 2), 0, np.array([width, height]) - side)
    return np.concatenate([corner, corner + side]).astype(np.float32)


def _scaled_box(box: np.ndarray, scale: float, offset: np.ndarray) -> np.ndarray:
    low, high = box[:2] * scale + offset, box[2:] * scale + offset
    return lm.square_box((low + high) / 2, float((high - low)[0]))


def _moving_rect(image: np.ndarray, views: tuple[np.ndarray, ...]) -> tuple[int, int, int, int]:
    """The rectangle round the field's region within the picture and all views; it touches the picture."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = region_rect(views[0])
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    low = np.min([view[:2] for view in views], axis=0)
    high = np.max([view[2:] for view in views], axis=0)
    left, top = min(x0, int(low[0]), width), min(y0, int(low[1]), height)
    return left, top, max(x1, int(high[0]), 0), max(y1, int(high[1]), 0)
