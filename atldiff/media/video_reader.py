"""Video file -> frames + speech, at once or frame by frame (PyAV)."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from atldiff.errors import InputError
from atldiff.media.decoding import MAX_GAP, open_media, read_sound
from atldiff.media.speech import Speech
from atldiff.media.yuv import EXACT

MAX_PIXELS = 2**26  # of a frame that `mean_picture` decodes
PLACES, AT_A_PLACE = 8, 5  # keyframes that it looks for, and frames after each


@dataclass(frozen=True, eq=False)
class Clip:
    """A video in memory.

    Attributes:
        frames: (F, H, W, 3) uint8 RGB, upright, evenly spaced in time.
        fps: frames a second.
        speech: its sound, from the first frame on; None without sound.
    """

    frames: np.ndarray
    fps: float
    speech: Speech | None


@dataclass(frozen=True, eq=False)
class OpenVideo:
    """A video file at reading.

    Attributes:
        fps: frames a second.
        begin: time of the first frame on the file's clock, in seconds.
        frames: (H, W, 3) uint8 RGB, upright, evenly spaced in time, one by one.
        seconds: the declared length, None if unknown. A truncated file is shorter.
    """

    fps: float
    begin: float
    frames: Iterator[np.ndarray]
    seconds: float | None = None


def read_clip(path: str | Path, max_frames: int | None = None) -> Clip:
    """Reads a video; a varying frame rate becomes the average one.

    Args:
        path: of the file.
        max_frames: number of frames to read from its beginning, with their sound; None = all.

    Raises:
        InputError: the file is missing, empty, broken or not a video.
    """
    with open_video(path, max_frames) as video:
        frames = list(video.frames)
    return Clip(
        np.stack(frames), video.fps, video_sound(path, video.begin, max_frames and len(frames) / video.fps)
    )


@contextmanager
def open_video(path: str | Path, max_frames: int | None = None) -> Iterator[OpenVideo]:
    """Opens a video and decodes its frames one by one, as long as the context lasts.

    Raises:
        InputError: the file is missing, empty, broken or not a video.
    """
    path = Path(path)
    with open_media(path, "video") as container:
        if not container.streams.video:
            raise InputError(f"{path.name} holds no pictures", "Use a video")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate
        fps = float(rate) if rate and 1 <= rate <= 120 else 30.0
        pictures = _decode_frames(container, stream)
        first = next(pictures, None)
        if first is None:
            raise InputError(f"No picture can be read from {path.name}", "Use another video")
        begin = first.time if first.time is not None else 0.0
        frames = _space_evenly(chain([first], pictures), begin, fps)
        yield OpenVideo(fps, begin, islice(frames, max_frames), _declared_seconds(container, stream))


def video_sound(path: str | Path, begin: float = 0.0, seconds: float | None = None) -> Speech | None:
    """Reads a video's sound from `begin` on its clock, cut to `seconds`; None if it has no sound."""
    track = read_sound(Path(path), "video", origin=begin, max_seconds=np.inf)
    if track is None:
        return None
    sound, rate = track
    sound = sound if seconds is None else sound[: round(seconds * rate)]
    return Speech.from_samples(sound, rate) if len(sound) else None


def nearest_frames(count: int, fps: float, rate: float) -> np.ndarray:
    """Numbers (n,) of a video's frames that are nearest in time to those of another rate, n at least 1.

    Args:
        count: frames of the video.
        fps: its frames a second.
        rate: the other frames a second.
    """
    places = np.arange(max(1, round(count / fps * rate))) / rate
    return np.clip(np.round(places * fps).astype(int), 0, count - 1)


def mean_picture(path: Path, most: int = 160, seconds: float = 2.0) -> np.ndarray:
    """The mean of some frames from all over a video, in bounded time and memory.

    Args:
        path: of the file.
        most: number of frames; the first ones after some keyframes, and else the video's first.
        seconds: of decoding, after which the frames so far must do.

    Returns:
        (H, W) float32 grey levels from 0 to 255, upright.

    Raises:
        InputError: the file is missing, empty, broken or not a video.
    """
    end, total, count = time.monotonic() + seconds, np.empty((0, 0), np.float32), 0
    with open_media(path, "video") as container:
        if not container.streams.video:
            raise InputError(f"{path.name} holds no pictures", "Use a video")
        for frame in islice(_spread_frames(container, container.streams.video[0]), most):
            grey = frame.reformat(format="gray", dst_color_range=ColorRange.JPEG).to_ndarray()
            grey = np.rot90(grey, round(frame.rotation / 90))
            if not count:
                total = grey.astype(np.float32)
            elif grey.shape == total.shape:
                total += grey
            count += count == 0 or grey.shape == total.shape
            if time.monotonic() > end:
                break
    if not count:
        raise InputError(f"No picture can be read from {path.name}", "Use another video")
    return total / count


def read_tags(path: Path) -> dict[str, str]:
    """The tags of a sound or video file, with lower-case names.

    Raises:
        InputError: the file is missing, empty, or neither sound nor video.
    """
    with open_media(path, "video") as container:
        return {key.lower(): value for key, value in container.metadata.items()}


def _spread_frames(container, stream) -> Iterator[av.VideoFrame]:
    """Decodes some frames after each of some keyframes, then those from the beginning on, each once."""
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    seen: set[int] = set()
    length = _declared_seconds(container, stream) or 0.0
    for number in range(PLACES + 1):
        is_last = number == PLACES
        with suppress(av.FFmpegError):
            if number:
                container.seek(0 if is_last else round(number * length / PLACES * av.time_base))
            for frame in islice(container.decode(stream), None if is_last else AT_A_PLACE):
                if frame.pts not in seen:
                    seen.update(() if frame.pts is None else (frame.pts,))
                    yield frame


def _declared_seconds(container, stream) -> float | None:
    """The declared length of the pictures in seconds, by their track or else by the file."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


def _decode_frames(container, stream) -> Iterator[av.VideoFrame]:
    """Decodes the frames up to the file's end or first fault."""
    with suppress(av.FFmpegError):
        yield from container.decode(stream)


def _space_evenly(pictures: Iterable[av.VideoFrame], begin: float, fps: float) -> Iterator[np.ndarray]:
    """Spaces the frames evenly: frame i is the latest one at begin + i / fps."""
    count, latest = 0, np.empty(0, np.uint8)
    for frame in pictures:
        time = frame.time if frame.time is not None else begin + count / fps
        due = round((time - begin) * fps)  # this frame's place; the latest frame fills the places before it
        due = due if due < count + MAX_GAP * fps else count + 1  # the clock was reset
        for _ in range(due - count if latest.size else 0):
            yield latest
            count += 1
        latest = _to_rgb(frame)
    if latest.size:
        yield latest


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Converts a frame to (H, W, 3) uint8, upright; an untagged high picture is BT.709, a low one BT.601."""
    space = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    space = frame.colorspace if frame.colorspace in list(Colorspace) else space
    picture = frame.reformat(
        format="rgb24", src_colorspace=space, dst_color_range=ColorRange.JPEG, interpolation=EXACT
    )
    rgb = picture.to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90))) if frame.rotation else rgb
