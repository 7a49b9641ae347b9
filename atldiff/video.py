"""Frames + speech -> video file, whole or in segments; video file -> frames + speech (PyAV alone)."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from atldiff.audio import Speech, open_media, read_sound
from atldiff.errors import InputError


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


def read_clip(path: str | Path, max_frames: int | None = None) -> Clip:
    """Reads a video; one with a varying frame rate is read at its average rate.

    Args:
        max_frames: no more than this many frames from its beginning, and the sound that belongs to them.

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
        begin, frames = _even_frames(container, stream, fps, max_frames)
    if not frames:
        raise InputError(f"No picture can be read from {path.name}", "Use another video")
    return Clip(np.stack(frames), fps, _sound_of(path, begin, len(frames) / fps if max_frames else None))


def _even_frames(container, stream, fps: float, max_frames: int | None) -> tuple[float, list[np.ndarray]]:
    """(seconds on the clock of the first frame, frames): frame i is the latest one at i / fps after it."""
    begin, latest, frames = None, None, []
    try:
        for frame in container.decode(stream):
            time = frame.time if frame.time is not None else (begin or 0.0) + len(frames) / fps
            begin = time if begin is None else begin
            due = round((time - begin) * fps)  # the place of this frame; those before it show the latest one
            while latest is not None and len(frames) < due and len(frames) != max_frames:
                frames.append(latest)
            if len(frames) == max_frames:
                return begin, frames
            latest = _to_rgb(frame)
    except av.FFmpegError:
        pass  # a file that breaks off: what was read before is good
    return begin or 0.0, frames if latest is None else [*frames, latest]


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8, upright."""
    tall = frame.height >= 720
    space = (
        frame.colorspace
        if frame.colorspace in list(Colorspace)
        else (Colorspace.ITU709 if tall else Colorspace.ITU601)
    )
    rgb = frame.reformat(format="rgb24", src_colorspace=space, dst_color_range=ColorRange.JPEG).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90))) if frame.rotation else rgb


def _sound_of(path: Path, begin: float, seconds: float | None) -> Speech | None:
    """The sound of a video from the moment `begin` of its clock, cut to `seconds`."""
    with open_media(path, "video") as container:
        if not container.streams.audio:
            return None
        sound, rate = read_sound(container, origin=begin, max_seconds=np.inf)
    sound = sound if seconds is None else sound[: round(seconds * rate)]
    return Speech.from_samples(sound, rate) if len(sound) else None
