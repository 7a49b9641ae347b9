"""Draws portraits of people who do not exist, drawn*.jpg: `python tools/draw_portrait.py [FOLDER]`.

The portraits consist of plain shapes with soft edges, shaded by blurred shapes. They need no photo of anyone,
and a face detector finds their faces.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE, OVER = 640, 3  # pixels of the picture; scale of the drawing before it is reduced
Points = Sequence[tuple[float, float]]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Person:
    """The look of a person who does not exist. Colours are (red, green, blue), 0..255.

    Attributes:
        back: outline of the hair behind the face, right half.
        fringe: outline of the hair over the forehead.
        skin: colour of the face.
        shade: colour of its shadows.
        glow: colour of its highlights.
        side: colour of neck and ears.
        blush: colour of the cheeks.
        hair: colour of hair and brows.
        strand: colour of lighter strands.
        iris: colours of its edge and its centre.
        lips: colours of the upper lip, the lower lip, its highlight and the line between them.
        shirt: colour of the shirt.
        wall: colours of the background, top and bottom.
        brow: thickness of the brows, 1 = usual.
        smile: pixels by which the corners of the closed mouth rise.
        wide: width of face and hair, 1 = usual.
    """

    back: Points
    fringe: Points
    skin: Colour = (226, 172, 140)
    shade: Colour = (150, 88, 66)
    glow: Colour = (250, 214, 186)
    side: Colour = (206, 150, 120)
    blush: Colour = (224, 128, 108)
    hair: Colour = (58, 38, 30)
    strand: Colour = (86, 60, 46)
    iris: tuple[Colour, Colour] = ((86, 62, 40), (128, 92, 56))
    lips: tuple[Colour, Colour, Colour, Colour] = (
        (186, 92, 88),
        (198, 104, 98),
        (228, 148, 140),
        (128, 52, 54),
    )
    shirt: Colour = (44, 84, 104)
    wall: tuple[Colour, Colour] = ((176, 194, 200), (112, 130, 140))
    brow: float = 1.0
    smile: float = 0.0
    wide: float = 1.0


BOB = [(320, 58), (206, 78), (142, 170), (138, 300), (162, 430), (210, 470)]
FRINGE = [(320, 62), (214, 84), (156, 170), (166, 290), (184, 240), (214, 178), (268, 150), (352, 148)]
FRINGE += [(420, 172), (452, 236), (474, 290), (484, 170), (426, 84)]
LONG = [(320, 52), (212, 72), (138, 170), (128, 320), (112, 470), (134, 610), (232, 650), (270, 560)]
PARTED = [(330, 60), (220, 76), (148, 170), (150, 330), (176, 262), (222, 196), (284, 160), (336, 110)]
PARTED += [(380, 156), (440, 204), (468, 270), (490, 330), (494, 170), (430, 78)]
SHORT = [(320, 70), (222, 84), (168, 150), (164, 236), (172, 300), (200, 320)]
CROPPED = [
    (320, 66),
    (224, 80),
    (168, 150),
    (168, 268),
    (184, 214),
    (212, 172),
    (250, 158),
    (300, 150),
    (372, 140),
]
CROPPED += [(424, 166), (452, 208), (472, 268), (474, 150), (420, 80)]
MAN = Person(
    back=SHORT, fringe=CROPPED, skin=(164, 112, 80), shade=(88, 50, 34), glow=(206, 156, 120),
    side=(146, 98, 70), blush=(160, 88, 66), hair=(26, 22, 22), strand=(48, 42, 42),
    iris=((58, 38, 24), (96, 64, 38)),
    lips=((142, 82, 72), (152, 92, 80), (184, 124, 110), (88, 44, 40)), shirt=(72, 78, 92),
    wall=((206, 196, 178), (150, 136, 116)), brow=1.5, smile=3.0, wide=1.04,
)  # fmt: skip
WOMAN = Person(
    back=LONG, fringe=PARTED, skin=(240, 200, 178), shade=(186, 122, 100), glow=(255, 232, 216),
    side=(226, 180, 156), blush=(236, 148, 134), hair=(150, 76, 38), strand=(190, 112, 62),
    iris=((58, 92, 84), (104, 148, 128)),
    lips=((204, 104, 102), (214, 118, 114), (238, 164, 156), (146, 62, 64)), shirt=(118, 66, 84),
    wall=((196, 206, 190), (128, 146, 130)), brow=0.85, smile=5.0, wide=0.96,
)  # fmt: skip
PEOPLE = {"drawn": Person(BOB, FRINGE), "drawn_man": MAN, "drawn_woman": WOMAN}


def curve(points: Points, closed: bool = True, steps: int = 24) -> list[tuple[float, float]]:
    """A Catmull-Rom curve through the points, in pixels of the drawing."""
    p = np.array(points, float)
    p = np.vstack([p[-1:], p, p[:2]]) if closed else np.vstack([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    line = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return [tuple(q) for q in line.reshape(-1, 2) * OVER]


def mirror(points: Points) -> list[tuple[float, float]]:
    """The points, followed in reverse order by their mirror image about the middle of the picture."""
    return list(points) + [(SIZE - x, y) for x, y in reversed(points) if x != SIZE / 2]


def oval(x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
    """Twelve points of an ellipse with centre (x, y) and half axes rx, ry."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return list(zip(x + rx * np.cos(angle), y + ry * np.sin(angle), strict=True))


