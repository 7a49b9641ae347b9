"""Adobe's TrustMark in place of the tile: its mark carries a message, and other programs read it.

- The operator chooses it by ATLDIFF_WATERMARK=trustmark. It needs the extra `trustmark`, and fetches its
  weights at its first use.
- Its change of the first frame is added to all frames, as the tile is.
"""

import contextlib
import io
import os
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from atldiff.errors import InputError

MESSAGE = "ATLDIFF"  # seven letters; eight of 7 bits fit beside the strongest correction
CHOICES = ("tile", "trustmark")
_REMEDY = "Set ATLDIFF_WATERMARK to tile, or leave it out"


def trustmark_is_chosen() -> bool:
    """Whether the operator chose TrustMark.

    Raises:
        InputError: ATLDIFF_WATERMARK is none of CHOICES.
    """
    choice = os.environ.get("ATLDIFF_WATERMARK", "").strip().lower() or CHOICES[0]
    if choice not in CHOICES:
        raise InputError(f"ATLDIFF_WATERMARK is {choice}, not one of {', '.join(CHOICES)}", _REMEDY)
    return choice == "trustmark"


@cache
def load_trustmark() -> Any:
    """The networks of TrustMark's variant Q, once a process.

    Raises:
        InputError: the package is not installed, or its weights cannot be had or read.
    """
    try:
        from trustmark import TrustMark
    except (ImportError, OSError, RuntimeError) as error:  # torchvision beside a torch of another make
        told = "TrustMark is not installed, or does not fit its torch"
        raise InputError(told, 'pip install "atldiff[trustmark]"') from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it fetches, and why it could not
            tool = TrustMark(verbose=False, device="cpu", model_type="Q", loadRemover=False)
    except Exception as error:  # of its package, torch or omegaconf, over a file that is broken
        raise InputError(f"TrustMark's weights cannot be read: {error}", _REMEDY) from error
    if tool.encoder is None or tool.decoder is None:
        raise InputError("TrustMark's weights cannot be fetched from its server", f"Go online, or: {_REMEDY}")
    return tool


def message_pattern(frame: np.ndarray) -> np.ndarray:
    """What TrustMark adds to a frame (H, W, 3 or 4) uint8 for our message: (H, W, 3) int16 levels."""
    colours = np.ascontiguousarray(frame[..., :3])
    marked = load_trustmark().encode(Image.fromarray(colours), MESSAGE)
    return np.asarray(marked).astype(np.int16) - colours


def carries_message(picture: np.ndarray) -> bool:
    """Whether TrustMark reads our message in a picture (H, W, 3) uint8."""
    message, is_there, _ = load_trustmark().decode(Image.fromarray(picture))
    return bool(is_there) and message == MESSAGE
