"""Picture files as devices and programs write them: damaged a little, very large, or full of notes."""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pi_heif
from PIL import Image, JpegImagePlugin

pi_heif.register_heif_opener()  # what iPhones save; Pillow itself cannot read it

MOST_PIXELS = 400_000_000  # of a JPEG, which is decoded at a part of its size
MISSING_SHARE = 0.15  # of a JPEG's rows: a file that lacks more of them is broken
ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")  # formats whose further frames are pictures of their own
FRAMES_IN_REACH = 200  # of an animation: a frame is decoded from all before it
MOST_FRAMES = 8  # of an animation in which a face is looked for

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_MOST_PROFILE = 1 << 20  # bytes; Pillow takes no larger colour profile from a PNG
_ABSENT = (127, 128)  # levels of what a JPEG decoder puts in the place of missing blocks
_BLOCK = 16  # rows of a JPEG's blocks, at most
_NOTES = threading.Lock()  # Python's warning filters belong to the whole process


@contextmanager
def without_notes() -> Iterator[None]:
    """Keeps Pillow's notes on odd metadata and on large pictures off the terminal; for short blocks."""
    with _NOTES, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield


def open_file(file: Path | io.BytesIO) -> Image.Image:
    """The picture in a file, not yet decoded.

    Raises:
        Image.DecompressionBombError: more than 178 megapixels, or 400 of a baseline JPEG.
        OSError, ValueError, SyntaxError: no picture, or broken.
    """
    with without_notes():
        try:
            return Image.open(file)
        except Image.DecompressionBombError:
            if isinstance(file, io.BytesIO):
                file.seek(0)
            image = _large_jpeg(file)
            if image is None:
                raise
            return image


def _large_jpeg(file: Path | io.BytesIO) -> Image.Image | None:
    """A JPEG without Pillow's bound, to be decoded at half of its size or less; None if that is too much."""
    try:
        image = JpegImagePlugin.JpegImageFile(file)
    except (OSError, SyntaxError):
        return None
    if image.width * image.height > MOST_PIXELS or "progressive" in image.info:  # such are decoded whole
        image.close()
        return None
    return image


def reduce_on_decoding(image: Image.Image, long_side: int) -> None:
    """Has a JPEG decoded at 1/2, 1/4 or 1/8, as long as its longer side stays above `long_side` pixels."""
    scale = long_side / max(image.size)
    if image.width * image.height > 2 * (Image.MAX_IMAGE_PIXELS or MOST_PIXELS):
        scale = min(scale, 0.5)
    image.draft(None, (int(image.width * scale), int(image.height * scale)))


def frame_numbers(image: Image.Image) -> list[int]:
    """The frames to look at in an animation, evenly spaced, the first one first; [0] of a still picture."""
    with without_notes():
        count = getattr(image, "n_frames", 1) if image.format in ANIMATIONS else 1
    spaced = np.linspace(0, min(count, FRAMES_IN_REACH) - 1, MOST_FRAMES)
    return sorted({round(float(number)) for number in spaced})


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of a decoded picture, 1 to 8; 1 where there is none or it cannot be read."""
    with without_notes():
        try:
            found = image.getexif().get(0x0112, 1)
        except (OSError, ValueError, SyntaxError, TypeError, struct.error):
            return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def mended(path: Path) -> io.BytesIO | None:
    """A file that Pillow refuses, with what it misses added or what it stumbles over left out.

    A JPEG gets an end marker. A PNG loses its texts and a colour profile above 1 MB.

    Returns:
        The file in memory, or None of another kind of file.
    """
    content = path.read_bytes()
    if content.startswith(_JPEG):
        return io.BytesIO(content + _JPEG_END)
    if content.startswith(_PNG):
        return io.BytesIO(b"".join(_plain_chunks(memoryview(content))))
    return None


def _plain_chunks(content: memoryview) -> Iterator[bytes | memoryview]:
    """The parts of a PNG, without the chunks that hold texts and a very large profile."""
    yield _PNG
    start = len(_PNG)
    while start + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        stop = start + 12 + length
        if stop > len(content) or kind == b"IEND":
            break
        data = content[start + 8 : stop - 4]
        if kind not in (b"iTXt", b"zTXt", b"tEXt") and not (kind == b"iCCP" and _is_large(bytes(data))):
            yield content[start:stop]
        start = stop
    yield _PNG_END


def _is_large(profile: bytes) -> bool:
    """Whether an iCCP chunk holds more than Pillow takes."""
    compressed = profile[profile.find(b"\0") + 2 :]
    try:
        return len(zlib.decompressobj().decompress(compressed, _MOST_PROFILE + 1)) > _MOST_PROFILE
    except zlib.error:
        return True


def without_missing_rows(image: Image.Image) -> Image.Image:
    """A JPEG whose end was missing, cut where its picture ends.

    Raises:
        OSError: too many of its rows are missing.
    """
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    absent = (pixels >= _ABSENT[0]) & (pixels <= _ABSENT[1])
    missing = _trailing(absent.all(axis=(1, 2)))
    if missing > MISSING_SHARE * image.height:
        raise OSError(f"{missing} of {image.height} rows are missing")
    last = absent[: image.height - missing, -8:].all(axis=(1, 2))  # blocks are missing from the right, too
    missing += min(_trailing(last), _BLOCK)
    return image.crop((0, 0, image.width, image.height - missing)) if missing else image


def _trailing(flags: np.ndarray) -> int:
    """How many of flags (N,) bool are set at the end."""
    return int(np.argmin(np.append(flags[::-1], False)))
