"""Video file -> frames + speech, whole or frame by frame (PyAV alone)."""

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


@dataclass(frozen=True, eq=False)
class Clip:
    """A video in memory.

    Attributes:
        frames: (F, H, W, 3) uint8 RGB, upright, evenly spaced in time.
        fps: frames a second.
        speech: its sound, beginning with the first frame; None where the video has none.
    """

    frames: np.ndarray
    fps: float
    speech: Speech | None


@dataclass(frozen=True, eq=False)
class OpenVideo:
    """A video that is being read: `frames` as in `Clip`, one by one; the first is at `begin` seconds. They
    should last `seconds`, if the file tells: one that is broken off lasts less.
    """

    fps: float
    begin: float
    frames: Iterator[np.ndarray]
    seconds: float | None = None


def read_clip(path: str | Path, max_frames: int | None = None) -> Clip:
    """Reads a video; one with a varying frame rate is read at its average rate.

    Args:
        max_frames: no more than this many frames from its beginning, and the sound that belongs to them.

    Raises:
        InputError: missing, empty, broken or not a video.
    """
    with open_video(path, max_frames) as video:
        frames = list(video.frames)
    return Clip(
        np.stack(frames), video.fps, video_sound(path, video.begin, max_frames and len(frames) / video.fps)
    )


@contextmanager
def open_video(path: str | Path, max_frames: int | None = None) -> Iterator[OpenVideo]:
    """A video whose frames are decoded one after the other, as long as the context lasts.

    Raises:
        InputError: missing, empty, broken or not a video.
    """
    path = Path(path)
    with open_media(path, "video") as container:
        if not container.streams.video:
            raise InputError(f"{path.name} holds no pictures", "Use a video")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate
        fps = float(rate) if rate and 1 <= rate <= 120 else 30.0
        decoded = _decode_frames(container, stream)
        first = next(decoded, None)
        if first is None:
            raise InputError(f"No picture can be read from {path.name}", "Use another video")
        begin = first.time if first.time is not None else 0.0
        frames = _even_frames(chain([first], decoded), begin, fps)
        yield OpenVideo(fps, begin, islice(frames, max_frames), _declared_seconds(container, stream))


def video_sound(path: str | Path, begin: float = 0.0, seconds: float | None = None) -> Speech | None:
    """The sound of a video from the moment `begin` of its clock, cut to `seconds`; None: it has none."""
    track = read_sound(Path(path), "video", origin=begin, max_seconds=np.inf)
    if track is None:
        return None
    sound, rate = track
    sound = sound if seconds is None else sound[: round(seconds * rate)]
    return Speech.from_samples(sound, rate) if len(sound) else None


def _declared_seconds(container, stream) -> float | None:
    """How long the pictures last, as their own track says or else the file."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


def _decode_frames(container, stream) -> Iterator[av.VideoFrame]:
    """The frames up to where the file ends or breaks off."""
    with suppress(av.FFmpegError):
        yield from container.decode(stream)


def _even_frames(decoded: Iterable[av.VideoFrame], begin: float, fps: float) -> Iterator[np.ndarray]:
    """Frame i is the latest one at begin + i / fps."""
    count, latest = 0, np.empty(0, np.uint8)
    for frame in decoded:
        time = frame.time if frame.time is not None else begin + count / fps
        due = round((time - begin) * fps)  # the place of this frame; those before it show the latest one
        due = due if due < count + MAX_GAP * fps else count + 1  # a clock that was reset
        for _ in range(due - count if latest.size else 0):
            yield latest
            count += 1
        latest = _to_rgb(frame)
    if latest.size:
        yield latest


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8, upright; an untagged picture is taken for BT.709 if it is high, else BT.601."""
    space = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    space = frame.colorspace if frame.colorspace in list(Colorspace) else space
    picture = frame.reformat(
        format="rgb24", src_colorspace=space, dst_color_range=ColorRange.JPEG, interpolation=EXACT
    )
    rgb = picture.to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90))) if frame.rotation else rgb
