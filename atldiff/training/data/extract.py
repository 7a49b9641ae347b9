"""One clip of a corpus -> training data: crops, landmarks and speech."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee

import numpy as np
from PIL import Image

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.media.speech import SAMPLE_RATE, Speech, load_speech
from atldiff.media.video_reader import open_video, video_sound
from atldiff.portrait.photo import crop_square
from atldiff.training.data.corpora import ClipRecord
from atldiff.training.data.shards import Sample

STORED_SIZE = 224  # pixels of the stored crop
STORED_MARGIN = 1.1  # the stored crop over the network's, so that training can move and scale it
JPEG_QUALITY = 93
MIN_FOUND = 10  # frames of a clip in which a face must be seen
SEGMENTED_SIZE = 512  # pixels; the person is cut out of a picture of this size
MISSING_PICTURES, MISSING_SHARE = 0.5, 0.1  # seconds, and of its length, that a whole clip may lack
MISSING_SOUND = 0.1  # seconds; sound that ends earlier than the pictures is filled up with silence


@dataclass(frozen=True)
class PrepareConfig:
    """What is stored of a clip.

    Attributes:
        size: pixels of the stored crop, STORED_MARGIN times the network's.
        frame_rate: frames a second of the pictures; None: as they came.
        seconds: length of the pieces a clip is cut into, the rest is left; None: it stays whole.
        green_screen: the background becomes green.
        detector: of the landmarks, as of `load_portrait`.
    """

    size: int = STORED_SIZE
    frame_rate: int | None = None
    seconds: float | None = None
    green_screen: bool = False
    detector: str = "mediapipe"


# "paper" (Sec. 3.1): green screen, 128x128, 30 fps, one-second clips; the sound is 16 kHz mono in both.
PROTOCOLS = {
    "starter": PrepareConfig(),
    "paper": PrepareConfig(round(128 * STORED_MARGIN), frame_rate=30, seconds=1.0, green_screen=True),
}


def extract(clip: ClipRecord, config: PrepareConfig = PROTOCOLS["starter"]) -> list[Sample]:
    """Decodes a clip twice, frame by frame, so that its length does not matter to memory.

    Returns:
        One sample, or one for each piece that shows a face: what is known of it, and jpeg (n,) uint8 with
        offsets (F + 1,): the crops; landmarks (F, 68, 2) in crop units, ok (F,), fps, box in the video's
        pixels; samples (m,) float32 at 16 kHz, and landmarks30, ok30 at FRAME_RATE if it speaks.

    Raises:
        InputError: unreadable, broken off, hardly a face, no sound though it should have, shorter than a
            piece.
    """
    from atldiff.portrait.mesh import track_landmarks

    with open_video(clip.video) as video:
        fps, begin, told = video.fps, video.begin, video.seconds
        points = track_landmarks(video.frames, config.detector)
    _check_whole(clip, len(points) / fps, told)
    found = np.isfinite(points).all(axis=(1, 2))
    if found.sum() < MIN_FOUND:
        problem = f"A face is seen in {found.sum()} frames of {clip.video.name}"
        raise InputError(problem, f"It takes {MIN_FOUND}")
    box = lm.crop_box(points[found], lm.CROP_SCALE * STORED_MARGIN)
    crops = lm.to_crop(points, box)
    ok = found & ((crops > 0.01) & (crops < 0.99)).all(axis=(1, 2))
    rate, shown = _shown(len(points), fps, config.frame_rate)
    arrays = {"landmarks": np.nan_to_num(crops[shown]), "ok": ok[shown], "fps": np.float32(rate), "box": box}
    arrays["jpeg"], arrays["offsets"] = _encode(_pictures(clip, shown, box, config))
    entry = {
        "stem": clip.key,
        "file": clip.video.name,
        "split": clip.split,
        "identity": clip.identity,
        "sentence": clip.sentence,
        "emotion": clip.emotion,
        "level": clip.level,
        "kind": clip.kind,
        "use": clip.use,
        "details": clip.details,
        "size": config.size,
        "frames": len(shown),
        "fps": rate,
        "seconds": len(shown) / rate,
    }
    speech = _speech(clip, begin) if clip.kind == "speech" else None
    arrays["samples"] = np.zeros(0, np.float32) if speech is None else speech.samples
    entry["kind"] = "silent" if speech is None else "speech"
    if speech is not None:
        arrays["landmarks30"], arrays["ok30"] = _at_frame_rate(crops, found, fps)
    return [(entry, arrays)] if config.seconds is None else _pieces(entry, arrays, config.seconds)


def _check_whole(clip: ClipRecord, seconds: float, told: float | None) -> None:
    """Half a download is left out, so that the next run finds it whole."""
    if told is not None and told - seconds > max(MISSING_PICTURES, MISSING_SHARE * told):
        problem = f"{clip.video.name} breaks off after {seconds:.1f} of {told:.1f} s"
        raise InputError(problem, "Fetch it again, or cut it there")


def encode_crops(
    frames: Iterable[np.ndarray], box: np.ndarray, size: int = STORED_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """The square `box` of every frame at size x size as JPEG, (n,) uint8, and where each begins, (F + 1,)."""
    return _encode(crop_square(frame, box, size) for frame in frames)


def encode_picture(picture: np.ndarray) -> np.ndarray:
    """The JPEG, (n,) uint8, in which a picture (H, W, 3) uint8 is stored."""
    import cv2

    ok, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert ok, "JPEG encoder failed"
    return data


def _encode(pictures: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    encoded = [np.zeros(0, np.uint8), *map(encode_picture, pictures)]
    return np.concatenate(encoded), np.cumsum([len(data) for data in encoded])


def _shown(frames: int, fps: float, frame_rate: int | None) -> tuple[float, np.ndarray]:
    """Frame rate of what is stored, and which frame is shown in each of its frames: the nearest in time."""
    if frame_rate is None:
        return fps, np.arange(frames)
    places = np.arange(max(1, round(frames / fps * frame_rate))) / frame_rate
    return float(frame_rate), np.clip(np.round(places * fps).astype(int), 0, frames - 1)


def _pictures(
    clip: ClipRecord, shown: np.ndarray, box: np.ndarray, config: PrepareConfig
) -> Iterator[np.ndarray]:
    """The clip's crops as they are stored, none where only its landmarks are used."""
    if clip.use == "landmarks":
        return
    times = np.bincount(shown)
    with open_video(clip.video) as video:
        cut = _on_green if config.green_screen else _cropped
        crops = cut(video.frames, box, config.size)
        for crop, count in zip(crops, times, strict=False):
            yield from [crop] * count