class Canvas:
    """A picture for soft shapes, each inside an optional clip mask."""

    def __init__(self, person: Person) -> None:
        self.person = person
        ramp = np.linspace(0, 1, SIZE * OVER)[:, None, None]
        sky = (1 - ramp) * np.array(person.wall[0]) + ramp * np.array(person.wall[1])
        self.image = Image.fromarray(np.broadcast_to(sky, (SIZE * OVER, SIZE * OVER, 3)).astype(np.uint8))

    def stretch(self, points: Points) -> Points:
        """Stretches the points to the width of the person's face."""
        return [(SIZE / 2 + (x - SIZE / 2) * self.person.wide, y) for x, y in points]

    def mask(self, points: Points, blur: float = 0.0) -> Image.Image:
        """The mask of a closed curve; `blur` pixels of the picture soften its edge."""
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(curve(self.stretch(points)), fill=255)
        return mask.filter(ImageFilter.GaussianBlur(blur * OVER)) if blur else mask

    def fill(
        self,
        points: Points,
        colour: tuple[int, int, int],
        blur: float = 0.0,
        strength: float = 1.0,
        clip: Image.Image | None = None,
    ) -> None:
        """Paints a closed curve; `strength` is its opacity, and the mask `clip` bounds it."""
        weight = np.asarray(self.mask(points, blur), np.float32) * strength
        if clip is not None:
            weight *= np.asarray(clip, np.float32) / 255
        paint = Image.new("RGB", self.image.size, colour)
        self.image.paste(paint, mask=Image.fromarray(weight.astype(np.uint8)))

    def stroke(self, points: Points, colour: tuple[int, int, int], width: float) -> None:
        """Paints an open curve as a line of that width."""
        line = curve(self.stretch(points), closed=False)
        ImageDraw.Draw(self.image).line(line, fill=colour, width=round(width * OVER), joint="curve")


FACE = [(320, 122), (240, 134), (192, 186), (178, 270), (184, 350), (206, 424), (252, 484), (320, 508)]


def draw_body(canvas: Canvas) -> Image.Image:
    """Draws back hair, neck, shirt, ears and face; returns the face's mask."""
    person = canvas.person
    canvas.fill(mirror(person.back), person.hair)
    canvas.fill(mirror([(320, 440), (256, 440), (250, 540), (220, 580), (320, 660)]), person.side)
    canvas.fill(
        mirror([(320, 470), (262, 470), (258, 520), (320, 545)]),
        person.shade,
        blur=10,
        strength=0.6,
    )
    canvas.fill(mirror([(320, 606), (236, 566), (120, 604), (70, 700), (320, 720)]), person.shirt)
    for side in (-1, 1):
        canvas.fill(oval(320 + side * 146, 300, 16, 36), person.side, blur=1)
    canvas.fill(mirror(FACE), person.skin, blur=0.6)
    face = canvas.mask(mirror(FACE), blur=0.6)
    for side in (-1, 1):
        canvas.fill(oval(320 + side * 150, 340, 30, 150), person.shade, blur=22, strength=0.55, clip=face)
        canvas.fill(oval(320 + side * 74, 356, 40, 30), person.blush, blur=18, strength=0.4, clip=face)
        canvas.fill(oval(320 + side * 66, 264, 46, 24), person.shade, blur=12, strength=0.35, clip=face)
    canvas.fill(oval(320, 505, 70, 22), person.shade, blur=14, strength=0.5, clip=face)
    canvas.fill(oval(310, 188, 70, 34), person.glow, blur=24, strength=0.6, clip=face)
    canvas.fill(oval(320, 456, 26, 14), person.glow, blur=9, strength=0.5, clip=face)
    return face


