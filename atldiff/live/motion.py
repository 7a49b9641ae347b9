"""The motion of a live face: landmarks and poses, a few frames at a time.

- A window holds two seconds of past, the new frames and a short future. The edits are those of videos
  (`speech.motion.edit.edit_face`), applied to the window.
- Head, brows and emotion follow the voice later than in a video, which knows what comes: by
  `FaceStream.head_lag` and `expressions.AHEAD` frames.
- A face that does not speak breathes, blinks and glances.
"""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from atldiff.config import FRAME_RATE
from atldiff.landmarks import NUM_LANDMARKS, FaceFrame
from atldiff.live.hearing import STEP, Heard, Hearing
from atldiff.options import AUTOMATIC, Options
from atldiff.portrait.portrait import Portrait
from atldiff.sequence import HEAD_PARTS
from atldiff.smoothstep import smoothstep
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.motion.bilabials import recognised_bilabials
from atldiff.speech.motion.blinks import Blinks
from atldiff.speech.motion.edit import FaceMotion, edit_face, expression_strength, move_brows
from atldiff.speech.motion.expressions import EMOTIONS, RECOGNISED_FEELING, Envelope, facial_expression
from atldiff.speech.motion.glances import Glances
from atldiff.speech.motion.head_motion import AHEAD, FUTURE, HeadMotion, loudness
from atldiff.speech.motion.lips import SPEECH_WEIGHT

if TYPE_CHECKING:
    from atldiff.pipeline import ATLDiffPipeline

CLOSE = 4  # frames in which lips come to rest after an interruption
_FADE = 30  # frames in which one emotion replaces another
_LISTEN = 30  # frames of speech between two looks at the emotion
_TRUST = 0.2  # weight of the newest look
_SPOKEN = 0.3  # voice activity from which on a frame counts as speech
_BREATH, _UNEVEN = 4.2, 0.15  # seconds of a breath; how much it varies
_CHEST = np.array([0, 0.35, 0, 0, 0.004, 0.002])  # pose at the deepest: degrees, face units, log size
_KEPT = 90  # frames whose motion is kept for an interruption


@dataclass(frozen=True, eq=False)
class LiveMotion:
    """The motion of some frames.

    Attributes:
        frames: their indices.
        points: (n, 68, 2) float32 of the unturned head, pixels of the photo.
        poses: (n, 8) float32, see `LandmarkSequence`.
        emotion: (E,) float32, the emotion embedding of the voice.
    """

    frames: range
    points: np.ndarray
    poses: np.ndarray
    emotion: np.ndarray

    def every(self, stride: int) -> "LiveMotion":
        """The motion of the frames whose index is a multiple of `stride`."""
        some = slice(-self.frames.start % stride, None, stride)
        return LiveMotion(self.frames[some], self.points[some], self.poses[some], self.emotion)


class EmotionStream:
    """The emotion of a live voice.

    Attributes:
        embedding: (1, E) of the voice; it changes slowly.
        name: the emotion that the face shows: the one that was chosen, or the one that is heard; None: none.
    """

    def __init__(self, encoder, choice: str) -> None:
        self._encoder, self._choice, self._spoken = encoder, choice, 0
        self.embedding = encoder.emotion.prototype("neutral")[None].clone()
        self.name = None if choice == AUTOMATIC else choice
        self._named = None if choice == AUTOMATIC else encoder.emotion.prototype(choice)[None]

    @property
    def features(self) -> Tensor:
        """The embedding (1, E) that moves the landmarks: of the chosen name, or of the voice."""
        return self.embedding if self._named is None else self._named

    def push(self, activity: np.ndarray, hearing: Hearing, gain: float) -> None:
        """Listens again after a second of speech; activity (n,) of further frames."""
        self._spoken += int((activity > _SPOKEN).sum())
        if self._spoken < _LISTEN:
            return
        self._spoken = 0
        samples = torch.from_numpy(np.clip(hearing.last_seconds() * np.float32(gain), -1, 1))[None]
        new = self._encoder.emotion(self._encoder.mel(samples.to(self.embedding)))
        self.embedding = self.embedding + _TRUST * (new - self.embedding)
        if self._choice == AUTOMATIC:
            self.name = self._encoder.emotion.classify(self.embedding[0])


class FaceStream:
    """Head, brows, lids and emotion of a live face, frame by frame.

    Args:
        rest: (68, 2) of the photo, face units.
        options: of the video.
        lookahead: frames of the voice that are known after a frame.

    Attributes:
        head_lag: frames that the head follows the voice later than in a video.
    """

    def __init__(self, rest: np.ndarray, options: Options, lookahead: int) -> None:
        self._rest, self._options, self._frame = rest, options, 0
        self._head, self._glances = HeadMotion(options.seed), Glances(options.liveliness, options.seed)
        self._blinks, self._envelope = Blinks(options.blinks, options.seed), Envelope()
        self.head_lag = max(FUTURE - lookahead, AHEAD)
        self._head.push(np.zeros(AHEAD))  # from now on each value gives a move
        self._amounts, self._shares = deque(np.zeros(0)), dict.fromkeys(EMOTIONS, 0.0)
        self._strength = expression_strength(options)
        if options.emotion == AUTOMATIC:
            self._strength *= RECOGNISED_FEELING
        self._breath = 0.0  # phase, radians

    def push(
        self, voice: np.ndarray, activity: np.ndarray, emotion: str | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Moves further frames.

        Args:
            voice: (n,) `head_motion.loudness`, late by `head_lag` - AHEAD frames.
            activity: (n,) of the voice, 0 to 1.
            emotion: that the face shows, or None.

        Returns:
            (n, 68, 2) displacements in face units, (n, 8) poses, (n,) closures of the lids.
        """
        options = self._options
        glances = min(options.expression, 1) * self._glances.push(activity)
        displacement, poses = move_brows(self._head.push(voice), glances, options)
        self._amounts.extend(self._envelope.push(activity))
        known = [self._amounts.popleft() if self._amounts else 0.0 for _ in activity]
        for name, amount in self._fade(emotion, np.array(known)):
            motion, pose = facial_expression(self._rest, name, self._strength * amount)
            displacement += motion
            poses[:, :HEAD_PARTS] += min(options.sway, 1) * pose
        poses[:, :HEAD_PARTS] += min(options.sway, 1) * self._breathe(len(activity))
        self._frame += len(activity)
        return displacement, poses, self._blinks.push(activity)

    def _fade(self, emotion: str | None, envelope: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """The amount (n,) of each emotion that shows."""
        emotions = []
        for name, share in self._shares.items():
            way = (1 if name == emotion else -1) * np.arange(1, len(envelope) + 1) / _FADE
            shares = np.clip(share + way, 0, 1)
            self._shares[name] = float(shares[-1])
            if shares.any() and self._strength > 0:
                emotions.append((name, shares * envelope))
        return emotions

    def _breathe(self, count: int) -> np.ndarray:
        """Poses (count, 6) of a body that breathes; they begin at 0."""
        poses = np.zeros((count, HEAD_PARTS))
        for index in range(count):
            pace = 1 + _UNEVEN * np.sin(self._breath / 5)
            self._breath += 2 * np.pi * pace / (_BREATH * FRAME_RATE)
            poses[index] = _CHEST * np.sin(self._breath)
        return poses


class MotionStream:
    """Landmarks and poses of a live voice.

    Args:
        pipeline: its speech encoder and landmark generator.
        portrait: the photo.
        options: of the video.
        lookahead: frames of the voice that are known after a frame, a multiple of STEP.
        past: frames of the voice before a frame that the networks hear, a multiple of STEP.

    Raises:
        InputError: the weights do not know the emotion.
    """

    def __init__(
        self, pipeline: "ATLDiffPipeline", portrait: Portrait, options: Options, lookahead: int, past: int
    ) -> None:
        pipeline.check_emotion(options.emotion)
        self._encoder, self._generator = pipeline.speech_encoder, pipeline.landmark_generator
        self._options, self._lookahead, self._past = options, lookahead, past
        identity = np.asarray(portrait.landmarks, np.float64)
        self._frame = FaceFrame.from_landmarks(identity)
        self.rest = self._frame.to_face(identity)
        self.emotion = EmotionStream(self._encoder, options.emotion)
        self.face = FaceStream(self.rest, options, lookahead)
        self._begin = 0  # first frame that the networks hear
        self._made: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=_KEPT)
        self._stop = 0  # frame after the last one of `_made`
        self._expected: tuple[int, np.ndarray] | None = None  # the frame after a chunk, as it is predicted
        self._resting: tuple[int, np.ndarray] | None = None  # an interruption: its frame, and its lips

    @torch.no_grad()
    def move(self, hearing: Hearing, first: int, count: int) -> LiveMotion:
        """Moves the frames first, ..., first + count - 1, whole multiples of STEP.

        What was not heard yet of their future counts as silence.
        """
        stop = first + count + self._lookahead
        begin = max(self._begin, (first - self._past) // STEP * STEP)
        heard = hearing.window(begin, stop)
        chunk = slice(first - begin, first - begin + count)
        self.emotion.push(heard.activity[chunk], hearing, heard.gain)
        displacement, poses, blinks = self._move_face(heard, begin, first, count)
        window = np.zeros((stop - begin, NUM_LANDMARKS, 2)), np.zeros(stop - begin)
        window[0][chunk], window[1][chunk] = displacement, blinks
        points, bilabials = self._predict(heard, stop - begin)
        points = self._join(points, first, chunk)
        face = FaceMotion(heard.activity, *window)
        if not self._options.edits_nothing:
            points = edit_face(points, self.rest, self._options, face, bilabials)
        points = self._come_to_rest(points[chunk], first)
        pixels = self._frame.from_face(points).astype(np.float32)
        emotion = self.emotion.embedding[0].float().cpu().numpy()
        return LiveMotion(range(first, first + count), pixels, poses.astype(np.float32), emotion)

    def interrupt(self, frame: int, lips: np.ndarray | None) -> None:
        """Speaks no more from a frame on.

        Args:
            frame: the first one that nobody saw; `move` goes on there.
            lips: (68, 2) of the frame before, pixels of the photo; None: there was none.
        """
        self._begin, self._expected = frame // STEP * STEP, None
        self._resting = None if lips is None else (frame, self._frame.to_face(lips))

    def _join(self, points: np.ndarray, first: int, chunk: slice) -> np.ndarray:
        """Meets half-way, in the first new frame, what the window before expected; points (F, 68, 2)."""
        if self._expected is not None and self._expected[0] == first:
            points[chunk.start] = (points[chunk.start] + self._expected[1]) / 2
        after = first + chunk.stop - chunk.start
        self._expected = (after, points[chunk.stop].copy()) if self._lookahead else None
        return points

    def _predict(self, heard: Heard, frames: int) -> tuple[np.ndarray, np.ndarray | None]:
        """What the networks predict for a window: (F, 68, 2) face units, and its bilabials."""
        samples = torch.from_numpy(heard.for_networks)[None].to(self._encoder.device)
        acoustic, bilabial = self._encoder.acoustic_features(samples)
        emotion = self.emotion.features
        context = self._encoder.gate(acoustic, emotion)
        raw = samples if self._generator.hears_waveform else None
        features = SpeechFeatures(acoustic, context, emotion, bilabial, raw)
        identity = torch.from_numpy(self.rest).to(acoustic)[None]
        moved = self._generator(features, identity, frames)[0].double().cpu().numpy()
        return self.rest + moved, recognised_bilabials(features)

    def _move_face(
        self, heard: Heard, begin: int, first: int, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Moves head and brows on to the last new frame; gives all new frames' motion."""
        if not self._stop - len(self._made) <= first <= self._stop:  # so late that its motion is forgotten
            self._made.clear()
            self._stop = first
        new = slice(self._stop - begin, first + count - begin)
        if new.start < new.stop:
            late = self.face.head_lag - AHEAD
            voice = np.pad(loudness(heard.as_recorded, len(heard.activity)), (late, 0))
            moved = self.face.push(voice[new], heard.activity[new], self.emotion.name)
            self._made.extend(zip(*moved, strict=True))
            self._stop = first + count
        start = len(self._made) - (self._stop - first)
        motion = [self._made[index] for index in range(start, start + count)]
        displacement, poses, blinks = (np.array(part) for part in zip(*motion, strict=True))
        return displacement, poses, blinks

    def _come_to_rest(self, points: np.ndarray, first: int) -> np.ndarray:
        """Leads lips and chin (n, 68, 2) from where an interruption found them to where they should be."""
        if self._resting is None:
            return points
        frame, lips = self._resting
        share = smoothstep(0, CLOSE, np.arange(first, first + len(points)) - frame + 1.0)[:, None, None]
        if share.min() >= 1:
            self._resting = None
        return points + (1 - share) * SPEECH_WEIGHT * (lips - points)