def _cropped(frames: Iterator[np.ndarray], box: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (crop_square(frame, box, size) for frame in frames)


def _on_green(frames: Iterator[np.ndarray], box: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Crops with a green background; the person is looked for in the whole picture."""
    from atldiff.portrait.matting import green_screen, segment_frames

    frames, seen = tee(frames)
    for frame, alpha in zip(frames, segment_frames(_small(frame) for frame in seen), strict=True):
        scale = np.tile(np.array(alpha.shape[::-1]) / frame.shape[1::-1], 2)
        cut = crop_square((255 * alpha).astype(np.uint8), box * scale, size)
        yield green_screen(crop_square(frame, box, size), cut / np.float32(255))


def _small(frame: np.ndarray) -> np.ndarray:
    """The frame with at most SEGMENTED_SIZE pixels a side."""
    height, width = frame.shape[:2]
    share = min(1.0, SEGMENTED_SIZE / max(height, width))
    size = round(width * share), round(height * share)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))


def _speech(clip: ClipRecord, begin: float) -> Speech | None:
    """The clip's sound from its first frame on; None where the video has no sound track."""
    return video_sound(clip.video, begin) if clip.audio is None else load_speech(clip.audio)


def _pieces(entry: dict, arrays: dict[str, np.ndarray], seconds: float) -> list[Sample]:
    """The clip cut into pieces of `seconds`, but those with too few usable frames or too little sound.

    Raises:
        InputError: none is left.
    """
    frames, heard = round(seconds * entry["fps"]), round(seconds * SAMPLE_RATE)
    marks, kept = round(seconds * FRAME_RATE), []
    for number in range(entry["frames"] // frames):
        start = number * frames
        piece = {name: arrays[name][start : start + frames] for name in ("landmarks", "ok")}
        offsets = arrays["offsets"][start : start + frames + 1]
        if len(offsets) > 1:
            piece |= {"jpeg": arrays["jpeg"][offsets[0] : offsets[-1]], "offsets": offsets - offsets[0]}
        else:
            piece |= {"jpeg": arrays["jpeg"], "offsets": arrays["offsets"]}
        piece |= {"fps": arrays["fps"], "box": arrays["box"], "samples": arrays["samples"]}
        missing = 0
        if entry["kind"] == "speech":
            samples = arrays["samples"][number * heard : (number + 1) * heard]
            missing = heard - len(samples)
            piece["samples"] = np.pad(samples, (0, missing))
            for name in ("landmarks30", "ok30"):
                piece[name] = arrays[name][number * marks : (number + 1) * marks]
        if piece["ok"].sum() >= min(MIN_FOUND, frames) and missing <= MISSING_SOUND * SAMPLE_RATE:
            told = {"stem": f"{entry['stem']}/{number:03d}", "frames": frames, "seconds": seconds}
            kept.append((entry | told, piece))
    if not kept:
        raise InputError(f"{entry['file']} has no usable {seconds:g} s in a row", "Use a longer clip")
    return kept


def _at_frame_rate(points: np.ndarray, found: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (T, 68, 2) at fps -> (F, 68, 2) at FRAME_RATE by linear interpolation over time."""
    frames = int(round(len(points) / fps * FRAME_RATE))
    when, known = np.arange(frames) / FRAME_RATE, np.flatnonzero(found)
    flat = points.reshape(len(points), -1)[known]
    columns = [np.interp(when, known / fps, column) for column in flat.T]
    nearest = np.clip(np.round(when * fps).astype(int), 0, len(points) - 1)
    return np.stack(columns, -1).reshape(frames, 68, 2).astype(np.float32), found[nearest]
