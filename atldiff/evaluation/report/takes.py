"""Takes: true clips as a protocol asks for them, with the inputs that every system gets.

A system gets the take's first frame and its sound. That frame does not count in the scores.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.evaluation.validate import crop_picture
from atldiff.media.speech import Speech
from atldiff.media.video_reader import Clip, nearest_frames
from atldiff.options import Options
from atldiff.portrait.matting import segment_frames
from atldiff.portrait.mesh import track_meshes
from atldiff.portrait.portrait import Portrait, load_portrait

MIN_SECONDS = 0.9  # of a clip
MIN_SEEN = 0.8  # share of the true frames that show a face
MESH_POINTS = 478
WARM_UP = 5  # frames


@dataclass(frozen=True)
class Protocol:
    """How clips are cut and shown.

    Attributes:
        name: of the protocol, and of its folders.
        title: for a reader.
        options: of the systems that render.
        seconds: length of a piece; None: whole clips.
    """

    name: str
    title: str
    options: Options
    seconds: float | None = None


# Sec. 3.1 and 3.3.4: 128 x 128, 30 fps, one-second clips, green screen; without blinks and head motion.
PROTOCOLS = {
    "paper": Protocol(
        "paper",
        "The paper's protocol: 128x128, 30 fps, one second, green screen",
        Options(output="crop", background="green", blinks=0, sway=0, liveliness=0),
        seconds=1.0,
    ),
    "photo": Protocol("photo", "Our protocol: the photo's size, 30 fps, whole clips", Options()),
}


@dataclass(frozen=True, eq=False)
class Reference:
    """A true video of one person who speaks.

    Attributes:
        name: of the clip.
        person: name of the person.
        read: reads its frames and its sound.
    """

    name: str
    person: str
    read: Callable[[], Clip]


@dataclass(frozen=True, eq=False)
class Track:
    """The face in the frames of a video.

    Attributes:
        points: (F, 68, 2) landmarks, pixels; NaN without a face.
        meshes: (F, 478, 3) pixels, z towards the camera; NaN without a face.
    """

    points: np.ndarray
    meshes: np.ndarray

    @classmethod
    def from_frames(cls, frames: np.ndarray) -> "Track":
        """Tracks the face in frames (F, H, W, 3) uint8; the tracker first sees frame 0 WARM_UP times.

        A detected face lies 1 % of the eyes' distance beside a tracked one, and settles in five frames.
        """
        missing = np.full((MESH_POINTS, 3), np.nan, np.float32)
        tracked = track_meshes(chain([frames[0]] * WARM_UP, frames))
        meshes = np.stack([missing if mesh is None else mesh for _, mesh in tracked])[WARM_UP:]
        return cls(lm.mesh_to_landmarks(meshes[..., :2]), meshes)

    @property
    def seen(self) -> np.ndarray:
        """(F,) bool, the frame shows a face."""
        return np.isfinite(self.points).all(axis=(1, 2))

    def filled(self) -> "Track":
        """The track with the nearest seen face in frames without one. It must have been seen once."""
        index = np.flatnonzero(self.seen)
        nearest = index[np.abs(np.arange(len(self.points))[:, None] - index).argmin(axis=1)]
        return Track(self.points[nearest], self.meshes[nearest])

    def __getitem__(self, part: slice) -> "Track":
        """The frames of a slice."""
        return Track(self.points[part], self.meshes[part])


@dataclass(frozen=True, eq=False)
class Take:
    """A true clip, or a piece of one, at FRAME_RATE.

    Attributes:
        name: of the take; its videos are called so.
        person: name of the person.
        protocol: how it is shown.
        frames: (F, H, W, 3) uint8, the full pictures.
        speech: their sound.
    """

    name: str
    person: str
    protocol: Protocol
    frames: np.ndarray
    speech: Speech

    @cached_property
    def portrait(self) -> Portrait:
        """The first frame as every system gets it.

        Raises:
            InputError: it shows no face, or a small one.
        """
        return load_portrait(self.frames[0], matte=self.protocol.options.background == "green")

    @cached_property
    def marks(self) -> np.ndarray:
        """(F, 68, 2) true landmarks, pixels of the full pictures.

        Raises:
            InputError: too few frames show a face.
        """
        if self.protocol.options.output == "photo":
            return self.track.filled().points
        return self._checked(Track.from_frames(self.frames)).filled().points

    @cached_property
    def truth(self) -> np.ndarray:
        """(F, h, w, 3) uint8, the true frames as the protocol shows them."""
        options = self.protocol.options
        if options.output == "photo":
            return self.frames
        alphas: Iterable[np.ndarray | None] = [None] * len(self.frames)
        if options.background == "green":
            alphas = segment_frames(self.frames)
        pictures = [
            crop_picture(replace(self.portrait, image=frame, alpha=alpha), self.marks, options.background)
            for frame, alpha in zip(self.frames, alphas, strict=True)
        ]
        return np.stack(pictures)

    @cached_property
    def track(self) -> Track:
        """The face in `truth`, by the tracker that reads every system's video.

        Raises:
            InputError: too few frames show a face.
        """
        return self._checked(Track.from_frames(self.truth))

    def _checked(self, track: Track) -> Track:
        if track.seen.mean() < MIN_SEEN:
            problem = f"{self.name} shows a face in {track.seen.sum()} of {len(self.frames)} frames"
            raise InputError(problem, "Use a video of one person who faces the camera")
        return track


@dataclass(frozen=True)
class Cut:
    """How much of each clip is used.

    Attributes:
        seconds: the longest part of a whole clip, from its beginning; None: all of it.
        pieces: the largest number of pieces of a clip that is cut, spread evenly.
    """

    seconds: float | None = None
    pieces: int = 3


WHOLE = Cut()


def make_takes(reference: Reference, protocol: Protocol, cut: Cut = WHOLE) -> Iterator[Take]:
    """The takes of a clip.

    Args:
        reference: the clip.
        protocol: how it is cut and shown.
        cut: how much of it is used.

    Raises:
        InputError: the clip cannot be read, has no sound, or is shorter than a piece.
    """
    clip = reference.read()
    if clip.speech is None:
        raise InputError(f"{reference.name} has no sound", "Use a video of somebody who speaks")
    frames = clip.frames[nearest_frames(len(clip.frames), clip.fps, FRAME_RATE)]
    count = min(len(frames), clip.speech.num_frames)
    length = round(FRAME_RATE * (protocol.seconds or min(count / FRAME_RATE, cut.seconds or np.inf)))
    if count < max(length, MIN_SECONDS * FRAME_RATE):
        raise InputError(f"{reference.name} lasts {count / FRAME_RATE:.1f} s", "Use a longer clip")
    pieces = 1 if protocol.seconds is None else count // length
    starts = np.unique(np.linspace(0, pieces - 1, min(pieces, cut.pieces)).astype(int)) * length
    stem = re.sub(r"[^\w.-]", "_", reference.name)
    for start in starts.tolist():
        name = stem if protocol.seconds is None else f"{stem}-{start // length:03d}"
        speech = clip.speech.cut(start / FRAME_RATE, (start + length) / FRAME_RATE)
        yield Take(name, reference.person, protocol, frames[start : start + length], speech)
