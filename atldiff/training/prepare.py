"""A folder of clips -> training data: crops, landmarks and speech, one .npz a clip, and an index."""

import csv
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE
from atldiff.errors import InputError

STORED_SIZE = 224  # pixels of the stored crop
STORED_MARGIN = 1.1  # the stored crop over the network's, so that training can move and scale it
JPEG_QUALITY = 93
MIN_FOUND = 10  # frames of a clip in which a face must be seen
LAG_WINDOW = 10  # frames searched for the audio-video lag


def prepare(data: Path, out: Path, workers: int = 2) -> list[dict]:
    """Prepares every clip of `data/clips.csv` that `out` does not hold yet.

    Run again to resume. Columns used: file, split, identity, kind (speech/silent), use. A clip's name in
    `out` is its path below `data` without the ending. What cannot be used is left out and listed, with
    the reason, in `out/skipped.csv`; it is tried again by the next run.

    Returns:
        The index, one dict a clip, also written to `out/index.json`.

    Raises:
        InputError: no clips.csv; two rows with one name; a disk or memory that is full.
    """
    table = data / "clips.csv"
    if not table.is_file():
        raise InputError(f"{table} does not exist", "Name the folder that holds clips.csv")
    out.mkdir(parents=True, exist_ok=True)
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    names = [str(Path(row["file"]).with_suffix("")) for row in rows]
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice:
        raise InputError(f"{table} has two clips named {twice}", "Rename one of them")
    todo = [(data / row["file"], out, name, row) for name, row in zip(names, rows, strict=True)]
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            results = list(tqdm(pool.map(_prepare_one, todo), total=len(todo), desc="clips"))
    except BrokenProcessPool as error:
        raise InputError("A worker process was ended", "Use fewer --workers and run it again") from error
    index = [entry for entry in results if "skipped" not in entry]
    skipped = [entry for entry in results if "skipped" in entry]
    (out / "index.json").write_text(json.dumps(index, indent=1))
    with open(out / "skipped.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ("file", "skipped"))
        writer.writeheader()
        writer.writerows(skipped)
    return index


def _prepare_one(job: tuple[Path, Path, str, dict]) -> dict:
    """The clip's entry, or {"file", "skipped": why}."""
    source, out, name, row = job
    note = out / f"{name}.json"
    if note.exists():
        return json.loads(note.read_text())
    note.parent.mkdir(parents=True, exist_ok=True)
    try:
        arrays, entry = _extract(source, name, row)
    except InputError as error:
        return {"file": row["file"], "skipped": str(error)}
    part = out / f"{name}.part"
    try:
        with open(part, "wb") as file:
            np.savez(file, **arrays)
        part.replace(out / f"{name}.npz")
        part.write_text(json.dumps(entry))
        part.replace(note)
    except OSError as error:
        problem = f"{out} cannot be written ({error.strerror})"
        raise InputError(problem, "Make room and run it again") from error
    finally:
        part.unlink(missing_ok=True)
    return entry


def _extract(source: Path, name: str, row: dict) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the index entry of one clip."""
    from atldiff.media.video_reader import read_clip
    from atldiff.portrait.face import track_landmarks

    clip = read_clip(source)
    points = track_landmarks(clip.frames)
    found = np.isfinite(points).all(axis=(1, 2))
    if found.sum() < MIN_FOUND:
        raise InputError(f"A face is seen in {found.sum()} frames of {source.name}", f"It takes {MIN_FOUND}")
    box = lm.crop_box(points[found], lm.CROP_SCALE * STORED_MARGIN)
    crops = lm.to_crop(points, box)
    ok = found & ((crops > 0.01) & (crops < 0.99)).all(axis=(1, 2))
    jpeg, offsets = encode_crops(clip.frames, box) if row["use"] != "landmarks" else _no_frames()
    arrays = {"jpeg": jpeg, "offsets": offsets, "fps": np.float32(clip.fps), "box": box}
    arrays |= {"landmarks": np.nan_to_num(crops), "ok": ok, "samples": np.zeros(0, np.float32)}
    entry = {key: row[key] for key in ("file", "split", "identity", "kind", "use")}
    entry |= {"stem": name, "frames": len(points), "fps": clip.fps, "seconds": len(points) / clip.fps}
    if row["kind"] == "speech" and clip.speech is not None:
        arrays["samples"] = clip.speech.samples
        arrays["landmarks30"], arrays["ok30"] = _at_frame_rate(crops, found, clip.fps)
        entry["lag"], entry["sync"] = _lag(arrays["landmarks30"], arrays["ok30"], clip.speech.samples)
    return arrays, entry


def _no_frames() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, np.uint8), np.zeros(1, np.int64)


def encode_crops(frames: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """JPEG bytes of every frame's crop, concatenated, and where each begins (len + 1)."""
    import cv2

    scale = STORED_SIZE / (box[2] - box[0])
    move = np.array([[scale, 0, -box[0] * scale], [0, scale, -box[1] * scale]], np.float32)
    encoded = []
    for frame in frames:
        crop = cv2.warpAffine(
            frame, move, (STORED_SIZE,) * 2, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        ok, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        assert ok, "JPEG encoder failed"
        encoded.append(data)
    offsets = np.cumsum([0] + [len(data) for data in encoded])
    return np.concatenate(encoded), offsets


def _at_frame_rate(points: np.ndarray, found: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (T, 68, 2) at fps -> (F, 68, 2) at FRAME_RATE by linear interpolation over time."""
    frames = int(round(len(points) / fps * FRAME_RATE))
    when, known = np.arange(frames) / FRAME_RATE, np.flatnonzero(found)
    flat = points.reshape(len(points), -1)[known]
    columns = [np.interp(when, known / fps, column) for column in flat.T]
    nearest = np.clip(np.round(when * fps).astype(int), 0, len(points) - 1)
    return np.stack(columns, -1).reshape(frames, 68, 2).astype(np.float32), found[nearest]


def _lag(points: np.ndarray, ok: np.ndarray, samples: np.ndarray) -> tuple[int, float]:
    """Frames by which the mouth opens after the sound gets loud, and their correlation at that lag."""
    hop = 16_000 // FRAME_RATE
    frames = min(len(points), len(samples) // hop)
    power = (samples[: frames * hop].reshape(frames, hop) ** 2).mean(axis=1)
    loudness, opening = np.log(power + 1e-6), lm.mouth_opening(points[:frames])
    scores = {}
    for lag in range(-LAG_WINDOW, LAG_WINDOW + 1):
        a = loudness[max(0, -lag) : frames - max(0, lag)]
        b = opening[max(0, lag) : frames - max(0, -lag)]
        keep = ok[max(0, lag) : frames - max(0, -lag)]
        if keep.sum() > 10 and a[keep].std() > 0 and b[keep].std() > 0:
            scores[lag] = float(np.corrcoef(a[keep], b[keep])[0, 1])
    if not scores:
        return 0, 0.0
    best = max(scores, key=scores.get)
    return best, scores[best]