def draw_eye(canvas: Canvas, side: int) -> None:
    """Draws one eye and its brow; side -1 is left in the picture."""
    person = canvas.person
    x = [320 + side * d for d in (36, 52, 70, 88, 100)]  # from the nose outwards
    eye = [(x[0], 280), (x[1], 266), (x[2], 261), (x[3], 266), (x[4], 278), (x[3], 287), (x[2], 290)]
    eye += [(x[1], 288)]
    opening = canvas.mask(eye)
    canvas.fill(eye, (244, 240, 236))
    centre = 320 + side * 68
    canvas.fill(oval(centre, 275, 14.5, 14.5), person.iris[0], clip=opening)
    canvas.fill(oval(centre, 275, 11, 11), person.iris[1], blur=2, strength=0.7, clip=opening)
    canvas.fill(oval(centre, 275, 6, 6), (16, 12, 12), clip=opening)
    canvas.fill(oval(320 + side * 68, 259, 40, 9), (70, 50, 46), blur=4, strength=0.6, clip=opening)
    canvas.fill(oval(centre - 5, 270, 3, 3), (255, 255, 255))
    lashes = [(x[0], 280), (x[1], 266), (x[2], 261), (x[3], 266), (x[4] + side * 3, 279)]
    canvas.stroke(lashes, (46, 30, 26), 4)

    canvas.stroke([(x[4], 279), (x[3], 287), (x[2], 290), (x[1], 288), (x[0], 281)], (150, 96, 80), 1.6)
    canvas.stroke([(x[0] + side * 2, 266), (x[2], 249), (x[4], 264)], (168, 112, 90), 1.8)
    brow = [(320 + side * 32, 232), (320 + side * 70, 223), (320 + side * 112, 238)]
    thick = 10 * person.brow
    lower = [(320 + side * 110, 231 + thick), (320 + side * 70, 223 + thick), (320 + side * 33, 233 + thick)]
    canvas.fill(brow + lower, person.hair, blur=1.2, strength=0.9)


def draw_nose_and_mouth(canvas: Canvas, face: Image.Image) -> None:
    """Draws the bridge, wings and nostrils of the nose, and closed lips."""
    person, up = canvas.person, canvas.person.smile
    canvas.fill([(330, 250), (346, 330), (354, 366), (336, 360), (328, 320)], person.shade, 8, 0.4, face)
    canvas.fill([(314, 250), (326, 250), (326, 346), (312, 346)], person.glow, 6, 0.7, face)
    canvas.fill(oval(320, 354, 17, 13), person.glow, 6, 0.8, face)
    canvas.fill(mirror([(320, 374), (300, 378), (286, 368)]), person.shade, 3, 0.6, face)
    for side in (-1, 1):
        canvas.fill(oval(320 + side * 13, 371, 7.5, 3.6), (84, 42, 34), blur=1.2)
        wing = [(320 + side * 24, 350), (320 + side * 33, 364), (320 + side * 24, 374)]
        canvas.stroke(wing, (176, 112, 88), 2.4)
    upper = [(262, 424 - up), (284, 411), (306, 404), (320, 408)]
    canvas.fill(mirror(upper) + [(350, 429), (320, 431), (290, 429)], person.lips[0], blur=1)
    canvas.fill(mirror([(320, 453), (288, 446), (264, 425 - up), (292, 429)]), person.lips[1], blur=1)
    canvas.fill(oval(320, 440, 26, 5), person.lips[2], blur=4, strength=0.7)
    canvas.stroke([(260, 423 - up), (290, 428), (320, 430), (350, 428), (380, 423 - up)], person.lips[3], 3)
    canvas.fill(oval(320, 464, 44, 6), person.shade, blur=6, strength=0.4)


def draw_hair(canvas: Canvas) -> None:
    """Draws the hair over the forehead, with a few lighter strands."""
    person = canvas.person
    canvas.fill(person.fringe, person.hair, blur=1)
    for k in range(9):
        x = 226 + 20 * k
        canvas.stroke([(320 + (x - 320) * 0.4, 74), (x, 104), (x + (x - 320) * 0.35, 142)], person.strand, 2)


def draw_portrait(person: Person) -> Image.Image:
    """Draws a person's portrait, 640 x 640."""
    canvas = Canvas(person)
    face = draw_body(canvas)
    for side in (-1, 1):
        draw_eye(canvas, side)
    draw_nose_and_mouth(canvas, face)
    draw_hair(canvas)
    picture = np.asarray(canvas.image.resize((SIZE, SIZE), Image.Resampling.BOX), np.float32)
    grain = np.random.default_rng(0).normal(0, 2.0, (SIZE, SIZE, 1))  # without it, compression shows bands
    return Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8))


def main() -> None:
    """Draws and saves all portraits."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "examples"
    for name, person in PEOPLE.items():
        draw_portrait(person).save(folder / f"{name}.jpg", quality=92)


if __name__ == "__main__":
    main()
