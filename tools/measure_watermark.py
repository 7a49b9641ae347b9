"""Measures the watermark on videos: what it survives, how faint it is, what it costs, false alarms.

    python tools/measure_watermark.py attacks FOLDER --out attacks.jsonl
    python tools/measure_watermark.py alarms FOLDER... --keys 40 --out alarms.json

FOLDER holds unmarked videos, best without loss (`alarms` takes photos, too). `attacks` marks and encodes each
as `write_video` does, changes it in each way, and looks for the mark. One line of JSON a video; what is there
already is not done again. `table` reads the lines.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from atldiff.media.video_reader import mean_picture, read_clip
from atldiff.media.video_writer import encode_video
from atldiff.portrait.photo import open_photo
from atldiff.provenance.detector import THRESHOLD, find_mark
from atldiff.provenance.watermark import Watermark

FRAMES = 150


def resize(scale: float) -> Callable[[np.ndarray], np.ndarray]:
    """A change of size, to even sides."""

    def change(frame: np.ndarray) -> np.ndarray:
        size = tuple(round(scale * side / 2) * 2 for side in frame.shape[1::-1])
        return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)

    return change


def crop(frame: np.ndarray) -> np.ndarray:
    """A tenth off both sides, from the upper left three parts of ten."""
    height, width = frame.shape[:2]
    top, left = round(0.03 * height), round(0.03 * width)
    part = frame[top : top + round(0.9 * height / 2) * 2, left : left + round(0.9 * width / 2) * 2]
    return np.ascontiguousarray(part)


def lighter(frame: np.ndarray) -> np.ndarray:
    """All levels a tenth higher."""
    return cv2.convertScaleAbs(frame, alpha=1.1)


def same(frame: np.ndarray) -> np.ndarray:
    """No change but the encoding."""
    return frame


# Name: (change of a frame, encoder's options, frames a second, codec).
ATTACKS = {
    "none": None,
    "crf 28": (same, {"crf": "28"}, 30, "libx264"),
    "400 kbit/s": (same, {"b": "400000"}, 30, "libx264"),
    "half, crf 23": (resize(0.5), {"crf": "23"}, 30, "libx264"),
    "half, crf 28": (resize(0.5), {"crf": "28"}, 30, "libx264"),
    "10 % cropped": (crop, {"crf": "23"}, 30, "libx264"),
    "25 frames/s": (same, {"crf": "23"}, 25, "libx264"),
    "10 % lighter": (lighter, {"crf": "23"}, 30, "libx264"),
    "mirrored": (lambda frame: np.ascontiguousarray(frame[:, ::-1]), {"crf": "23"}, 30, "libx264"),
    "screenshot": "screenshot",
    "half + crop, crf 28": (lambda frame: resize(0.5)(crop(frame)), {"crf": "28"}, 30, "libx264"),
    "crf 35": (same, {"crf": "35"}, 30, "libx264"),
    "VP9 400 kbit/s": (same, {"b": "400000", "deadline": "realtime", "cpu-used": "6"}, 30, "libvpx-vp9"),
}


def encode(path: Path, frames: np.ndarray, attack) -> Path:
    """Encodes changed frames, at x264's preset medium."""
    change, options, rate, codec = attack
    with av.open(str(path), "w") as container:
        stream = None
        for index in range(len(frames) * rate // 30):
            frame = change(frames[index * 30 // rate])
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(rate), options=options)
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return path


def screenshot(frame: np.ndarray) -> np.ndarray:
    """One frame, shown at 0.8 of its size and saved as a JPEG of quality 85."""
    picture = cv2.cvtColor(resize(0.8)(frame), cv2.COLOR_RGB2GRAY)
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], -1)


