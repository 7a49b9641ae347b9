"""Videos with the true clip and every system beside it, with captions."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from atldiff.config import FRAME_RATE
from atldiff.evaluation.report.takes import Take
from atldiff.media.video_reader import nearest_frames, read_clip
from atldiff.media.video_writer import write_video

TILE, CAPTION = 224, 22  # pixels: side of a video, height of its caption
COLUMNS = 4  # videos in a row at most


def write_side_by_side(path: Path, take: Take, rows: Sequence[dict]) -> None:
    """Writes one video of the true clip and of all systems, unless it is newer than all of them.

    Args:
        path: .mp4.
        take: the true clip.
        rows: of `run.evaluate`, of this take.
    """
    files = [Path(row["video"]) for row in rows]
    if path.exists() and path.stat().st_mtime > max(file.stat().st_mtime for file in files):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [row["system"] for row in rows]
    videos = [("true clip", take.truth), *zip(names, map(read_at_rate, files), strict=True)]
    write_video(path, tiles(videos), take.speech)


def tiles(videos: Sequence[tuple[str, np.ndarray]]) -> Iterator[np.ndarray]:
    """The frames of all videos as one picture; the shortest video ends it."""
    rows = -(-len(videos) // COLUMNS)
    columns = -(-len(videos) // rows)
    sheet = Image.new("RGB", (columns * TILE, rows * (TILE + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    places = [(i % columns * TILE, i // columns * (TILE + CAPTION)) for i in range(len(videos))]
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
