"""A folder of clips -> training data: crops, landmarks and speech, one .npz a clip, and an index."""

import csv
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE

STORED_SIZE = 224  # pixels of the stored crop
STORED_MARGIN = 1.1  # the stored crop over the network's, so that training can move and scale it
JPEG_QUALITY = 93
LAG_WINDOW = 10  # frames searched for the audio-video lag


def prepare(data: Path, out: Path, workers: int = 2) -> list[dict]:
    """Prepares every clip of `data/clips.csv` that `out` does not hold yet.

    Run again to resume. Columns used: file, split, identity, kind (speech/silent), use.

    Returns:
        The index, one dict a clip, also written to `out/index.json`.
    """
    out.mkdir(parents=True, exist_ok=True)
    with open(data / "clips.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    todo = [(data / row["file"], out / f"{Path(row['file']).stem}.npz", row) for row in rows]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        results = pool.map(_prepare_one, todo)
        index = [entry for entry in tqdm(results, total=len(todo), desc="clips") if entry]
    (out / "index.json").write_text(json.dumps(index, indent=1))
    return index


def _prepare_one(job: tuple[Path, Path, dict]) -> dict | None:
    source, target, row = job
    note = target.with_suffix(".json")
    if not note.exists():
        entry = _extract(source, target, row)
        note.write_text(json.dumps(entry))
    return json.loads(note.read_text()) or None


def _extract(source: Path, target: Path, row: dict) -> dict:
    from atldiff.media.video import read_clip
    from atldiff.portrait.face import track_landmarks

    clip = read_clip(source)
    points = track_landmarks(clip.frames)
    found = np.isfinite(points).all(axis=(1, 2))
    if found.sum() < 10:
        return {}
    box = lm.crop_box(points[found], lm.CROP_SCALE * STORED_MARGIN)
    crops = lm.to_crop(points, box)
    ok = found & ((crops > 0.01) & (crops < 0.99)).all(axis=(1, 2))
    jpeg, offsets = _encode(clip.frames, box) if row["use"] != "landmarks" else _no_frames()
    arrays = {"jpeg": jpeg, "offsets": offsets, "fps": np.float32(clip.fps), "box": box}
    arrays |= {"landmarks": np.nan_to_num(crops), "ok": ok, "samples": np.zeros(0, np.float32)}
    entry = {key: row[key] for key in ("file", "split", "identity", "kind", "use")}
    entry |= {"stem": target.stem, "frames": len(points), "fps": clip.fps, "seconds": len(points) / clip.fps}
    if row["kind"] == "speech" and clip.speech is not None:
        arrays["samples"] = clip.speech.samples
        arrays["landmarks30"], arrays["ok30"] = _at_frame_rate(crops, found, clip.fps)
        entry["lag"], entry["sync"] = _lag(arrays["landmarks30"], arrays["ok30"], clip.speech.samples)
    np.savez(target, **arrays)
    return entry


def _no_frames() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, np.uint8), np.zeros(1, np.int64)


def _encode(frames: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
