"""Pictures and short videos that a visitor sees before the wait: what was found, and how it will move."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from atldiff.animation import Animation
from atldiff.config import FRAME_RATE
from atldiff.landmarks import square_box
from atldiff.media.video_writer import write_video
from atldiff.portrait.drawing import draw_landmarks
from atldiff.portrait.photo import crop_square
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.warp.turn import turned_landmarks

LONG_SIDE = 640  # pixels of the annotated photo
MOTION_SIDE = 320  # pixels of the motion preview
MOTION_SECONDS = 10.0  # of a longer recording only the beginning is shown
_CROP, _CHOSEN, _OTHER = (255, 255, 255), (255, 145, 60), (150, 150, 160)
_DIM = 0.45  # brightness of the photo behind the moving landmarks
_REACH = 1.25  # side of the motion preview over the network's crop


def annotated(portrait: Portrait) -> np.ndarray:
    """The photo with the network's crop, the 68 landmarks and a numbered box for each face.

    Returns:
        (h, w, 3) uint8, its longer side 640.
    """
    height, width = portrait.image.shape[:2]
    scale = LONG_SIDE / max(width, height)
    size = (round(width * scale), round(height * scale))
    small = Image.fromarray(portrait.image).resize(size, Image.Resampling.LANCZOS)
    picture = Image.fromarray(draw_landmarks(np.asarray(small), portrait.landmarks * scale))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((portrait.box * scale).tolist(), outline=_CROP, width=2)
    font = ImageFont.load_default(22)
    for number, face in enumerate(portrait.faces if len(portrait.faces) > 1 else (), start=1):
        colour = _CHOSEN if number == portrait.face else _OTHER
        left, top, right, bottom = (face * scale).tolist()
        draw.rectangle((left, top, right, bottom), outline=colour, width=3)
        draw.rectangle((left, top, left + 28, top + 28), fill=colour)
        draw.text((left + 14, top + 14), str(number), fill=(20, 20, 20), font=font, anchor="mm")
    return np.asarray(picture)


def face_at(portrait: Portrait, x: float, y: float) -> int | None:
    """The number, from 1, of the face at a pixel of the annotated photo."""
    scale = LONG_SIDE / max(portrait.image.shape[:2])
    for number, (x0, y0, x1, y1) in enumerate(portrait.faces, start=1):
        if x0 <= x / scale <= x1 and y0 <= y / scale <= y1:
            return number
    return None


def findings(portrait: Portrait) -> dict:
    """What was found in a photo, as plain numbers: pixels of the upright photo."""
    height, width = portrait.image.shape[:2]
    return {
        "size": [width, height],
        "faces": [[round(float(v), 1) for v in face] for face in portrait.faces],
        "face": portrait.face,
        "crop": [round(float(v), 1) for v in portrait.box],
        "landmarks": portrait.landmarks.round(1).tolist(),
        "warnings": list(portrait.warnings),
    }


def motion_video(path: Path, animation: Animation) -> Path:
    """Writes the moving landmarks over the darkened face, with sound: 320 x 320, at most 10 s."""
    portrait, speech = animation.portrait, animation.speech
    x0, y0, x1, y1 = portrait.box
    box = square_box(np.array([(x0 + x1) / 2, (y0 + y1) / 2]), float(x1 - x0) * _REACH)
    still = (crop_square(portrait.image, box, MOTION_SIDE) * _DIM).astype(np.uint8)
    points = (turned_landmarks(portrait, animation.landmarks) - box[:2]) * (
        MOTION_SIDE / float(box[2] - box[0])
    )
    count = min(len(points), round(MOTION_SECONDS * FRAME_RATE))
    heard = speech.cut(0, count / FRAME_RATE) if count < len(points) else speech
    return write_video(path, (draw_landmarks(still, frame) for frame in points[:count]), heard)


def note(lines: Sequence[str], kind: str = "good") -> str:
    """HTML of a note beside an input; kind is "good", "warn" or "bad", which is read out at once."""
    items = "".join(f"<p>{html.escape(line, quote=False)}</p>" for line in lines)
    role = "alert" if kind == "bad" else "status"
    return f"<div class='note {kind}' role='{role}'>{items}</div>" if lines else ""


def progress(words: str, share: float | None = None, kind: str = "") -> str:
    """HTML of the line under the video: what is being done, and how much of it is.

    Kind is "", "done" or "bad".
    While there is a share it is a progress bar to a screen reader, which reads it when asked: a line that
    changed four times a second would never let it finish. Every other line is read out.
    """
    words, percent = html.escape(words, quote=False), f"{100 * (share or 0):.0f}"
    if share is None:
        role = "alert" if kind == "bad" else "status"
        return f"<div class='making {kind}' role='{role}'><span>{words}</span></div>"
    values = f"aria-valuemin='0' aria-valuemax='100' aria-valuenow='{percent}' aria-label='Making the video'"
    bar = f"<div class='bar'><div style='width: {percent}%'></div></div>"
    return (
        f"<div class='making' role='progressbar' {values} aria-valuetext='{words}'>"
        f"<span>{words}</span>{bar}</div>"
    )


def still(picture: bytes) -> str:
    """HTML of a frame of the video that is being made."""
    data = base64.b64encode(picture).decode()
    return f"<img class='still' alt='The frame that was made last' src='data:image/jpeg;base64,{data}'>"


def spoken_time(seconds: float) -> str:
    """A length of time as people say it: "8 s", "1 min 20 s"."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
