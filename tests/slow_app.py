"""app.py, whose frames take their time while there is a file `slowly` in its folder.

A test can then do what a visitor does during a long video, without a long video.
"""

import runpy
import sys
import time
from collections.abc import Iterator
from pathlib import Path

APP = Path(__file__).parent.parent / "app.py"
SECONDS = 0.4  # for a frame

sys.path.insert(0, str(APP.parent))

import spaces  # noqa: E402, F401 - precedes every import of CUDA, as in app.py

from atldiff.rendering.renderer import Renderer  # noqa: E402

frames = Renderer.frames


def take_time(*arguments: object) -> Iterator:
    """Yields the frames of the renderer, slowly while the file is there."""
    for frame in frames(*arguments):
        if Path("slowly").exists():
            time.sleep(SECONDS)
        yield frame


Renderer.frames = take_time
runpy.run_path(str(APP), run_name="__main__")
