"""Measures what a live portrait's lips lose: correlation of the opening with the truth, on validation people.

    python tools/measure_live_lips.py --data runs/data --lookahead 3 6 15

`--data` is what `prepare` wrote. Each clip's sound is heard live, from its beginning on. The row "video" has
all of the past and the future. Sound and edits are the same; the emotion is neutral.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from atldiff.config import FRAME_RATE, SAMPLE_RATE
from atldiff.landmarks import mouth_opening
from atldiff.live.hearing import STEP, Hearing
from atldiff.live.motion import MotionStream
from atldiff.live.session import LOOKAHEAD, PAST
from atldiff.options import Options
from atldiff.pipeline import ATLDiffPipeline
from atldiff.training.landmarks.clips import SpeechClip, load_speech_clips

PIXELS = 100  # between the eyes
OPTIONS = Options(emotion="neutral")


def live_points(pipeline: ATLDiffPipeline, clip: SpeechClip, lookahead: int) -> np.ndarray:
    """Landmarks of a clip's voice as they are made live: (F, 68, 2)."""
    stream = MotionStream(pipeline, photo(clip), OPTIONS, lookahead, PAST)
    hearing, points = Hearing(), []
    block = STEP * SAMPLE_RATE // FRAME_RATE
    samples = np.pad(clip.speech.samples, (0, (STEP + lookahead) * block))
    for start in range(0, len(samples), block):
        hearing.push(samples[start : start + block], SAMPLE_RATE)
        while (first := STEP * len(points)) + STEP <= hearing.frames - lookahead:
            points.append(stream.move(hearing, first, STEP).points)
    return np.concatenate(points)


def photo(clip: SpeechClip) -> Any:
    """What the networks need of a portrait: the person's landmarks, here in pixels of no photo."""
    return SimpleNamespace(landmarks=(clip.identity * PIXELS).astype(np.float32))


def score(points: np.ndarray, clip: SpeechClip) -> float:
    """Correlation of the mouth's opening with the true one, at lag 0."""
    true, ok = mouth_opening(clip.displacements + clip.identity), np.flatnonzero(clip.ok)
    ok = ok[ok < len(points)]
    return float(np.nan_to_num(np.corrcoef(mouth_opening(points)[ok], true[ok])[0, 1]))


def main() -> None:
    """Prints a row for a video and for each lookahead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default=None)
    parser.add_argument("--lookahead", type=int, nargs="+", default=[LOOKAHEAD])
    args = parser.parse_args()
    pipeline, clips = ATLDiffPipeline.from_pretrained(args.weights), load_speech_clips(args.data, "val")
    ways: dict[str, Callable[[SpeechClip], np.ndarray]] = {
        "video": lambda clip: pipeline.landmarks(photo(clip), clip.speech, OPTIONS).points
    }
    for frames in args.lookahead:
        ways[f"live, {frames} frames"] = lambda clip, frames=frames: live_points(pipeline, clip, frames)
    for name, way in ways.items():
        scores = [score(way(clip), clip) for clip in clips]
        print(f"| {name} | {np.mean(scores):.3f} | {len(scores)} clips |", flush=True)


if __name__ == "__main__":
    main()
