"""Previews before the wait: the annotated photo, the moving landmarks, and lines of HTML."""

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
from atldiff.rendering.warp.turn import turn_landmarks

LONG_SIDE = 640  # pixels of the annotated photo
MOTION_SIDE = 320  # pixels of the motion preview
MOTION_SECONDS = 10.0  # the preview shows only the beginning of a longer recording
_CROP, _CHOSEN, _OTHER = (255, 255, 255), (255, 145, 60), (150, 150, 160)
_DIM = 0.45  # brightness of the photo behind the moving landmarks
_REACH = 1.25  # side of the motion preview over the network's crop


def annotate(portrait: Portrait) -> np.ndarray:
    """Draws the network's crop, the 68 landmarks and a numbered box for each face on the photo.

    Returns:
        (h, w, 3) uint8 with a longer side of 640.
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
    """The number, from 1, of the face at a pixel of the annotated photo; None without a face there."""
    scale = LONG_SIDE / max(portrait.image.shape[:2])
    for number, (x0, y0, x1, y1) in enumerate(portrait.faces, start=1):
        if x0 <= x / scale <= x1 and y0 <= y / scale <= y1:
            return number
    return None


def describe(portrait: Portrait) -> dict:
    """Describes a portrait for the API: numbers in pixels of the upright photo, and warnings."""
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
    """Writes a video of the landmarks on the darkened face, with sound: 320 x 320, at most 10 s."""
    portrait, speech = animation.portrait, animation.speech
    x0, y0, x1, y1 = portrait.box
    box = square_box(np.array([(x0 + x1) / 2, (y0 + y1) / 2]), float(x1 - x0) * _REACH)
    still = (crop_square(portrait.image, box, MOTION_SIDE) * _DIM).astype(np.uint8)
    points = (turn_landmarks(portrait, animation.landmarks) - box[:2]) * (
        MOTION_SIDE / float(box[2] - box[0])
    )
    count = min(len(points), round(MOTION_SECONDS * FRAME_RATE))
    sound = speech.cut(0, count / FRAME_RATE) if count < len(points) else speech
    return write_video(path, (draw_landmarks(still, frame) for frame in points[:count]), sound)


def note(lines: Sequence[str], kind: str = "good") -> str:
    """HTML of a note beside an input. Kind is "good", "warn" or "bad"; screen readers announce "bad"."""
    items = "".join(f"<p>{html.escape(line, quote=False)}</p>" for line in lines)
    role = "alert" if kind == "bad" else "status"
    return f"<div class='note {kind}' role='{role}'>{items}</div>" if lines else ""


def progress(words: str, share: float | None = None, kind: str = "") -> str:
    """HTML of the line under the video.

    With a share it is a progress bar, which a screen reader reads on demand: the line changes too often.
    Screen readers announce every other line.

    Args:
        words: the stage at work.
        share: of the work, 0 to 1; None without a bar.
        kind: "", "done" or "bad".
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
    """HTML of the last frame, a JPEG."""
    data = base64.b64encode(picture).decode()
    return f"<img class='still' alt='The frame that was made last' src='data:image/jpeg;base64,{data}'>"


def format_time(seconds: float) -> str:
    """Formats a length of time: "8 s", "1 min 20 s"."""
    total = max(1, round(seconds))
    return f"{total} s" if total < 60 else f"{total // 60} min {total % 60} s"
