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
from atldiff.media.video_reader import nearest_frames, open_video, video_sound
from atldiff.portrait.photo import crop_square
from atldiff.training.data.corpora import ClipRecord
from atldiff.training.data.shards import Sample

STORED_SIZE = 224  # pixels of the stored crop
STORED_MARGIN = 1.1  # side of the stored crop over the network's; training moves and scales inside it
JPEG_QUALITY = 93
MIN_TRACKED = 10  # frames with a face that a clip must have
SEGMENTED_SIZE = 512  # pixels, the longer side of the picture for the person's segmentation
MISSING_PICTURES, MISSING_SHARE = 0.5, 0.1  # seconds, or share of its length, that a clip may lack
MISSING_SOUND = 0.1  # seconds of sound that may be missing at the end; silence fills them


@dataclass(frozen=True)
class PrepareConfig:
    """How a clip is stored.

    Attributes:
        size: pixels of the stored crop, STORED_MARGIN times the network's.
        frame_rate: frames a second of the pictures; None: the video's own.
        seconds: length of the pieces that a clip is cut into, without the rest; None: one whole clip.
        green_screen: whether the background becomes green.
        detector: landmark detector, as in `load_portrait`.
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
    """Decodes a clip twice, frame by frame, so that memory does not grow with its length.

    Returns:
        One sample, or one for each piece with a face: an entry of names and numbers, and arrays
        jpeg: (n,) uint8, the crops;
        offsets: (F + 1,) int, where each begins;
        landmarks: (F, 68, 2) in crop units;
        ok: (F,) bool, the face is tracked and inside the crop;
        fps: frames a second;
        box: (4,) pixels of the video;
        samples: (m,) float32 at 16 kHz, m = 0 without speech;
        landmarks30, ok30: landmarks and tracked frames at FRAME_RATE, with speech only.

    Raises:
        InputError: the clip is unreadable, incomplete, almost without a face, without its sound, or shorter
            than a piece.
    """
    from atldiff.portrait.mesh import track_landmarks

    with open_video(clip.video) as video:
        fps, begin, duration = video.fps, video.begin, video.seconds
        points = track_landmarks(video.frames, config.detector)
    _check_length(clip, len(points) / fps, duration)
    tracked = np.isfinite(points).all(axis=(1, 2))
    if tracked.sum() < MIN_TRACKED:
        problem = f"A face is seen in {tracked.sum()} frames of {clip.video.name}"
        raise InputError(problem, f"It takes {MIN_TRACKED}")
    box = lm.crop_box(points[tracked], lm.CROP_SCALE * STORED_MARGIN)
    crops = lm.to_crop(points, box)
    ok = tracked & ((crops > 0.01) & (crops < 0.99)).all(axis=(1, 2))
    rate, order = _frame_order(len(points), fps, config.frame_rate)
    arrays = {"landmarks": np.nan_to_num(crops[order]), "ok": ok[order], "fps": np.float32(rate), "box": box}
    arrays["jpeg"], arrays["offsets"] = _encode(_read_crops(clip, order, box, config))
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
        "lag": clip.lag,
        "details": clip.details,
        "size": config.size,
        "frames": len(order),
        "fps": rate,
        "seconds": len(order) / rate,
    }
    speech = _read_speech(clip, begin) if clip.kind == "speech" else None
    arrays["samples"] = np.zeros(0, np.float32) if speech is None else speech.samples
    entry["kind"] = "silent" if speech is None else "speech"
    if speech is not None:
        arrays["landmarks30"], arrays["ok30"] = _resample_landmarks(crops, tracked, fps)
    return [(entry, arrays)] if config.seconds is None else _cut_pieces(entry, arrays, config.seconds)


def _check_length(clip: ClipRecord, seconds: float, duration: float | None) -> None:
    """Refuses an incomplete download: it decodes to less than the duration that the file states."""
    if duration is not None and duration - seconds > max(MISSING_PICTURES, MISSING_SHARE * duration):
        problem = f"{clip.video.name} breaks off after {seconds:.1f} of {duration:.1f} s"
        raise InputError(problem, "Fetch it again, or cut it there")


def encode_crops(
    frames: Iterable[np.ndarray], box: np.ndarray, size: int = STORED_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Crops every frame to the square `box` at size x size.

    Returns:
        (n,) uint8, the JPEGs in a row, and (F + 1,) int, where each begins.
    """
    return _encode(crop_square(frame, box, size) for frame in frames)


