"""The landmarks of a video: predicted, edited, saved, loaded and rendered as one sequence."""

import json
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.landmarks import NUM_LANDMARKS, FaceFrame, inter_ocular_distance

HEAD_PARTS = 6  # yaw, pitch, roll, shift x and y, logarithm of the size
POSE_PARTS = HEAD_PARTS + 2  # and the yaw and pitch of a glance
REACH = 3.0  # inter-ocular distances; no point of a face moves further from where the photo shows it
MIN_EYE_DISTANCE = 1.0  # pixels between the outer eye corners of a file's own face
MAX_EMOTION = 1e3  # of any component of an emotion embedding; the networks' stay far below
MAX_BYTES = 64e6  # of an unpacked archive: several times the longest video's landmarks

_NO_POSE = np.zeros((0, POSE_PARTS), np.float32)
_REMEDY = "Use a .npz or .json file that atldiff saved"
_BROKEN = (
    OSError, ValueError, KeyError, TypeError, EOFError, OverflowError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class LandmarkSequence:
    """Landmarks of every frame.

    Attributes:
        points: (F, 68, 2) float32, pixels of the photo, of a head that does not turn.
        identity: (68, 2) float32, the photo's own landmarks, pixels.
        emotion: (E,) float32 emotion embedding of the speech.
        fps: frames a second.
        pose: (F, 8) float32, how the head turns: six parts as in `rendering.warp.turn`; then where the eyes
            look: degrees away from the viewer, to the picture's right and down. Zeros if left out.
    """

    points: np.ndarray
    identity: np.ndarray
    emotion: np.ndarray
    fps: int = FRAME_RATE
    pose: np.ndarray = field(default_factory=lambda: _NO_POSE)

    def __post_init__(self) -> None:
        if len(self.pose) == 0:
            object.__setattr__(self, "pose", np.zeros((len(self.points), POSE_PARTS), np.float32))
        if self.pose.shape[1:] == (HEAD_PARTS,):  # as before there were glances
            object.__setattr__(self, "pose", np.pad(self.pose, ((0, 0), (0, POSE_PARTS - HEAD_PARTS))))
        assert self.pose.shape == (len(self.points), POSE_PARTS), self.pose.shape

    def save(self, path: str | Path) -> Path:
        """Writes a .npz or .json file by the path's ending; returns the path.

        Raises:
            InputError: the path has another ending, or cannot be written.
        """
        path = Path(path)
        ending = path.suffix.lower()
        fields: dict[str, Any] = {
            "points": self.points,
            "identity": self.identity,
            "emotion": self.emotion,
            "fps": self.fps,
            "pose": self.pose,
        }
        try:
            if ending == ".npz":
                with path.open("wb") as file:  # numpy adds .npz to the name .NPZ
                    np.savez_compressed(file, **fields)
            elif ending == ".json":
                lists = {key: np.asarray(value).round(3).tolist() for key, value in fields.items()}
                path.write_text(json.dumps(lists))
            else:
                raise InputError(f"{path.name} is not a landmark file's name", "End it in .npz or .json")
        except OSError as error:
            raise InputError(f"{path} cannot be written", "Choose another folder") from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> "LandmarkSequence":
        """Reads a file that `save` wrote.

        Raises:
            InputError: the file is missing, broken, too large, of another shape, or holds NaN or no emotion;
                or no face could be rendered from it (the eye corners coincide, points are far away).
        """
        path = Path(path)
        try:
            fields = json.loads(path.read_bytes()) if path.suffix.lower() == ".json" else _unpacked(path)
            points, identity, emotion = (
                np.asarray(fields[key], np.float32) for key in ("points", "identity", "emotion")
            )
            fps = int(fields["fps"])
            pose = np.asarray(fields["pose"], np.float32) if "pose" in fields else _NO_POSE
        except InputError:
            raise
        except FileNotFoundError as error:
            raise InputError(f"There is no file {path.name}", "Check the path") from error
        except _BROKEN as error:
            raise InputError(f"{path.name} is not a landmark file", _REMEDY) from error
        shapes = points.shape[1:] == identity.shape == (NUM_LANDMARKS, 2) and len(points) > 0
        if not shapes or emotion.ndim != 1 or fps != FRAME_RATE:
            raise InputError(
                f"{path.name} does not hold 68 landmarks at {FRAME_RATE} frames a second", _REMEDY
            )
        if "pose" in fields and pose.shape not in [(len(points), n) for n in (HEAD_PARTS, POSE_PARTS)]:
            parts = f"{HEAD_PARTS} parts a frame, or {POSE_PARTS} with a glance"
            raise InputError(f"{path.name} does not hold a pose of {parts}", _REMEDY)
        if not all(np.isfinite(values).all() for values in (points, identity, emotion, pose)):
            raise InputError(f"{path.name} holds landmarks that are not numbers", _REMEDY)
        if len(emotion) == 0:
            raise InputError(f"{path.name} holds no emotion", _REMEDY)
        sequence = cls(points, identity, emotion, fps, pose)
        sequence._check_bounds(path.name)
        return sequence

    def _check_bounds(self, name: str) -> None:
        """Raises InputError for points or an emotion that cannot be rendered at a reasonable size."""
        identity = self.identity.astype(np.float64)
        if not inter_ocular_distance(identity) >= MIN_EYE_DISTANCE:
            raise InputError(f"The eyes of the face in {name} lie in one place", _REMEDY)
        if np.abs(self.emotion).max(initial=0) > MAX_EMOTION:
            raise InputError(f"{name} holds an emotion that no network gives", _REMEDY)
        moved = FaceFrame.from_landmarks(identity).vectors_to_face(self.points - identity)
        furthest = float(np.linalg.norm(moved, axis=-1).max())
        if not furthest <= REACH:
            raise InputError(
                f"{name} moves a point {furthest:.0f} times the distance of the eyes away from the face",
                f"Keep every point within {REACH:g} of them",
            )

    def check_emotion(self, width: int) -> None:
        """Checks that the emotion embedding has `width` numbers, as the networks expect.

        Raises:
            InputError: the embedding has another length.
        """
        if self.emotion.shape != (width,):
            raise InputError("The landmarks were made with other weights", "Make them again with these")

    def resampled(self, num_frames: int) -> "LandmarkSequence":
        """The same motion in `num_frames` frames; a longer one repeats the last frame."""
        index = np.minimum(np.arange(num_frames), len(self.points) - 1)
        return replace(self, points=self.points[index], pose=self.pose[index])

    def on_face(self, landmarks: np.ndarray) -> "LandmarkSequence":
        """The same motion on another face's landmarks (68, 2): in face units, with the same poses."""
        mine, theirs = FaceFrame.from_landmarks(self.identity), FaceFrame.from_landmarks(landmarks)
        moved = theirs.vectors_from_face(mine.vectors_to_face(self.points - self.identity))
        points = (landmarks + moved).astype(np.float32)
        return replace(self, points=points, identity=np.asarray(landmarks, np.float32))


def _unpacked(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an .npz archive.

    Raises:
        InputError: they are larger than any video's landmarks.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > MAX_BYTES:
            raise InputError(f"{path.name} is too large for a landmark file", _REMEDY)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
