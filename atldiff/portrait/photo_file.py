"""Opens picture files of all devices and programs: slightly damaged, very large, or full of metadata."""

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

pi_heif.register_heif_opener()  # HEIC, the format of iPhones, which Pillow cannot read

MOST_PIXELS = 400_000_000  # of a JPEG; it is decoded at a reduced size
MOST_REPAIRED = 2**28  # bytes of a file that is read as a whole
MISSING_SHARE = 0.15  # highest share of a JPEG's rows that may be missing
ANIMATIONS = (
    "GIF",
    "PNG",
    "WEBP",
    "AVIF",
)  # formats with animations
FRAMES_IN_REACH = 200  # first frames of an animation; a frame is decoded from all before it
MOST_FRAMES = 8  # frames of an animation to search for a face

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_MOST_PROFILE = 1 << 20  # bytes; Pillow refuses a larger colour profile in a PNG
_ABSENT = (127, 128)  # grey levels that a JPEG decoder puts in missing blocks
_BLOCK = 16  # highest number of rows in a JPEG's block
_WARNINGS = threading.Lock()  # Python's warning filters are global


@contextmanager
def silence_warnings() -> Iterator[None]:
    """Keeps Pillow's warnings of odd metadata and large pictures off the terminal; for short blocks."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield


def open_file(file: Path | io.BytesIO) -> Image.Image:
    """Opens the picture in a file without decoding it.

    Raises:
        Image.DecompressionBombError: more than 178 megapixels; in a baseline JPEG, more than 400.
        OSError, ValueError, SyntaxError: the file is no picture, or broken.
    """
    with silence_warnings():
        try:
            return Image.open(file)
        except Image.DecompressionBombError:
            if isinstance(file, io.BytesIO):
                file.seek(0)
            image = _open_large_jpeg(file)
            if image is None:
                raise
            return image


def _open_large_jpeg(file: Path | io.BytesIO) -> Image.Image | None:
    """Opens a JPEG above Pillow's bound, to decode it at half size or less; None if it is too large."""
    try:
        image = JpegImagePlugin.JpegImageFile(file)
    except (OSError, SyntaxError):
        return None
    # A progressive JPEG cannot be decoded at a reduced size.
    if image.width * image.height > MOST_PIXELS or "progressive" in image.info:
        image.close()
        return None
    return image


def reduce_on_decoding(image: Image.Image, long_side: int) -> None:
    """Makes a JPEG decode at 1/2, 1/4 or 1/8 of its size, but no smaller than `long_side` pixels."""
    scale = long_side / max(image.size)
    if image.width * image.height > 2 * (Image.MAX_IMAGE_PIXELS or MOST_PIXELS):
        scale = min(scale, 0.5)
    image.draft(None, (int(image.width * scale), int(image.height * scale)))


def frame_numbers(image: Image.Image) -> list[int]:
    """Evenly spaced frames of an animation, in order; [0] of a still picture."""
    with silence_warnings():
        count = getattr(image, "n_frames", 1) if image.format in ANIMATIONS else 1
    spaced = np.linspace(0, min(count, FRAMES_IN_REACH) - 1, MOST_FRAMES)
    return sorted({round(float(number)) for number in spaced})


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of a decoded picture, 1 to 8; 1 if it is missing or unreadable."""
    with silence_warnings():
        try:
            value = image.getexif().get(0x0112, 1)
        except (OSError, ValueError, SyntaxError, TypeError, struct.error):
            return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def repair(path: Path) -> io.BytesIO | None:
    """Repairs a file that Pillow refuses.

    A JPEG gets an end marker. A PNG loses its texts and a colour profile above 1 MB.

    Returns:
        The repaired file in memory; None: it is neither a JPEG nor a PNG, or larger than MOST_REPAIRED.
    """
    with path.open("rb") as file:
        if not file.read(len(_PNG)).startswith((_JPEG, _PNG)) or path.stat().st_size > MOST_REPAIRED:
            return None
    content = path.read_bytes()
    if content.startswith(_JPEG):
        return io.BytesIO(content + _JPEG_END)
    if content.startswith(_PNG):
        return io.BytesIO(b"".join(_plain_chunks(memoryview(content))))
    return None


def _plain_chunks(content: memoryview) -> Iterator[bytes | memoryview]:
    """The parts of a PNG without its texts and a very large colour profile."""
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
    """Does an iCCP chunk hold a larger profile than Pillow takes?"""
    compressed = profile[profile.find(b"\0") + 2 :]
    try:
        return len(zlib.decompressobj().decompress(compressed, _MOST_PROFILE + 1)) > _MOST_PROFILE
    except zlib.error:
        return True


def crop_missing_rows(image: Image.Image) -> Image.Image:
    """Crops the missing rows off a JPEG that lacks its end.

    Raises:
        OSError: too many rows are missing.
    """
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    absent = (pixels >= _ABSENT[0]) & (pixels <= _ABSENT[1])
    missing = _count_trailing(np.asarray(absent.all(axis=(1, 2))))
    if missing > MISSING_SHARE * image.height:
        raise OSError(f"{missing} of {image.height} rows are missing")
    # The last row of blocks may end early: its right edge is missing.
    edge = np.asarray(absent[: image.height - missing, -8:].all(axis=(1, 2)))
    missing += min(_count_trailing(edge), _BLOCK)
    return image.crop((0, 0, image.width, image.height - missing)) if missing else image


def _count_trailing(flags: np.ndarray) -> int:
    """The number of True flags (N,) at the end."""
    return int(np.argmin(np.append(flags[::-1], False)))
