"""Renders docs/demo.webp for the README: three seconds of a speaking example portrait.

Run from the repository's root: python tools/make_demo.py
"""

from itertools import islice
from pathlib import Path

from PIL import Image

from atldiff import ATLDiffPipeline
from atldiff.config import FRAME_RATE

EXAMPLES = Path(__file__).parents[1] / "examples"
CROP = (102, 0, 382, 280)  # left, top, right, bottom of the head, pixels of the photo
SIZE, FIRST, SECONDS, STEP = 320, 4, 3, 2  # pixels; first frame; length; frames from one picture to the next


def main() -> None:
    """Renders the example and writes the animation."""
    pipeline = ATLDiffPipeline.from_pretrained().use_fast_dtype()
    portrait, speech = pipeline.prepare(EXAMPLES / "astronaut.jpg", EXAMPLES / "hello_world.flac")
    frames = pipeline.render(portrait, pipeline.landmarks(portrait, speech))
    shots = islice(frames, FIRST, FIRST + FRAME_RATE * SECONDS, STEP)
    pictures = [
        Image.fromarray(frame).crop(CROP).resize((SIZE, SIZE), Image.Resampling.LANCZOS) for frame in shots
    ]
    duration = round(1000 * STEP / FRAME_RATE)
    file = EXAMPLES.parent / "docs" / "demo.webp"
    pictures[0].save(
        file, save_all=True, append_images=pictures[1:], duration=duration, loop=0, quality=85, method=6
    )


if __name__ == "__main__":
    main()
