"""A driving video: its head, brows and blinks move the portrait; its mouth and its sound do not.

Poses are relative to the frame nearest to the video's median, so the portrait keeps its own.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.landmarks import BROWS, FaceFrame, eye_opening, mesh_to_landmarks
from atldiff.media.video_reader import open_video
from atldiff.options import Options
from atldiff.portrait.mesh import track_meshes
from atldiff.sequence import HEAD_PARTS, LandmarkSequence
from atldiff.smoothstep import smoothstep
from atldiff.speech.motion.blinks import close_eyes
from atldiff.speech.motion.head_track import head_track

LEAST_SECONDS = 1.0
LEAST_SEEN = 0.8  # share of the frames that show a face
_OPEN = 0.8  # quantile of the lids' gap that is an open eye
_CLOSED, _NARROW = 0.35, 0.8  # of an open eye's gap: what the tracker leaves of a closed one; no blink above
_SMOOTH = 1.0  # frames
_RISE = 15  # frames in which the motion rises from the photo's own pose
_REMEDY = "Use a video of one person who faces the camera"


@dataclass(frozen=True, eq=False)
class DrivingMotion:
    """What a driving video gives, at FRAME_RATE.

    Attributes:
        poses: (F, 6) as in `rendering.warp.turn`.
        brows: (F,) rise, inter-ocular distances.
        closed: (F,) of the lids, 0 to 1.
    """

    poses: np.ndarray
    brows: np.ndarray
    closed: np.ndarray

    @classmethod
    def from_meshes(cls, meshes: np.ndarray, fps: float) -> "DrivingMotion":
        """From the meshes (F, 478, 3) of a video's frames, pixels, z towards the camera."""
        track = head_track(meshes, fps)
        track -= np.median(track, axis=0)
        opening = eye_opening(mesh_to_landmarks(meshes[..., :2]))
        times = np.arange(len(track)) / FRAME_RATE
        opening = np.interp(times, np.arange(len(opening)) / fps, opening / np.quantile(opening, _OPEN))
        moves = _smooth(track)
        return cls(moves[:, :HEAD_PARTS], moves[:, HEAD_PARTS], 1 - smoothstep(_CLOSED, _NARROW, opening))

    def drive(self, sequence: LandmarkSequence, options: Options) -> LandmarkSequence:
        """A sequence without blinks of its own, moved as the video moves; a short video goes to and fro.

        Head, brows and lids are scaled by the options `sway`, `expression` and `blinks`.
        """
        frames = np.arange(len(sequence.points))
        rise = smoothstep(0, _RISE, frames)
        last = len(self.poses) - 1
        there = last - np.abs(frames % (2 * last) - last)
        frame = FaceFrame.from_landmarks(sequence.identity.astype(np.float64))
        points = frame.to_face(sequence.points.astype(np.float64))
        points[:, BROWS, 1] -= options.expression * (rise * self.brows[there])[:, None]
        points = close_eyes(points, min(options.blinks, 1) * self.closed[there])
        pose = sequence.pose.copy()
        pose[:, :HEAD_PARTS] = options.sway * rise[:, None] * self.poses[there]
        return replace(sequence, points=frame.from_face(points).astype(np.float32), pose=pose)


def read_driving_video(path: str | Path, seconds: float) -> DrivingMotion:
    """Reads the beginning of a driving video.

    Args:
        path: of the video.
        seconds: of it that are needed.

    Raises:
        InputError: the file is missing or no video, shorter than a second, or shows a face too seldom.
    """
    path, meshes = Path(path), []
    with open_video(path) as video:
        fps, most = video.fps, max(seconds, LEAST_SECONDS) * video.fps + 2
        for _, mesh in track_meshes(video.frames):
            meshes.append(mesh)
            if len(meshes) >= most:
                break
    if len(meshes) < LEAST_SECONDS * fps + 1:
        raise InputError(f"The driving video {path.name} is shorter than a second", "Use a longer one")
    seen = np.array([mesh is not None for mesh in meshes])
    if seen.mean() < LEAST_SEEN:
        problem = f"The driving video {path.name} shows a face in {seen.sum()} of {len(seen)} frames"
        raise InputError(problem, _REMEDY)
    nearest = np.abs(np.arange(len(seen))[:, None] - np.flatnonzero(seen)).argmin(axis=1)
    known = np.array([mesh for mesh in meshes if mesh is not None], np.float64)
    return DrivingMotion.from_meshes(known[nearest], fps)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Takes the tracker's tremble from values (F, C)."""
    import cv2

    return cv2.GaussianBlur(values, (1, 0), 1, None, _SMOOTH, cv2.BORDER_REPLICATE)
