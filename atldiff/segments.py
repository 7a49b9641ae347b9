"""Frames + speech -> short videos that play one after another, for a player that takes whole files."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from atldiff.audio import Speech
from atldiff.config import FRAME_RATE
from atldiff.video import write_video


def stream_segments(
    folder: str | Path,
    frames: Iterable[np.ndarray],
    speech: Speech,
    fps: float = FRAME_RATE,
    seconds: float = 3.0,
) -> Iterator[Path]:
    """Writes the video in pieces, each as soon as its frames are there, with constant memory.

    Every piece is a whole .mp4 with its share of the sound, to the sample; an end of less than a second
    goes with the piece before it (players stutter on shorter ones).

    Args:
        folder: where the pieces go; it must exist.
        frames, speech, fps: as for `write_video`; pictures beyond the recording are silent.
        seconds: length of a piece.

    Yields:
        folder/segment_0000.mp4, ...

    Raises:
        InputError: as `write_video`.
    """
    frames, begin, number = iter(frames), 0, 0
    length = max(1, round(seconds * fps))
    while (first := next(frames, None)) is not None:
        rest = speech.num_frames - begin
        is_last = 0 < rest < length + fps
        count = rest if is_last else length
        end = max(speech.seconds, (begin + count) / fps) if is_last else (begin + count) / fps
        path = Path(folder) / f"segment_{number:04d}.mp4"
        group = chain([first], islice(frames, count - 1))
        yield write_video(path, group, speech.cut(begin / fps, end), fps)
        begin, number = begin + count, number + 1
