"""Reads any picture as upright RGB pixels of a bounded size."""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from atldiff.errors import InputError
from atldiff.portrait.photo_file import (
    crop_missing_rows,
    frame_numbers,
    open_file,
    orientation,
    reduce_on_decoding,
    repair,
)

LONG_SIDE = 2048  # pixels; longest side of a photo after reading
BACKDROP = (255, 255, 255)  # behind transparent pixels; the edges of most cut-outs blend with white

_REMEDY = "Use a JPEG, PNG, WebP or HEIC photo"
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error)  # errors of Pillow for a broken file
_UPRIGHT = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_photo(
    source: str | Path | np.ndarray | Image.Image, long_side: int = LONG_SIDE, frame: int = 0
) -> np.ndarray:
    """Reads a photo, upright by its EXIF tag, in sRGB, transparent pixels on a white backdrop.

    The missing last rows of a JPEG are cut off.

    Args:
        source: a path, an array, or a Pillow image of any mode. An array is (H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4), and uint8, uint16, bool, or float in [0, 1].
        long_side: pixels, the highest length of the longer side; a large JPEG is decoded at a reduced size.
        frame: number of the frame in an animated file, from 0.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file is missing, a folder, empty, broken, no picture, or larger than 178 megapixels
            (a JPEG: 400).
    """
    if isinstance(source, np.ndarray):
        return _upright_rgb(_from_array(source), long_side)
    if isinstance(source, Image.Image):
        return _read(source, long_side, "the photo")
    if not isinstance(source, (str, Path)):
        raise InputError("This is not a photo", _REMEDY)
    path = _existing(Path(source))
    try:
        with open_file(path) as image:
            return _decode(image, long_side, frame)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"The photo {path.name} has too many pixels", "Use one below 178 megapixels, a JPEG below 400"
        ) from error
    except PermissionError as error:
        raise InputError(f"The photo {path} may not be read", "Change its permissions") from error
    except _BROKEN as error:
        return _read_repaired(path, long_side, frame, error)


def frames_to_try(source: str | Path | np.ndarray | Image.Image) -> list[int]:
    """The frames of a photo (see `open_photo`) to search for a face, in order; [0] of a still picture."""
    if not isinstance(source, (str, Path)):
        return [0]
    try:
        with open_file(Path(source)) as image:
            return frame_numbers(image)
    except (*_BROKEN, Image.DecompressionBombError):
        return [0]


def _existing(path: Path) -> Path:
    """Returns the path; raises InputError if no file is there or the file is empty."""
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"The photo {path} {problem}", "Check the path of the photo")
    if path.stat().st_size == 0:
        raise InputError(f"The photo {path.name} is empty (0 bytes)", "Save or upload it again")
    return path


def _read_repaired(path: Path, long_side: int, frame: int, error: Exception) -> np.ndarray:
    """Reads a file again after an `error`, with its damage repaired; see `open_photo`."""
    file = repair(path)
    if file is not None:
        try:
            with open_file(file) as image:
                return _decode(image, long_side, frame, cut=True)
        except (*_BROKEN, Image.DecompressionBombError) as again:
            error = again
    try:
        open_file(path).close()
    except _BROKEN:
        raise InputError(f"{path.name} is not a picture that can be read", _REMEDY) from error
    raise InputError(f"The photo {path.name} is broken", "Save it again as JPEG or PNG") from error


def _decode(image: Image.Image, long_side: int, frame: int, cut: bool = False) -> np.ndarray:
    """Decodes one frame of a file to (H, W, 3) uint8; `cut`: a JPEG may lack its end."""
    image.seek(frame)
    reduce_on_decoding(image, long_side)
    image.load()
    return _upright_rgb(image, long_side, cut and image.format in ("JPEG", "MPO"))


def crop_square(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """Cuts a square box (x0, y0, x1, y1), pixels, out of an image (H, W, 3) uint8 and resizes it.

    The image's border is repeated beyond it. Shrinking averages areas, enlarging is bicubic.

    Returns:
        (size, size, 3) uint8.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (float(v) for v in box)
    rows = np.clip(np.arange(int(np.floor(y0)), int(np.ceil(y1)) + 1), 0, height - 1)
    columns = np.clip(np.arange(int(np.floor(x0)), int(np.ceil(x1)) + 1), 0, width - 1)
    part = image[rows][:, columns]
    x, y = x0 - np.floor(x0), y0 - np.floor(y0)
    kernel = Image.Resampling.BOX if x1 - x0 > size else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(part).resize((size, size), kernel, (x, y, x + x1 - x0, y + y1 - y0)))


def _read(image: Image.Image, long_side: int, name: str) -> np.ndarray:
    """Decodes and converts a Pillow image, which stays unchanged."""
    try:
        image.load()
        return _upright_rgb(image, long_side)
    except _BROKEN as error:
        raise InputError(f"The photo {name} is broken", "Save it again as JPEG or PNG") from error


def _upright_rgb(image: Image.Image, long_side: int, cut: bool = False) -> np.ndarray:
    """Converts a decoded Pillow image to (H, W, 3) uint8; `cut`: its last rows may be missing."""
    icc, turn = image.info.get("icc_profile"), _UPRIGHT.get(orientation(image))
    image = crop_missing_rows(image) if cut else image
    image = _eight_bit(image if turn is None else image.transpose(turn))
    if max(image.size) > long_side:
        scale = long_side / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    image = _srgb(image, icc)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*BACKDROP, 255)), image)
    return np.array(image.convert("RGB"))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Converts an image to RGB, RGBA, L or CMYK with 8 bits a channel."""
    if image.mode.startswith(("I", "F")):
        return _from_array(np.asarray(image))
    if image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image if image.mode in ("RGB", "RGBA", "L", "CMYK") else image.convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    """Converts an array of the shapes and types of `open_photo` to a Pillow image."""
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.ndim not in (2, 3) or array.size == 0 or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InputError(f"An array of shape {array.shape} is not a photo", "Give (H, W, 3) uint8")
    if array.dtype.kind not in "uibf" or not np.isfinite(array.sum(dtype=np.float64)):
        raise InputError("The array holds values that are not numbers", "Give (H, W, 3) uint8")
    if array.dtype != np.uint8:
        top = float(array.max())
        white = 1.0 if array.dtype.kind in "bf" and top <= 1 else 255.0 if top <= 255 else 65535.0
        array = np.clip(array * (255.0 / white) + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(array)


def _srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Converts colours to sRGB from another profile, such as CMYK or a phone's Display P3."""
    if not icc or image.mode == "L":
        return image
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        plain = image.convert("RGB") if alpha else image
        colours = ImageCms.profileToProfile(plain, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # the profile is broken, or of another kind
    assert colours is not None  # only a conversion in place gives None
    if alpha:
        colours.putalpha(alpha)
    return colours