def encode_picture(picture: np.ndarray) -> np.ndarray:
    """The JPEG (n,) uint8 of a picture (H, W, 3) uint8."""
    import cv2

    ok, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert ok, "JPEG encoder failed"
    return data


def _encode(pictures: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    encoded = [np.zeros(0, np.uint8), *map(encode_picture, pictures)]
    return np.concatenate(encoded), np.cumsum([len(data) for data in encoded])


def _frame_order(frames: int, fps: float, frame_rate: int | None) -> tuple[float, np.ndarray]:
    """The stored frame rate, and for each stored frame the number of the video's frame nearest in time."""
    if frame_rate is None:
        return fps, np.arange(frames)
    return float(frame_rate), nearest_frames(frames, fps, frame_rate)


def _read_crops(
    clip: ClipRecord, order: np.ndarray, box: np.ndarray, config: PrepareConfig
) -> Iterator[np.ndarray]:
    """The clip's crops to store; none if only its landmarks are used."""
    if clip.use == "landmarks":
        return
    times = np.bincount(order)
    with open_video(clip.video) as video:
        crop_all = _crop_on_green if config.green_screen else _crop
        crops = crop_all(video.frames, box, config.size)
        for crop, count in zip(crops, times, strict=False):
            yield from [crop] * count


def _crop(frames: Iterator[np.ndarray], box: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (crop_square(frame, box, size) for frame in frames)


def _crop_on_green(frames: Iterator[np.ndarray], box: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Crops with a green background; the whole picture is segmented."""
    from atldiff.portrait.matting import green_screen, segment_frames

    frames, copies = tee(frames)
    for frame, alpha in zip(frames, segment_frames(_shrink(frame) for frame in copies), strict=True):
        scale = np.tile(np.array(alpha.shape[::-1]) / frame.shape[1::-1], 2)
        cut = crop_square((255 * alpha).astype(np.uint8), box * scale, size)
        yield green_screen(crop_square(frame, box, size), cut / np.float32(255))


def _shrink(frame: np.ndarray) -> np.ndarray:
    """The frame with at most SEGMENTED_SIZE pixels a side."""
    height, width = frame.shape[:2]
    share = min(1.0, SEGMENTED_SIZE / max(height, width))
    size = round(width * share), round(height * share)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))


def _read_speech(clip: ClipRecord, begin: float) -> Speech | None:
    """The clip's sound from its first frame on; None if the video has no sound track."""
    return video_sound(clip.video, begin) if clip.audio is None else load_speech(clip.audio)


def _cut_pieces(entry: dict, arrays: dict[str, np.ndarray], seconds: float) -> list[Sample]:
    """Cuts the clip into pieces of `seconds`; drops those with too few usable frames or too little sound.

    Raises:
        InputError: no piece is left.
    """
    frames, sound = round(seconds * entry["fps"]), round(seconds * SAMPLE_RATE)
    marks, pieces = round(seconds * FRAME_RATE), []
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
            samples = arrays["samples"][number * sound : (number + 1) * sound]
            missing = sound - len(samples)
            piece["samples"] = np.pad(samples, (0, missing))
            for name in ("landmarks30", "ok30"):
                piece[name] = arrays[name][number * marks : (number + 1) * marks]
        if piece["ok"].sum() >= min(MIN_TRACKED, frames) and missing <= MISSING_SOUND * SAMPLE_RATE:
            changes = {"stem": f"{entry['stem']}/{number:03d}", "frames": frames, "seconds": seconds}
            pieces.append((entry | changes, piece))
    if not pieces:
        raise InputError(f"{entry['file']} has no usable {seconds:g} s in a row", "Use a longer clip")
    return pieces


def _resample_landmarks(points: np.ndarray, tracked: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Interpolates landmarks (T, 68, 2) at fps to (F, 68, 2) at FRAME_RATE; also which are tracked, (F,)."""
    frames = int(round(len(points) / fps * FRAME_RATE))
    when, index = np.arange(frames) / FRAME_RATE, np.flatnonzero(tracked)
    flat = points.reshape(len(points), -1)[index]
    columns = [np.interp(when, index / fps, column) for column in flat.T]
    nearest = np.clip(np.round(when * fps).astype(int), 0, len(points) - 1)
    return np.stack(columns, -1).reshape(frames, 68, 2).astype(np.float32), tracked[nearest]
