"""What a visitor of the page asks for: its limits, the checks before the wait, the making and its time."""

import logging
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import numpy as np

from atldiff.errors import InputError
from atldiff.media.audio import Speech, load_speech
from atldiff.media.stream import broadcast
from atldiff.pipeline import ATLDiffPipeline
from atldiff.portrait.face import Portrait, load_portrait
from atldiff.rendering.composite import BACKGROUNDS, OUTPUTS
from atldiff.sequence import LandmarkSequence
from atldiff.speech.motion import Motion

MAX_SECONDS = 60.0  # of a recording on the page
MAX_UPLOAD = "20mb"  # of any file sent to the page
MAX_STEPS, MAX_GAIN = 8, 2.0
AUTOMATIC = "automatic"  # emotion: as heard in the recording
MARK = {
    "comment": "AI-generated: one photo animated by ATL-Diff. The person shown did not say this.",
    "description": "AI-generated",
}
_LANDMARK_BYTES = 64e6  # of an uploaded landmark file when unpacked


@dataclass(frozen=True)
class Order:
    """What is to be made; the fields are the arguments of the page's API.

    Attributes:
        portrait, speech: paths of the photo and the recording.  face: which face, 0 = the largest.
        emotion: a name the weights know, or "automatic".
        expression, lips, sway, blinks: gains of `Motion`, 0 to 2.
        steps: of DDIM, 1 to 8.  seed: of noise, blinks and sway.
        output: "photo", "square" or "crop".  background: "keep", "green" or "matte".
        landmarks: path of a landmark file to render instead of the predicted landmarks, or None.
    """

    portrait: str | None
    speech: str | None
    face: int = 0
    emotion: str = AUTOMATIC
    expression: float = 1.0
    lips: float = 1.0
    sway: float = 1.0
    blinks: float = 1.0
    steps: int = 2
    seed: int = 0
    output: str = "photo"
    background: str = "keep"
    landmarks: str | None = None

    def __post_init__(self) -> None:
        """Raises InputError: no photo or recording, or a value out of range."""
        if not self.portrait:
            raise InputError("There is no portrait yet", "Upload a photo, or click an example")
        if not self.speech:
            raise InputError("There is no speech yet", "Upload or record some, or click an example")
        for name in ("expression", "lips", "sway", "blinks"):
            _within(name, getattr(self, name), 0, MAX_GAIN)
        _within("steps", self.steps, 1, MAX_STEPS)
        _within("seed", self.seed, 0, 2**31 - 1)
        for name, allowed in (("output", OUTPUTS), ("background", BACKGROUNDS)):
            if getattr(self, name) not in allowed:
                raise InputError(f"There is no such {name}", f"Choose one of {', '.join(allowed)}")

    @property
    def motion(self) -> Motion:
        """The edits of the landmarks."""
        return Motion(expression=self.expression, lips=self.lips, sway=self.sway, blinks=self.blinks)

    @property
    def chosen_emotion(self) -> str | None:
        """As `ATLDiffPipeline.landmarks` takes it."""
        return None if self.emotion in (AUTOMATIC, None, "") else self.emotion


@dataclass(frozen=True, eq=False)
class Take:
    """An order with its photo and recording read: all that the making needs, ready to cross to a worker.

    `sequence` is None until the landmarks are predicted; `folder` is where files are written.
    """

    order: Order
    portrait: Portrait
    speech: Speech
    sequence: LandmarkSequence | None = None
    folder: Path | None = None
    live: bool = False


@dataclass(frozen=True)
class Step:
    """One step of the making: `done` of `total` frames, pieces that can be played, at last the video."""

    done: int
    total: int
    pieces: tuple[Path, ...] = ()
    video: Path | None = None


@lru_cache(maxsize=16)
def read_portrait(path: str, face: int = 0) -> Portrait:
    """`load_portrait` of an uploaded photo, whose path never changes its content."""
    if face != int(face) or face < 0:
        raise InputError("There is no such face", "Choose 0 for the largest")
    return load_portrait(path, int(face))


@lru_cache(maxsize=16)
def read_speech(path: str) -> Speech:
    """`load_speech` of an uploaded recording, within the page's limit."""
    try:
        return load_speech(path, MAX_SECONDS)
    except InputError as error:
        if "longer than" in error.problem:
            raise InputError(error.problem, f"Cut it to {MAX_SECONDS:g} s or less") from error
        raise


def leave_tidily() -> None:
    """A server that is told to stop (SIGTERM) leaves no visitor's files behind, as with Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def explain(error: Exception) -> str:
    """One sentence for the visitor: what to do, or of an error of ours the number that the log has too."""
    if isinstance(error, InputError):
        return f"{error.problem}. {error.remedy}."
    number = uuid4().hex[:8]
    logging.getLogger("atldiff").error("error %s", number, exc_info=error)
    return f"Something failed on our side (error {number}). Try again, or report this number."


def predict(
    pipeline: ATLDiffPipeline, portrait: Portrait, speech: Speech, emotion: str | None
) -> LandmarkSequence:
    """The landmarks as the network predicts them, before any edit."""
    return pipeline.landmarks(portrait, speech, Motion.none(), emotion)


def make(pipeline: ATLDiffPipeline, take: Take) -> Iterator[Step]:
    """Renders and encodes a take; when the generator is closed the work stops.

    Yields:
        A step a frame, the last with the video: .mp4, or .webm for a matte.
    """
    order = take.order
    choices = (int(order.steps), int(order.seed), order.output, order.background)
    frames = pipeline.render(take.portrait, take.sequence, *choices)
    matte, total = order.background == "matte", len(take.sequence.points)
    path = take.folder / ("talking.webm" if matte else "talking.mp4")
    steps = broadcast(path, frames, take.speech, MARK, live=take.live and not matte)
    for done, pieces in enumerate(steps, start=1):
        if done <= total:
            yield Step(done, total, tuple(pieces))
    yield Step(total, total, tuple(pieces), path)


def uploaded(take: Take) -> LandmarkSequence:
    """The order's landmark file, on its portrait's face and as long as its speech.

    Raises:
        InputError: not a landmark file, or a huge one.
    """
    path = Path(take.order.landmarks)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > _LANDMARK_BYTES:
                raise InputError("The landmark file is too large", "Use one that this page made")
    given = LandmarkSequence.load(path).resampled(take.speech.num_frames)
    return given.on_face(take.portrait.landmarks)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not isinstance(value, (int, float)) or not np.isfinite(value) or not low <= value <= high:
        raise InputError(f"{name} cannot be {value}", f"Choose {low:g} to {high:g}")
