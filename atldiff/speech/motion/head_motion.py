"""Head motion from the voice: pieces of real tracks with similar loudness, joined where their poses are near.

- The bank holds tracks of people in conversation: pose, brows and loudness of the voice.
- Every HOP frames the piece continues, or one begins with better loudness and a near pose.
- A frame hears at most FUTURE frames of the voice after it. So a long recording begins like a short one.
- In longer pauses the head comes to rest.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from atldiff.config import FRAME_RATE, WEIGHTS
from atldiff.media.sound import SPEECH_LEVEL
from atldiff.media.speech import SAMPLE_RATE, Speech
from atldiff.sequence import HEAD_PARTS
from atldiff.smoothstep import smoothstep

BANK = WEIGHTS / "starter" / "head_motion.safetensors"
BANK_RATE = FRAME_RATE // 2  # values a second in the bank
MOVES = HEAD_PARTS + 1  # numbers of a move: the pose, and the rise of the brows
SCALE = 1.2  # gain of the bank's motion, because joins and pauses weaken it
FUTURE = 15  # frames of the voice after a frame that its move depends on
HOP, FADE = 25, 24  # frames between two choices, and of the fade from one piece to the next
_SMOOTH = 3  # frames on each side that smooth the loudness
AHEAD, _PAST = FUTURE - _SMOOTH - 1, 20  # frames of loudness to compare, after and before a frame
_LOUD, _RANGE, _MOST = 2.0, 30.0, 1.1  # dB over SPEECH_LEVEL of loudness 1; dB from 0 to 1; highest loudness
_UNIT = np.array([4, 3, 2.5, 0.06, 0.04, 0.02, 0.02])  # differences of equal cost, for each number of a move
_JOIN, _CHANGE, _CHANCE = 0.012, 0.006, 0.015  # costs of a join and of a change; largest random cost
_SPEECH = 0.3  # least loudness of speech
_CALM, _WAKE_TIME, _REST_TIME = 0.3, 4.0, 6.0  # share of motion in a pause; frames to begin and to rest
_RISE = 30  # frames in which the motion rises from the photo's own pose


@dataclass(frozen=True, eq=False)
class Bank:
    """Real tracks at FRAME_RATE, one after the other.

    Attributes:
        moves: (T, MOVES) float32, pose as in `rendering.warp.turn`, then the rise of the brows in
            inter-ocular distances; the median of each track is 0.
        starts: (P,) frames at which a piece may begin or continue.
        voices: (P, _PAST + AHEAD) float32 loudness round each start.
        begins: (P, MOVES) float32 means of the moves in the FADE frames from each start on.
    """

    moves: np.ndarray
    starts: np.ndarray
    voices: np.ndarray
    begins: np.ndarray

    @classmethod
    def from_tracks(cls, tracks: list[np.ndarray]) -> "Bank":
        """Builds the bank of tracks (F, MOVES + 1) at FRAME_RATE, moves then loudness; drops short ones."""
        tracks = [track for track in tracks if len(track) >= HOP + FADE + 1]
        assert tracks, "all tracks are shorter than a piece"
        starts, voices, begins, begin = [], [], [], 0
        for track in tracks:
            pieces = np.arange(len(track) - HOP - FADE)
            loud = np.pad(track[:, MOVES], (_PAST, AHEAD), mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(loud, _PAST + AHEAD)
            starts.append(begin + pieces)
            voices.append(windows[pieces])
            fades = np.lib.stride_tricks.sliding_window_view(track[:, :MOVES], FADE, axis=0)
            begins.append(fades[pieces].mean(axis=2))
            begin += len(track)
        moves = np.concatenate([track[:, :MOVES] for track in tracks]).astype(np.float32)
        windows, fades = (np.concatenate(x).astype(np.float32) for x in (voices, begins))
        return cls(moves, np.concatenate(starts), windows, fades)


@lru_cache(maxsize=2)
def load_bank(path: Path = BANK) -> Bank:
    """Reads a file of `training.data.head_tracks.save_bank`."""
    from safetensors.numpy import load_file

    arrays = load_file(path)
    low, step = (np.repeat(arrays[name], arrays["lengths"], axis=0) for name in ("low", "step"))
    values = low + step * arrays["levels"]
    tracks = np.split(values, np.cumsum(arrays["lengths"])[:-1])
    return Bank.from_tracks([_double_rate(track) for track in tracks])


def _double_rate(track: np.ndarray) -> np.ndarray:
    """Doubles the rate of a track (n, C) by cubic interpolation: (2 n - 1, C)."""
    padded = np.pad(track, ((1, 1), (0, 0)), mode="edge")
    between = (9 * (track[:-1] + track[1:]) - padded[:-3] - padded[3:]) / 16
    out = np.empty((2 * len(track) - 1, track.shape[1]), np.float32)
    out[::2], out[1::2] = track, between
    return out


def loudness(samples: np.ndarray, num_frames: int) -> np.ndarray:
    """The loudness of the voice in each video frame; it depends on at most `_SMOOTH` + 1 later frames.

    Args:
        samples: (n,) at 16 kHz and a normal speech level (`Speech.samples`).

    Returns:
        (num_frames,) float64: 0 = 30 dB or more below loud speech, 1 = loud speech, at most 1.1.
    """
    half, count = SAMPLE_RATE // 40, num_frames + 2 * _SMOOTH
    centres = np.round((np.arange(count) - _SMOOTH) * SAMPLE_RATE / FRAME_RATE).astype(int)
    power = np.concatenate([[0], np.cumsum(np.square(samples, dtype=np.float64))])
    first, last = (np.clip(centres + way, 0, len(samples)) for way in (-half, half))
    decibel = 10 * np.log10((power[last] - power[first]) / (2 * half) + 1e-9)
    loud = np.clip((decibel - 20 * np.log10(SPEECH_LEVEL) - _LOUD) / _RANGE + 1, 0, _MOST)
    kernel = np.hanning(2 * _SMOOTH + 3)[1:-1]
    return np.convolve(loud, kernel / kernel.sum(), "valid")


def head_moves(
    voice: Speech | np.ndarray,
    num_frames: int,
    seed: int = 0,
    strength: float = 1.0,
    bank: Bank | None = None,
) -> np.ndarray:
    """The moves of a speaking head.

    Args:
        voice: a recording, or its `loudness` (F,).
        num_frames: length of the video.
        seed: equal seeds give equal motion.
        strength: 0 = still, 1 = natural.
        bank: the tracks; None = the embedded ones.

    Returns:
        (num_frames, MOVES) float64: pose as in `rendering.warp.turn`, then the rise of the brows; they begin
        at 0.
    """
    curve = loudness(voice.samples, num_frames) if isinstance(voice, Speech) else np.asarray(voice)
    curve = np.pad(curve[:num_frames], (0, max(0, num_frames - len(curve))))
    motion = HeadMotion(seed, strength, bank)
    return np.concatenate([motion.push(curve), motion.flush()])


class HeadMotion:
    """Head motion of a live voice, frame by frame; arguments as in `head_moves`."""

    def __init__(self, seed: int = 0, strength: float = 1.0, bank: Bank | None = None) -> None:
        self._bank, self._seed, self._strength = bank or load_bank(), seed, strength
        self._voice = np.zeros(_PAST)  # loudness, from `_PAST` frames before the next frame on
        self._frame = self._since = 0  # number of the next frame; frames since the last change of pieces
        self._now = self._before = -1  # places in the bank of the piece, and of the fading one
        self._activity = np.ones(2)  # two filters in a row, 1 = speech

    def push(self, voice: np.ndarray) -> np.ndarray:
        """Takes the loudness (n,) of further frames; returns the moves (m, MOVES) of all ready frames."""
        self._voice = np.concatenate([self._voice, voice])
        return self._moves(len(self._voice) - _PAST - AHEAD)

    def flush(self) -> np.ndarray:
        """Returns the moves (m, MOVES) of the remaining frames, as if silence followed."""
        rest = len(self._voice) - _PAST
        self._voice = np.concatenate([self._voice, np.zeros(AHEAD)])
        return self._moves(rest)

    def _moves(self, count: int) -> np.ndarray:
        moves = np.array([self._next(index) for index in range(count)]).reshape(-1, MOVES)
        self._voice = self._voice[max(count, 0) :]
        return moves

    def _next(self, index: int) -> np.ndarray:
        """The move of the next frame, whose loudness is `_voice[_PAST + index]`."""
        voice = self._voice[index : index + _PAST + AHEAD]
        if self._frame % HOP == 0:
            self._choose(voice)
        share = _ease((self._since + 0.5) / FADE)
        move = share * self._bank.moves[self._now].astype(np.float64)
        if share < 1:
            move += (1 - share) * self._bank.moves[self._before]
            self._before += 1
        speech = float(voice[_PAST - 6 :].max() > _SPEECH)
        for stage, target in enumerate((speech, self._activity[0])):
            pace = _WAKE_TIME if target > self._activity[stage] else _REST_TIME
            self._activity[stage] += (target - self._activity[stage]) / pace
        gain = _CALM + (1 - _CALM) * self._activity[1]
        rise = _ease(self._frame / _RISE)
        self._now, self._since, self._frame = self._now + 1, self._since + 1, self._frame + 1
        return SCALE * self._strength * gain * rise * move

    def _choose(self, voice: np.ndarray) -> None:
        """Chooses the piece of least cost; it may be the present one, which then continues."""
        bank, rng = self._bank, np.random.default_rng([self._seed, 3, self._frame])
        cost = ((bank.voices - voice.astype(np.float32)) ** 2).mean(axis=1)
        cost += rng.uniform(0, _CHANCE, len(cost))
        if self._now >= 0:
            ends = bank.moves[self._now : self._now + FADE].mean(axis=0)
            cost += _JOIN * (((bank.begins - ends) / _UNIT) ** 2).mean(axis=1)
            cost[bank.starts != self._now] += _CHANGE
        start = int(bank.starts[np.argmin(cost)])
        if start != self._now:
            self._before = start if self._now < 0 else self._now
            self._now, self._since = start, 0


def _ease(t: float) -> float:
    """`smoothstep` of one number from 0 to 1."""
    return float(smoothstep(0, 1, np.array(t)))
