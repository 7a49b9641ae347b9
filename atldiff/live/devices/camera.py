"""Pictures -> a camera that other programs see (pyvirtualcam)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError

Show = Callable[[av.VideoFrame], None]  # takes a picture


@contextmanager
def open_camera(size: tuple[int, int]) -> Iterator[Show]:
    """Opens the machine's virtual camera; it takes pictures until the block ends.

    Args:
        size: width and height, pixels.

    Raises:
        ImportError: pyvirtualcam is not installed.
        InputError: it finds no virtual camera.
    """
    import pyvirtualcam

    try:
        camera = pyvirtualcam.Camera(*size, FRAME_RATE)
    except RuntimeError as error:
        remedy = "Install one: v4l2loopback on Linux, OBS on Windows and macOS"
        raise InputError("There is no virtual camera here", remedy) from error
    with camera:
        yield lambda picture: camera.send(picture.to_ndarray(format="rgb24"))
