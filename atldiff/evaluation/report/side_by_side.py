"""Videos with the true clip and every system beside it, with captions."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from atldiff.config import FRAME_RATE
from atldiff.media.speech import Speech
from atldiff.media.video_reader import nearest_frames, read_clip
from atldiff.media.video_writer import write_video

TILE, CAPTION = 224, 22  # pixels: side of a video, height of its caption
COLUMNS = 4  # videos in a row


def write_side_by_side(path: Path, videos: Sequence[tuple[str, np.ndarray]], speech: Speech) -> Path:
    """Writes one video of all.

    Args:
        path: .mp4.
        videos: caption and frames (F, H, W, 3) uint8 of each, at FRAME_RATE.
        speech: the sound.
    """
    return write_video(path, tiles(videos), speech)


def tiles(videos: Sequence[tuple[str, np.ndarray]]) -> Iterator[np.ndarray]:
    """The frames of all videos as one picture; the shortest video ends it."""
    rows = -(-len(videos) // COLUMNS)
    columns = min(COLUMNS, len(videos))
    sheet = Image.new("RGB", (columns * TILE, rows * (TILE + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    places = [(i % COLUMNS * TILE, i // COLUMNS * (TILE + CAPTION)) for i in range(len(videos))]
    for (caption, _), (x, y) in zip(videos, places, strict=True):
        draw.text((x + 4, y + 3), caption, "black", font)
    for index in range(min(len(frames) for _, frames in videos)):
        for (_, frames), (x, y) in zip(videos, places, strict=True):
            picture = Image.fromarray(frames[index])
            picture.thumbnail((TILE, TILE))
            picture = picture.resize((TILE, TILE)) if max(picture.size) < TILE else picture
            sheet.paste(picture, (x, y + CAPTION))
        yield np.asarray(sheet)


def read_at_rate(path: Path) -> np.ndarray:
    """The frames (F, H, W, 3) uint8 of a video at FRAME_RATE."""
    clip = read_clip(path)
    return clip.frames[nearest_frames(len(clip.frames), clip.fps, FRAME_RATE)]
