"""The whole way on two cores in minutes: clips made on the fly -> prepare -> train -> export -> a video.

It shows that everything fits together. The networks are far too small and too little trained to be good.

    python examples/train_tiny.py [FOLDER] [--recording FILE] [--steps N]
"""

import argparse
import csv
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from atldiff.cli.parser import main
from atldiff.config import PRESETS, WEIGHTS, LandmarkConfig

HERE = Path(__file__).parent
PEOPLE = ("astronaut", "drawn", "mona_lisa")  # one of them validates, and one of them tests
ENCODER = WEIGHTS / "starter" / "speech_encoder"


def run(*words: object) -> None:
    """Runs one command of `python -m atldiff`; ends the program if it fails."""
    print("+ atldiff", *words, file=sys.stderr, flush=True)
    if status := main([str(word) for word in words]):
        sys.exit(status)


def train_tiny(out: Path, recording: Path, steps: int) -> None:
    """Goes the whole way; `steps` are those of the landmark generator; the renderer takes fewer."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "jobs.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(("photo", "recording"))
        writer.writerows((HERE / f"{person}.jpg", recording) for person in PEOPLE)
    run("batch", out / "jobs.csv", "-o", out / "clips", "--output", "crop", "--quiet")
    row = PRESETS["starter"]
    unet = replace(row.unet, block_out_channels=(16, 32))
    row = replace(row, name="tiny", unet=unet, landmarks=LandmarkConfig(32, 2, 1, 2, 16, 12))
    preset = out / "preset.json"
    preset.write_text(json.dumps(asdict(row)))
    common = ("--preset", preset, "--device", "cpu")
    run("prepare", "--data", out / "clips", "--out", out / "data", "--corpus", "folder", "--workers", 2)
    data = ("--data", out / "data")
    run(
        "train", "landmarks", *data, "--start", ENCODER, "--steps", steps, "--out", out / "landmarks", *common
    )
    spatial = ("--stage", "spatial", "--steps", max(1, steps * 3 // 10), "--batch", 4)
    run("train", "diffusion", *data, *spatial, "--out", out / "spatial", *common)
    temporal = ("--stage", "temporal", "--steps", 2, "--batch", 1, "--out", out / "temporal")
    start = ("--start", out / "spatial" / "last", "--speech-encoder", ENCODER)
    run("train", "diffusion", *data, *temporal, *start, *common)
    parts = ("--renderer", out / "temporal" / "last", "--speech", out / "landmarks")
    run("train", "export", *parts, "--preset", preset, "--out", out / "pipeline")
    video = ("--weights", out / "pipeline", "-o", out / "video.mp4", "--quiet")
    run("generate", HERE / "drawn.jpg", recording, *video)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("out/tiny"))
    parser.add_argument("--recording", type=Path, default=HERE / "hello_world.flac", help="other words")
    parser.add_argument("--steps", type=int, default=40, help="steps of the landmark generator")
    given = parser.parse_args()
    train_tiny(given.folder, given.recording, given.steps)
