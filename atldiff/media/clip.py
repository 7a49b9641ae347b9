"""A few seconds of a video as an animated picture, which plays without a player: GIF or WebP."""

from itertools import islice
from pathlib import Path
from typing import Any

import av
from PIL import Image

from atldiff.media.video_writer import MARK
from atldiff.system import atomic_write

SECONDS, SIDE, RATE = 4.0, 360, 12.5  # the longest clip; pixels of its longer side; pictures a second
KINDS = (".gif", ".webp")


def write_clip(video: str | Path, path: str | Path) -> Path:
    """Writes the first 4 seconds of a video as an endless picture of at most 360 pixels, without sound.

    Its comment says that it is AI-generated. It has no credentials; of the video's mark little survives.

    Args:
        video: a file with a picture track.
        path: *.gif or *.webp.

    Returns:
        The path.
    """
    path = Path(path)
    assert path.suffix in KINDS, path
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        every = max(1, round(float(stream.average_rate or RATE) / RATE))
        frames = islice(container.decode(stream), 0, round(SECONDS * RATE) * every, every)
        pictures = [_reduce(frame.to_image()) for frame in frames]
    settings: dict[str, Any] = {"save_all": True, "append_images": pictures[1:], "loop": 0}
    settings["duration"] = round(1000 / RATE)
    with atomic_write(path) as part:
        if path.suffix == ".gif":
            pictures[0].save(part, "GIF", comment=MARK["comment"].encode(), optimize=False, **settings)
        else:
            exif = Image.Exif()
            exif[0x010E] = MARK["comment"]  # ImageDescription
            pictures[0].save(part, "WEBP", quality=70, method=2, exif=exif, **settings)
    return path


def _reduce(picture: Image.Image) -> Image.Image:
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture
