"""Prepared clips for the renderer's training: pictures, landmarks, and the choice of portrait and window."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from atldiff import landmarks as lm
from atldiff.config import EMOTION_DIM
from atldiff.media.speech import SAMPLE_RATE, Speech
from atldiff.portrait.photo import crop_square
from atldiff.rendering.diffusion.mouth_style import MIN_OPENING, STYLE_DIM, mouth_style
from atldiff.speech.encoders import Encoder
from atldiff.training.data.extract import STORED_SIZE, encode_picture
from atldiff.training.data.shards import read_prepared

MAX_YAW = 0.45  # frames turned further are unusable
MAX_YAW_CHANGE = 0.12  # between the identity frame and the window
MAX_SIZE_CHANGE = 1.15  # of the inter-ocular distance between them
MAX_PITCH_CHANGE = 0.12  # of the nose's length over the inter-ocular distance
STYLE_FRAMES = 8  # a clip's style is the mean of as many open mouths
MIN_FRAMES = 15  # usable frames that a clip must have
CLOSED_SHARE = 0.95  # share of identity frames with closed lips, like most photos


@dataclass(frozen=True, eq=False)
class StoredClip:
    """One prepared clip.

    Attributes:
        stem: name of the clip.
        identity: name of the person.
        jpeg: (n,) uint8, the crops in a row.
        offsets: (T + 1,) int, where each crop begins.
        points: (T, 68, 2) landmarks in pixels of STORED_SIZE.
        usable: (T,) bool, the frame is tracked and faces the camera.
        emotion: (E,) embedding of the speech; zeros = unknown, or silent.
    """

    stem: str
    identity: str
    jpeg: np.ndarray
    offsets: np.ndarray
    points: np.ndarray
    usable: np.ndarray
    emotion: np.ndarray = field(default_factory=lambda: np.zeros(EMOTION_DIM, np.float32))

    def frame(self, index: int) -> np.ndarray:
        """(STORED_SIZE, STORED_SIZE, 3) uint8 RGB."""
        import cv2

        data = self.jpeg[self.offsets[index] : self.offsets[index + 1]]
        picture = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        box = np.array([0, 0, *picture.shape[1::-1]])
        return picture if len(picture) == STORED_SIZE else crop_square(picture, box, STORED_SIZE)

    def recompress(self, picture: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) uint8 after the compression of the clip's stored frames."""
        import cv2

        return np.asarray(cv2.imdecode(encode_picture(picture), cv2.IMREAD_COLOR))[..., ::-1]

    @cached_property
    def style(self) -> np.ndarray:
        """The mouth's style (4,) in this clip; zeros, the mean of all clips, if the mouth never opens."""
        wide = np.flatnonzero(self.usable & (lm.mouth_opening(self.points) >= MIN_OPENING))
        frames = wide[np.linspace(0, len(wide) - 1, min(STYLE_FRAMES, len(wide))).astype(int)]
        candidates = (mouth_style(self.frame(index), self.points[index]) for index in frames)
        styles = [style for style in candidates if style is not None]
        return np.mean(styles, axis=0) if styles else np.zeros(STYLE_DIM, np.float32)


def load_clips(
    data: Path, split: str, encoder: Encoder | None = None, most: int | None = None
) -> list[StoredClip]:
    """The prepared clips of `split` with pictures and enough usable frames.

    Args:
        data: folder that `prepare` wrote.
        split: "train", "val" or "test".
        encoder: recognises the emotion of clips with sound; None: it is unknown.
        most: the largest number of clips; None: all.

    Raises:
        InputError: nothing was prepared there, or a shard is broken.
    """
    clips = (stored_clip(entry, arrays, encoder) for entry, arrays in read_prepared(data, split))
    return list(islice((clip for clip in clips if clip is not None), most))


def stored_clip(
    entry: dict,
    arrays: dict[str, np.ndarray],
    encoder: Encoder | None = None,
) -> StoredClip | None:
    """A prepared clip; None if it has no pictures or too few usable frames."""
    ok = arrays["ok"]
    if entry["use"] == "landmarks" or not ok.any():
        return None
    landmarks = arrays["landmarks"] * STORED_SIZE
    points = np.where(ok[:, None, None], landmarks, landmarks[ok][:1])
    usable = ok & (np.abs(lm.yaw(points)) < MAX_YAW)
    if usable.sum() < MIN_FRAMES:
        return None
    emotion = _emotion(arrays["samples"], encoder)
    jpeg, offsets = arrays["jpeg"], arrays["offsets"]
    return StoredClip(entry["stem"], entry["identity"], jpeg, offsets, points, usable, emotion)


