"""Clips of people who speak -> the bank of head tracks behind `speech.motion.head_motion`.

Only clips of the training split are read. Speeches from a podium and drills are left out, because their
motion is not that of a conversation.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.evaluation.motion import judge_bank
from atldiff.media.video_reader import open_video, video_sound
from atldiff.portrait.mesh import track_meshes
from atldiff.sequence import HEAD_PARTS
from atldiff.speech.motion.head_motion import MOVES, loudness
from atldiff.speech.motion.head_track import head_track
from atldiff.training.data.corpora import ClipRecord, read_corpus

# Identities in clips.csv who speak from a podium, or read syllables and commands with a still head.
LEFT_OUT = ("Obama", "JFK", "RD_Radio10", "GRID_s1", "VidTIMIT_fadg0", "mcgurk_filyp", "mcgurk_luvgho")
SECONDS_A_PERSON = 12.0
MAX_SECONDS = 40.0  # longest part of a clip to read
MIN_FRAMES = 100
CUT = 7.0  # degrees in one frame; a larger step is a cut of the film
YAW_DEVIATION, MOST_PITCH_DEVIATION = (0.7, 8.0), 6.0  # degrees; the range of a conversation
MOST_SHIFT = 0.5  # inter-ocular distances
MOST_SPEED = 100.0  # degrees a second; a faster head turns to another person
_SMOOTH = 1.5  # frames


def usable_pieces(track: np.ndarray) -> list[np.ndarray]:
    """The pieces of a track (F, MOVES + 1) between cuts that show a head in conversation.

    Each piece is smoothed and has its median subtracted.
    """
    cuts = np.flatnonzero(np.abs(np.diff(track[:, :3], axis=0)).max(axis=1) > CUT) + 1
    pieces = []
    for piece in np.split(track, cuts):
        if len(piece) < MIN_FRAMES:
            continue
        moves = _smooth(piece[:, :MOVES])
        moves -= np.median(moves, axis=0)
        yaw, pitch = moves[:, 0].std(), moves[:, 1].std()
        calm = np.abs(moves[:, 3:5]).max() < MOST_SHIFT and pitch < MOST_PITCH_DEVIATION
        calm &= np.abs(np.diff(moves[:, :3], axis=0)).max() * FRAME_RATE < MOST_SPEED
        if calm and YAW_DEVIATION[0] < yaw < YAW_DEVIATION[1]:
            pieces.append(np.column_stack([moves, piece[:, MOVES]]))
    return pieces


def _smooth(values: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(values, (1, 0), 1, None, _SMOOTH, cv2.BORDER_REPLICATE)


def clip_track(clip: ClipRecord) -> np.ndarray | None:
    """A clip's `head_track` and loudness, (F, MOVES + 1); None without sound or if a frame has no face."""
    with open_video(clip.video) as video:
        meshes = []
        for _, mesh in track_meshes(video.frames):
            if mesh is None:
                return None
            meshes.append(mesh)
            if len(meshes) >= MAX_SECONDS * video.fps:
                break
        fps, begin = video.fps, video.begin
    speech = video_sound(clip.audio or clip.video, begin, len(meshes) / fps)
    if speech is None:
        return None
    moves = head_track(np.array(meshes), fps)
    return np.column_stack([moves, loudness(speech.samples, len(moves))])


def training_tracks(data: Path, without: Sequence[str] = LEFT_OUT) -> Iterator[tuple[str, np.ndarray]]:
    """(identity, usable piece (F, MOVES + 1)) of the training split's clips with speech.

    Raises:
        InputError: the folder holds no such clip.
    """
    clips = [clip for clip in read_corpus(data) if isinstance(clip, ClipRecord)]
    clips = [c for c in clips if (c.kind, c.split) == ("speech", "train") and c.identity not in without]
    if not clips:
        raise InputError(f"{data} holds no speech clip of the training split", "Give a folder with clips.csv")
    for clip in clips:
        track = clip_track(clip)
        for piece in () if track is None else usable_pieces(track):
            yield clip.identity, piece


def balance_tracks(
    tracks: Iterable[tuple[str, np.ndarray]], seconds: float = SECONDS_A_PERSON
) -> list[np.ndarray]:
    """Chooses among (identity, track (F, C)) the longest tracks, at most `seconds` of a person."""
    rooms: dict[str, int] = {}
    balanced = []
    for identity, track in sorted(tracks, key=lambda item: (-len(item[1]), item[0])):
        room = rooms.setdefault(identity, round(seconds * FRAME_RATE))
        if room >= MIN_FRAMES:
            balanced.append(track[:room])
            rooms[identity] = room - len(balanced[-1])
    return balanced


def save_bank(tracks: Sequence[np.ndarray], path: Path) -> None:
    """Writes tracks (F, MOVES + 1) as safetensors, at half the rate, with 256 levels a column and track."""
    from safetensors.numpy import save_file

    halves = [np.asarray(track[::2], np.float64) for track in tracks]
    low = np.stack([half.min(axis=0) for half in halves])
    step = np.maximum(np.stack([np.ptp(half, axis=0) for half in halves]) / 255, 1e-6)
    levels = [np.rint((h - a) / b).astype(np.uint8) for h, a, b in zip(halves, low, step, strict=True)]
    arrays = {"levels": np.concatenate(levels), "lengths": np.array([len(h) for h in halves], np.int32)}
    arrays |= {"low": low.astype(np.float32), "step": step.astype(np.float32)}
    assert arrays["levels"].shape[1] == HEAD_PARTS + 2, arrays["levels"].shape
    save_file(arrays, path)


def build_bank(data: Path, path: Path, without: Sequence[str] = LEFT_OUT) -> str:
    """Writes the bank of a folder with clips.csv.

    Returns:
        Two lines: the bank's size, and `judge_bank`, the areas under the judge's ROC curve.

    Raises:
        InputError: the folder holds no speech clip of the training split.
    """
    pieces = list(training_tracks(data, without))
    tracks = balance_tracks(pieces)
    save_bank(tracks, path)
    people, seconds = len({identity for identity, _ in pieces}), sum(map(len, tracks)) / FRAME_RATE
    areas = ", ".join(f"{area:.2f}" for area in judge_bank(pieces))
    return f"{path}: {seconds:.0f} s of {people} people\njudge (0.5 = cannot tell): {areas}"
