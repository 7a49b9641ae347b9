"""Draws drawn.jpg, a portrait of nobody: `python examples/draw_portrait.py [OUT]`.

Plain shapes with soft edges, shaded by blurred copies of themselves, so that it needs no picture of
anyone and yet has all that a face detector looks for.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE, OVER = 640, 3  # pixels of the picture; drawn OVER times larger, then reduced
SKIN, SHADE, GLOW = (226, 172, 140), (150, 88, 66), (250, 214, 186)
HAIR, LIP, LIP_DARK = (58, 38, 30), (186, 92, 88), (128, 52, 54)
Points = Sequence[tuple[float, float]]


def curve(points: Points, closed: bool = True, steps: int = 24) -> list[tuple[float, float]]:
    """A Catmull-Rom curve through the points, in the picture's pixels."""
    p = np.array(points, float)
    p = np.vstack([p[-1:], p, p[:2]]) if closed else np.vstack([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    line = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return [tuple(q) for q in line.reshape(-1, 2) * OVER]


def mirrored(points: Points) -> list[tuple[float, float]]:
    """The points and, going back, their mirror image about the middle of the picture."""
    return list(points) + [(SIZE - x, y) for x, y in reversed(points) if x != SIZE / 2]


def oval(x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
    """An ellipse as points."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return list(zip(x + rx * np.cos(angle), y + ry * np.sin(angle), strict=True))


class Canvas:
    """A picture that soft shapes are painted on, each kept inside an optional clip mask."""

    def __init__(self) -> None:
        ramp = np.linspace(0, 1, SIZE * OVER)[:, None, None]
        sky = (1 - ramp) * np.array((176, 194, 200)) + ramp * np.array((112, 130, 140))
        self.image = Image.fromarray(np.broadcast_to(sky, (SIZE * OVER, SIZE * OVER, 3)).astype(np.uint8))

    def mask(self, points: Points, blur: float = 0.0) -> Image.Image:
        """A filled closed curve as a mask, its edge blurred by `blur` pixels of the picture."""
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(curve(points), fill=255)
        return mask.filter(ImageFilter.GaussianBlur(blur * OVER)) if blur else mask

    def fill(
        self,
        points: Points,
        colour: tuple[int, int, int],
        blur: float = 0.0,
        strength: float = 1.0,
        clip: Image.Image | None = None,
    ) -> None:
        """Paints the closed curve; `strength` is its opacity, `clip` a mask it stays inside."""
        weight = np.asarray(self.mask(points, blur), np.float32) * strength
        if clip is not None:
            weight *= np.asarray(clip, np.float32) / 255
        self.image.paste(
            Image.new("RGB", self.image.size, colour), mask=Image.fromarray(weight.astype(np.uint8))
        )

    def stroke(self, points: Points, colour: tuple[int, int, int], width: float) -> None:
        """Paints an open curve as a line of that width."""
        line = curve(points, closed=False)
        ImageDraw.Draw(self.image).line(line, fill=colour, width=round(width * OVER), joint="curve")


FACE = [(320, 122), (240, 134), (192, 186), (178, 270), (184, 350), (206, 424), (252, 484), (320, 508)]


def draw_body(canvas: Canvas) -> Image.Image:
    """Hair at the back, neck, shirt, ears, face; returns the face's mask."""
    canvas.fill(mirrored([(320, 58), (206, 78), (142, 170), (138, 300), (162, 430), (210, 470)]), HAIR)
    canvas.fill(mirrored([(320, 440), (256, 440), (250, 540), (220, 580), (320, 660)]), (206, 150, 120))
    canvas.fill(mirrored([(320, 470), (262, 470), (258, 520), (320, 545)]), SHADE, blur=10, strength=0.6)
    canvas.fill(mirrored([(320, 606), (236, 566), (120, 604), (70, 700), (320, 720)]), (44, 84, 104))
    for side in (-1, 1):
        canvas.fill(oval(320 + side * 146, 300, 16, 36), (206, 150, 120), blur=1)
    canvas.fill(mirrored(FACE), SKIN, blur=0.6)
    face = canvas.mask(mirrored(FACE), blur=0.6)
    for side in (-1, 1):
        canvas.fill(oval(320 + side * 150, 340, 30, 150), SHADE, blur=22, strength=0.55, clip=face)
        canvas.fill(oval(320 + side * 74, 356, 40, 30), (224, 128, 108), blur=18, strength=0.4, clip=face)
        canvas.fill(oval(320 + side * 66, 264, 46, 24), SHADE, blur=12, strength=0.35, clip=face)
    canvas.fill(oval(320, 505, 70, 22), SHADE, blur=14, strength=0.5, clip=face)
    canvas.fill(oval(310, 188, 70, 34), GLOW, blur=24, strength=0.6, clip=face)
    canvas.fill(oval(320, 456, 26, 14), GLOW, blur=9, strength=0.5, clip=face)
    return face


def draw_eye(canvas: Canvas, side: int) -> None:
    """One eye and brow; side -1 is the left one in the picture."""
    x = [320 + side * d for d in (36, 52, 70, 88, 100)]  # from the nose outwards
    eye = [
        (x[0], 280),
        (x[1], 266),
        (x[2], 261),
        (x[3], 266),
        (x[4], 278),
        (x[3], 287),
        (x[2], 290),
        (x[1], 288),
    ]
    opening = canvas.mask(eye)
    canvas.fill(eye, (244, 240, 236))
    centre = 320 + side * 68
    canvas.fill(oval(centre, 275, 14.5, 14.5), (86, 62, 40), clip=opening)
    canvas.fill(oval(centre, 275, 11, 11), (128, 92, 56), blur=2, strength=0.7, clip=opening)
    canvas.fill(oval(centre, 275, 6, 6), (16, 12, 12), clip=opening)
    canvas.fill(oval(320 + side * 68, 259, 40, 9), (70, 50, 46), blur=4, strength=0.6, clip=opening)
    canvas.fill(oval(centre - 5, 270, 3, 3), (255, 255, 255))
    canvas.stroke(
        [(x[0], 280), (x[1], 266), (x[2], 261), (x[3], 266), (x[4] + side * 3, 279)], (46, 30, 26), 4
    )
    canvas.stroke([(x[4], 279), (x[3], 287), (x[2], 290), (x[1], 288), (x[0], 281)], (150, 96, 80), 1.6)
    canvas.stroke([(x[0] + side * 2, 266), (x[2], 249), (x[4], 264)], (168, 112, 90), 1.8)
    brow = [(320 + side * 32, 232), (320 + side * 70, 223), (320 + side * 112, 238)]
    lower = [(320 + side * 110, 241), (320 + side * 70, 233), (320 + side * 33, 243)]
    canvas.fill(brow + lower, HAIR, blur=1.2, strength=0.9)


def draw_nose_and_mouth(canvas: Canvas, face: Image.Image) -> None:
    """Nose bridge, wings and nostrils, closed lips."""
    canvas.fill([(330, 250), (346, 330), (354, 366), (336, 360), (328, 320)], SHADE, 8, 0.4, face)
    canvas.fill([(314, 250), (326, 250), (326, 346), (312, 346)], GLOW, 6, 0.7, face)
    canvas.fill(oval(320, 354, 17, 13), GLOW, 6, 0.8, face)
    canvas.fill(mirrored([(320, 374), (300, 378), (286, 368)]), SHADE, 3, 0.6, face)
    for side in (-1, 1):
        canvas.fill(oval(320 + side * 13, 371, 7.5, 3.6), (84, 42, 34), blur=1.2)
        wing = [(320 + side * 24, 350), (320 + side * 33, 364), (320 + side * 24, 374)]
        canvas.stroke(wing, (176, 112, 88), 2.4)
    upper = [(262, 424), (284, 411), (306, 404), (320, 408)]
    canvas.fill(mirrored(upper) + [(350, 429), (320, 431), (290, 429)], LIP, blur=1)
    canvas.fill(mirrored([(320, 453), (288, 446), (264, 425), (292, 429)]), (198, 104, 98), blur=1)
    canvas.fill(oval(320, 440, 26, 5), (228, 148, 140), blur=4, strength=0.7)
    canvas.stroke([(260, 423), (290, 428), (320, 430), (350, 428), (380, 423)], LIP_DARK, 3)
    canvas.fill(oval(320, 464, 44, 6), SHADE, blur=6, strength=0.4)


def draw_hair(canvas: Canvas) -> None:
    """The hair over the forehead, with a few lighter strands."""
    fringe = [(320, 62), (214, 84), (156, 170), (166, 290), (184, 240), (214, 178), (268, 150), (352, 148)]
    right = [(420, 172), (452, 236), (474, 290), (484, 170), (426, 84)]
    canvas.fill(fringe + right, HAIR, blur=1)
    for k in range(9):
        x = 226 + 20 * k
        canvas.stroke([(320 + (x - 320) * 0.4, 74), (x, 104), (x + (x - 320) * 0.35, 142)], (86, 60, 46), 2)


def main() -> None:
    """Draws the portrait and saves it."""
    canvas = Canvas()
    face = draw_body(canvas)
    for side in (-1, 1):
        draw_eye(canvas, side)
    draw_nose_and_mouth(canvas, face)
    draw_hair(canvas)
    picture = np.asarray(canvas.image.resize((SIZE, SIZE), Image.Resampling.BOX), np.float32)
    grain = np.random.default_rng(0).normal(0, 2.0, (SIZE, SIZE, 1))  # flat paint compresses into bands
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "drawn.jpg"
    Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8)).save(out, quality=92)


if __name__ == "__main__":
    main()
