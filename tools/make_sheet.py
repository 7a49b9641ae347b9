"""Renders docs/faces.jpg for the README: example portraits that speak an example recording.

Run from the repository's root: python tools/make_sheet.py
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from atldiff import ATLDiffPipeline
from atldiff.landmarks import eye_opening, mouth_opening
from atldiff.portrait.drawing import draw_landmarks
from atldiff.portrait.photo import crop_square

EXAMPLES = Path(__file__).parents[1] / "examples"
CELL = 240  # pixels
NAMES = ("astronaut.jpg", "mona_lisa.jpg", "drawn_woman.jpg", "drawn_man.jpg")


def render_row(pipeline: ATLDiffPipeline, name: str) -> np.ndarray:
    """Renders one portrait's row: photo, landmarks, then frames half open, widest open, closed, blinking."""
    portrait, speech = pipeline.prepare(EXAMPLES / name, EXAMPLES / "hello_world.flac")
    sequence = pipeline.landmarks(portrait, speech)
    opening = mouth_opening(sequence.points)
    half = np.abs(opening - opening.max() / 2).argmin()
    middle = slice(len(opening) // 4, 3 * len(opening) // 4)
    closed = middle.start + opening[middle].argmin()
    moments = [half, opening.argmax(), closed, eye_opening(sequence.points).argmin()]
    numbers = set(range(len(opening))) & {int(m) for m in moments}
    frames = pipeline.render(portrait, replace(sequence, points=sequence.points[: max(numbers) + 1]))
    frame_at = {index: frame for index, frame in enumerate(frames) if index in numbers}
    widest = draw_landmarks(portrait.image, sequence.points[moments[1]])
    pictures = [portrait.image, widest, *(frame_at[int(m)] for m in moments)]
    return np.concatenate([crop_square(p, portrait.box, CELL) for p in pictures], axis=1)


if __name__ == "__main__":
    pipeline = ATLDiffPipeline.from_pretrained().use_fast_dtype()
    sheet = np.concatenate([render_row(pipeline, name) for name in NAMES])
    Image.fromarray(sheet).save(EXAMPLES.parent / "docs" / "faces.jpg", quality=88)