def _emotion(samples: np.ndarray, encoder: Encoder | None) -> np.ndarray:
    """The embedding (E,) of samples (n,) at 16 kHz; zeros if it is unknown."""
    if encoder is None or len(samples) < SAMPLE_RATE // 2:
        return np.zeros(EMOTION_DIM, np.float32)
    with torch.no_grad():
        return encoder.encode(Speech.from_samples(samples)).emotion[0].float().cpu().numpy()


@dataclass(frozen=True, eq=False)
class Moment:
    """A portrait and a window of true frames.

    Attributes:
        photo: (S, S, 3) uint8, the portrait.
        photo_points: (68, 2) its landmarks, pixels.
        frames: (F, S, S, 3) uint8.
        points: (F, 68, 2) their landmarks, pixels.
        emotion: (E,) embedding of the speech.
        style: (4,) style of the mouth.
    """

    photo: np.ndarray
    photo_points: np.ndarray
    frames: np.ndarray
    points: np.ndarray
    emotion: np.ndarray
    style: np.ndarray = field(default_factory=lambda: np.zeros(STYLE_DIM, np.float32))

    @classmethod
    def from_clip(cls, clip: StoredClip, still: int, first: int, frames: int) -> "Moment":
        """A window of a clip from frame `first` on, with the clip's frame `still` as the portrait."""
        window = range(first, first + frames)
        return cls(
            photo=clip.frame(still),
            photo_points=clip.points[still],
            frames=np.stack([clip.frame(index) for index in window]),
            points=clip.points[list(window)],
            emotion=clip.emotion,
            style=clip.style,
        )

    def mirror(self) -> "Moment":
        """The moment flipped from left to right."""
        photo, frames = (np.ascontiguousarray(x[..., ::-1, :]) for x in (self.photo, self.frames))
        photo_points, points = (lm.mirror(p, STORED_SIZE) for p in (self.photo_points, self.points))
        return Moment(photo, photo_points, frames, points, self.emotion, self.style)

    def repeat(self, frames: int) -> "Moment":
        """A moment of one frame, repeated to `frames` frames."""
        return replace(
            self, frames=np.repeat(self.frames, frames, axis=0), points=np.repeat(self.points, frames, axis=0)
        )


def choose_frames(clip: StoredClip, frames: int, rng: np.random.Generator) -> tuple[int, int] | None:
    """Draws an identity frame and the first frame of a window with a similar pose; None if a try fails."""
    starts = np.flatnonzero(np.convolve(clip.usable, np.ones(frames), "valid") > frames - 0.5)
    if len(starts) == 0:
        return None
    opening = lm.mouth_opening(clip.points)
    weights = 0.03 + opening[starts + frames // 2]  # open mouths have most to teach
    first = int(rng.choice(starts, p=weights / weights.sum()))
    middle = first + frames // 2
    near = np.abs(lm.yaw(clip.points) - lm.yaw(clip.points[middle])) < MAX_YAW_CHANGE
    size = lm.inter_ocular_distance(clip.points) / lm.inter_ocular_distance(clip.points[middle])
    near &= (size < MAX_SIZE_CHANGE) & (size > 1 / MAX_SIZE_CHANGE) & clip.usable
    nose = _nose_length(clip.points)
    near &= np.abs(nose / nose[middle] - 1) < MAX_PITCH_CHANGE
    if clip.usable.sum() >= 2 * frames:  # else the portrait may lie in the window
        near[first : first + frames] = False
    if rng.random() < CLOSED_SHARE:
        near &= opening <= max(0.03, np.quantile(opening[clip.usable], 0.3))
    candidates = np.flatnonzero(near)
    return (int(rng.choice(candidates)), first) if len(candidates) else None


def _nose_length(points: np.ndarray) -> np.ndarray:
    """Length of the nose from bridge to base, (F,) inter-ocular distances, which changes with pitch."""
    return np.linalg.norm(points[:, 33] - points[:, 27], axis=-1) / lm.inter_ocular_distance(points)
