"""Finished videos of any program: found by name, brought to a take's frame rate, length and size.

- Rate: the frame nearest in time to each of the take's 30 a second; the first frame is at 0.
- Length: the shorter of both. A video of less than 0.9 of the take is refused.
- Size: of the same shape, scaled to the take's pixels. Of another shape, moved by the similarity that lays
  the median of its eyes and nose onto the take's; its border is repeated beyond it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.evaluation.measures.placement import similarity
from atldiff.evaluation.report.takes import Take, Track
from atldiff.media.video_reader import nearest_frames, read_clip

ENDINGS = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".mpg")
MIN_LENGTH = 0.9  # of the take's length
SAME_SHAPE = 0.02  # largest difference of the ratios of the sides
EVEN = 1  # pixels by which an encoder makes a side even


@dataclass(frozen=True, eq=False)
class FinishedVideos:
    """Videos of a system that somebody ran.

    Attributes:
        name: of the system.
        files: the video of each take, by the take's name.
        steps: None.
    """

    name: str
    files: dict[str, Path]
    steps: int | None = None

    @property
    def family(self) -> str:
        """The name."""
        return self.name

    @classmethod
    def from_folder(cls, name: str, folder: Path) -> "FinishedVideos":
        """Finds all videos in a folder and in those inside it; a take's name is the file's without ending.

        Raises:
            InputError: the folder does not exist, or holds no video.
        """
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
        if not files:
            remedy = "Name a folder of videos called like those in DIR/inputs, or of a pipeline"
            raise InputError(f"There is no video of the system {name} in {folder}", remedy)
        return cls(name, {path.stem: path for path in reversed(files)})

    def video(self, take: Take, folder: Path) -> Path:
        """The system's video of a take; nothing is written to `folder`.

        Raises:
            InputError: there is none.
        """
        if take.name not in self.files:
            raise InputError(f"{self.name} has no video {take.name}", "Call it like the take")
        return self.files[take.name]


def read_aligned(path: Path, take: Take) -> np.ndarray:
    """The frames (n, h, w, 3) uint8 of a video in the take's rate and size, as many as the take has or fewer.

    Raises:
        InputError: the file is missing, broken, too short, or shows no face where one is needed.
    """
    clip = read_clip(path)
    most, seconds = len(take.frames), len(take.frames) / FRAME_RATE
    if len(clip.frames) / clip.fps < MIN_LENGTH * seconds:
        problem = f"{path.name} lasts {len(clip.frames) / clip.fps:.1f} of {seconds:.1f} s"
        raise InputError(problem, "Make the video as long as the take's sound")
    frames = clip.frames[nearest_frames(len(clip.frames), clip.fps, FRAME_RATE)[:most]]
    return fit_size(frames, (take.truth.shape[1], take.truth.shape[2]), take.track.points, path.name)


def fit_size(frames: np.ndarray, size: tuple[int, int], points: np.ndarray, name: str) -> np.ndarray:
    """Brings frames (F, H, W, 3) to a size (height, width).

    Args:
        points: (n, 68, 2) landmarks of the true frames, pixels of that size; NaN without a face.
        name: of the file, for the error.

    Raises:
        InputError: the shape differs, and the frames show no face.
    """
    import cv2

    (height, width), (high, wide) = size, frames.shape[1:3]
    if 0 <= high - height <= EVEN and 0 <= wide - width <= EVEN:
        return frames[:, :height, :width]
    if abs(np.log(wide / high * height / width)) < SAME_SHAPE:
        method = cv2.INTER_AREA if wide > width else cv2.INTER_CUBIC
        return np.stack([cv2.resize(frame, (width, height), interpolation=method) for frame in frames])
    track = Track.from_frames(frames)
    if not track.seen.any():
        raise InputError(f"No face is seen in {name}", "Give the video the shape of the take's photo")
    affine = np.column_stack(similarity(middle(track.points), middle(points)))
    border = cv2.BORDER_REPLICATE
    return np.stack([cv2.warpAffine(frame, affine, (width, height), borderMode=border) for frame in frames])


def middle(points: np.ndarray) -> np.ndarray:
    """The median (N, 2) over time of the points of (F, 68, 2) that move with the skull."""
    return np.nanmedian(points[:, lm.RIGID], axis=0)