def measure(path: Path, folder: Path, names: list[str]) -> dict:
    """The scores of one video under all attacks, and its costs."""
    raw = read_clip(path, FRAMES).frames
    begin = time.process_time()
    mark = Watermark(raw[0])
    setup = time.process_time() - begin
    begin = time.process_time()
    marked = [mark.apply(frame) for frame in raw[::10]]
    apply = (time.process_time() - begin) / len(marked)
    error = np.mean(
        [np.mean((a.astype(np.float32) - b) ** 2) for a, b in zip(marked, raw[::10], strict=True)]
    )
    ours = folder / "ours.mp4"
    for _ in encode_video(ours, iter(raw), None):
        pass
    row: dict = {"video": path.name, "size": list(raw.shape[1:3]), "frames": len(raw)}
    row |= {"psnr": float(10 * np.log10(255**2 / error)), "setup_ms": 1e3 * setup, "frame_ms": 1e3 * apply}
    row["bytes"] = ours.stat().st_size
    row["plain_bytes"] = encode_plain(folder / "plain.mp4", raw, "17").stat().st_size
    decoded = read_clip(ours).frames
    scores = {}
    for name in names:
        attack = ATTACKS[name]
        if attack is None:
            picture = mean_picture(ours)
        elif attack == "screenshot":
            picture = screenshot(decoded[len(decoded) // 2])
        else:
            picture = mean_picture(encode(folder / "attacked.mkv", decoded, attack))
        scores[name] = round(find_mark(picture).score, 2)
    return row | {"scores": scores}


def encode_plain(path: Path, frames: np.ndarray, crf: str) -> Path:
    """Encodes frames as `write_video` does, without a mark."""
    options = {"preset": "superfast", "tune": "animation", "crf": crf}
    return encode(path, frames, (same, options, 30, "libx264"))


def attacks(args: argparse.Namespace) -> None:
    """Measures the videos that have no line yet."""
    done = {json.loads(line)["video"] for line in args.out.open()} if args.out.exists() else set()
    for path in sorted(args.folder[0].iterdir()):
        if path.name in done:
            continue
        with tempfile.TemporaryDirectory() as folder, args.out.open("a") as out:
            out.write(json.dumps(measure(path, Path(folder), args.attacks)) + "\n")


def table(args: argparse.Namespace) -> None:
    """Prints what the lines of `attacks` say together."""
    rows = [json.loads(line) for line in args.out.open()]
    print("| attack | found | lowest score | median score |\n|---|---|---|---|")
    for name in ATTACKS:
        scores = [row["scores"][name] for row in rows if name in row["scores"]]
        if scores:
            hits = sum(score >= THRESHOLD for score in scores)
            print(f"| {name} | {hits} of {len(scores)} | {min(scores):.1f} | {np.median(scores):.1f} |")
    for key in ("psnr", "setup_ms", "frame_ms"):
        values = [row[key] for row in rows]
        print(f"{key}: {min(values):.2f} to {max(values):.2f}, median {np.median(values):.2f}")
    ratios = [row["bytes"] / row["plain_bytes"] for row in rows]
    total = sum(row["bytes"] for row in rows) / sum(row["plain_bytes"] for row in rows)
    print(f"size over unmarked crf 17: {min(ratios):.3f} to {max(ratios):.3f}, all {total:.3f}")


def alarms(args: argparse.Namespace) -> None:
    """The scores of unmarked pictures, with the real key and with random ones."""
    real, others = {}, []
    paths = [path for folder in args.folder for path in sorted(folder.iterdir())][:: args.every]
    for number, path in enumerate(paths):
        photo = path.suffix.lower() in (".jpg", ".png", ".webp")
        picture = open_photo(path) if photo else mean_picture(path)
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if photo else picture
        real[path.name] = round(find_mark(picture).score, 3)
        others += [round(find_mark(picture, f"{number} {key}").score, 3) for key in range(args.keys)]
        args.out.write_text(json.dumps({"real": real, "others": others}))
    for name, scores in (("real key", list(real.values())), ("random keys", others)):
        if scores:
            worst = np.percentile(scores, (50, 99, 99.9))
            print(f"{name}: {len(scores)}, median {worst[0]:.2f}, 99 % {worst[1]:.2f}, "
                  f"99.9 % {worst[2]:.2f}, highest {max(scores):.2f}")  # fmt: skip


def main() -> None:
    """Runs one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for run in (attacks, alarms, table):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("--out", type=Path, required=True)
        if run is not table:
            command.add_argument("folder", type=Path, nargs="+")
    commands.choices["attacks"].add_argument("--attacks", nargs="+", default=list(ATTACKS))
    commands.choices["alarms"].add_argument("--keys", type=int, default=40)
    commands.choices["alarms"].add_argument("--every", type=int, default=1)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
