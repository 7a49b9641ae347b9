"""app.py, whose frames take their time while there is a file `slowly` in its folder.

A test can then do what a visitor does during a long video, without a long video. The last frame is not made
before the file is gone.
"""

import runpy
import sys
import time
from collections.abc import Iterator
from pathlib import Path

APP = Path(__file__).parent.parent / "app.py"
SECONDS = 0.2  # for a frame

sys.path.insert(0, str(APP.parent))

import spaces  # noqa: E402, F401 - precedes every import of CUDA, as in app.py

from atldiff.rendering.renderer import Renderer  # noqa: E402
from atldiff.sequence import LandmarkSequence  # noqa: E402

frames = Renderer.frames


def take_time(renderer: Renderer, portrait: object, sequence: LandmarkSequence, *rest: object) -> Iterator:
    """Yields the frames of the renderer, slowly while the file is there."""
    gate, last = Path("slowly"), len(sequence.points) - 1
    for number, frame in enumerate(frames(renderer, portrait, sequence, *rest)):
        if gate.exists():
            time.sleep(SECONDS)
        while number == last and gate.exists():
            time.sleep(0.05)
        yield frame


Renderer.frames = take_time
runpy.run_path(str(APP), run_name="__main__")
