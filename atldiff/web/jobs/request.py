"""A visitor's request: the server's limits, reading the inputs, making the video."""

import errno
import io
import json
import logging
import signal
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from PIL import Image
from starlette.responses import PlainTextResponse

from atldiff.animation import Animation
from atldiff.dialogue import Dialogue, render_dialogue
from atldiff.errors import InputError, TooLong
from atldiff.media.speech import Speech, load_speech
from atldiff.media.video_writer import encode_video
from atldiff.options import ASPECTS, OPTIONS, Options
from atldiff.pipeline import ATLDiffPipeline
from atldiff.portrait.photo import LONG_SIDE, open_photo
from atldiff.portrait.photo_file import open_file

MAX_SECONDS = 60.0  # of a recording on the page
MAX_UPLOAD = "20mb"  # of any file sent to the page
MAX_UPLOAD_BYTES = int(MAX_UPLOAD.removesuffix("mb")) * 2**20
GPU_LIMIT = 120  # seconds that one video may hold a shared GPU
PICTURE_EVERY, PICTURE_SIDE = 0.3, 460  # seconds between two pictures of the progress, and their pixels
# Seconds on a shared GPU's machine: of the start, of a frame's network step, of a frame's megapixel.
_GPU_START, _GPU_STEP, _GPU_MEGAPIXEL = 15.0, 1 / 60, 0.08
_PIXELS = {"square": 512**2, "crop": 256**2}
LIVE = "live.mp4"  # beside the video in the making
MAX_PATH = 10**6  # letters of a hand's path; a minute at 240 moments a second has half as many
_FILES = ("landmarks", "driving_video", "backdrop", "answer", "second", "poses")  # that may be left out
_IN_BROWSERS = {"JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP"}


@dataclass(frozen=True)
class Request:
    """A request for one video.

    Attributes:
        portrait: path of the photo.
        speech: path of the recording.
        options: the choices for the video.
        landmarks: path of a landmark file to render instead of the prediction, or None.
        driving_video: path of a video whose head, brows and blinks to use, or None.
        backdrop: path of a picture to lay behind the person, or None.
        answer: path of a recording in which somebody answers, or None.
        second: path of the photo of the one who answers; None = another face of the photo.
        poses: path of a table of the head's angles to use, or None.
    """

    portrait: str
    speech: str
    options: Options
    landmarks: str | None = None
    driving_video: str | None = None
    backdrop: str | None = None
    answer: str | None = None
    second: str | None = None
    poses: str | None = None

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Request":
        """Builds a request from the API's arguments by name.

        Raises:
            InputError: the photo or the recording is missing, a value is out of range, or a choice does
                not fit a dialogue.
        """
        if not values.get("portrait"):
            raise InputError("There is no portrait yet", "Upload a photo, or click an example")
        if not values.get("speech"):
            raise InputError("There is no speech yet", "Upload or record some, or click an example")
        options = Options(**{name: value for name, value in values.items() if name in OPTIONS})
        request = cls(
            values["portrait"], values["speech"], options, *(values.get(name) or None for name in _FILES)
        )
        if request.second and not request.answer:
            raise InputError("There is a second person but no answer", "Give a recording of the answer")
        if request.answer and (any(request.motion.values()) or request.backdrop):
            remedy = "Take away the files of motion and the background picture, or the answer"
            raise InputError("In a dialogue the voices alone move the faces", remedy)
        if request.answer and options.background == "matte":
            raise InputError("A dialogue has no transparent background", "Choose another background")
        return request

    @property
    def name(self) -> str:
        """The name of the video's file, from photo and voice: letters, digits, "-" and "_"."""
        stems = (Path(path).stem[:40] for path in (self.portrait, self.speech))
        return "-".join(
            "".join(each if each.isalnum() or each in "-_" else "_" for each in stem) for stem in stems
        )

    @property
    def motion(self) -> dict[str, str | None]:
        """The files of motion, as keywords of `animation.animate`."""
        return {
            "landmark_file": self.landmarks,
            "driving_video": self.driving_video,
            "poses": self.poses,
        }


@dataclass(frozen=True)
class Step:
    """One step of a video's rendering.

    Attributes:
        done: number of finished frames.
        total: number of all frames.
        picture: a small JPEG of the frame, every PICTURE_EVERY seconds.
        video: the file, in the last step.
        note: a sentence on a video that could not be signed, or "".
    """

    done: int
    total: int
    picture: bytes | None = None
    video: Path | None = None
    note: str = ""


def read_speech(path: str) -> Speech:
    """Reads an uploaded recording within the page's limit, see `load_speech`."""
    try:
        return load_speech(path, MAX_SECONDS)
    except TooLong as error:
        raise TooLong(error.problem, f"Cut it to {MAX_SECONDS:g} s or less") from error


def read_beginning(path: str) -> Speech:
    """Reads the first MAX_SECONDS of an uploaded recording, or of a video's sound."""
    speech = load_speech(path)
    return speech.cut(0, min(speech.seconds, MAX_SECONDS))


def read_hand_path(text: str) -> np.ndarray:
    """Reads a hand's path, JSON of [seconds, right, down] each; returns (N, 3) float64.

    Raises:
        InputError: the text is none, or holds no two moments in order.
    """
    problem = InputError("The path of the hand cannot be read", "Hold the face and drag it again")
    if len(text) > MAX_PATH:
        raise problem
    try:
        path = np.array(json.loads(text), float)
    except (ValueError, TypeError) as error:
        raise problem from error
    if path.ndim != 2 or path.shape[1] != 3 or len(path) < 2 or not np.isfinite(path).all():
        raise problem
    if path[0, 0] < 0 or (np.diff(path[:, 0]) < 0).any():
        raise problem
    return path


def photo_size(path: str | None, zoom: float = 1.0, output: str = "photo") -> tuple[int, int] | None:
    """The (height, width) at which an uploaded photo is read, from its header; None without a photo."""
    try:
        with open_file(Path(path or "")) as photo:
            shrink = min(1 / zoom, LONG_SIDE / max(photo.size))
            height, width = photo.height * shrink, photo.width * shrink
            aspect = ASPECTS.get(output, width / height)
            return round(min(height, width / aspect)), round(min(width, height * aspect))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def convert_for_browsers(path: str, folder: Path) -> Path | None:
    """Converts a photo that browsers cannot show (an iPhone's HEIC, TIFF) to a JPEG in the folder.

    Returns:
        Path of the JPEG; None if browsers show the photo, or nobody can read it.
    """
    try:
        with open_file(Path(path)) as photo:
            if photo.format in _IN_BROWSERS:
                return None
        upright = open_photo(path, 2 * LONG_SIDE)  # larger than needed, for a zoom to the head
    except (InputError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    Image.fromarray(upright).save(folder / "portrait.jpg", quality=95)
    return folder / "portrait.jpg"


def make(pipeline: ATLDiffPipeline, animation: Animation, folder: Path) -> Generator[Step, None, None]:
    """Renders and encodes a video into the folder. Closing the generator stops the work.

    The file live.mp4 in the folder plays while it grows; a matte has none.

    Yields:
        One step a frame, and a last one with the video: .mp4, or .webm for a matte.
    """
    frames = (
        render_dialogue(pipeline, animation)
        if isinstance(animation, Dialogue)
        else pipeline.render(
            animation.portrait, animation.landmarks, animation.options, speech=animation.speech
        )
    )
    matte, total = animation.options.background == "matte", len(animation.landmarks.points)
    path = folder / ("talking.webm" if matte else "talking.mp4")
    last, notes = -PICTURE_EVERY, list[str]()
    live = None if matte else folder / LIVE
    encoding = encode_video(
        path, frames, animation.speech, animation.landmarks.fps, warn=notes.append, live=live
    )
    for done, frame in enumerate(encoding, start=1):
        due = time.monotonic() >= last + PICTURE_EVERY
        last = time.monotonic() if due else last
        yield Step(done, total, small_jpeg(frame) if due else None)
    yield Step(total, total, video=path, note=" ".join(notes))


def small_jpeg(frame: np.ndarray) -> bytes:
    """Encodes a frame (H, W, 3 or 4) as a JPEG small enough for several a second."""
    picture = Image.fromarray(frame)
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=70)
    return file.getvalue()


def megapixels(height: int, width: int, output: str) -> float:
    """Megapixels of one frame's output, for a photo of that size in pixels."""
    return _PIXELS.get(output, height * width) / 2**20


def gpu_seconds(animation: Animation, default_steps: int) -> int:
    """Estimates the seconds for which `make` holds a shared GPU, with a margin."""
    steps = animation.options.steps or default_steps
    height, width = animation.portrait.image.shape[:2]
    size = megapixels(height, width, animation.options.output)
    frame = steps * _GPU_STEP + size * _GPU_MEGAPIXEL
    faces = len(animation.people) if isinstance(animation, Dialogue) else 1
    return round(_GPU_START + faces * len(animation.landmarks.points) * frame)


def check_gpu_seconds(seconds: int) -> None:
    """Raises InputError for a video that takes a shared GPU too long."""
    if seconds > GPU_LIMIT:
        raise InputError(
            f"This video would need {seconds} s of the shared GPU, of which one video may take {GPU_LIMIT} s",
            "Choose the size 512 square, fewer steps or a shorter recording",
        )


def stop_on_sigterm() -> None:
    """Makes SIGTERM stop the server as Ctrl-C does, so that no visitor's files are left."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def answer_failure(_: Any, error: Exception) -> PlainTextResponse:
    """Answers a request in which gradio itself fails, as at an upload with a full disk."""
    return PlainTextResponse(explain(error), status_code=500)


def explain(error: Exception) -> str:
    """Explains an error in one sentence: the remedy, or the number of our error in the log."""
    log = logging.getLogger("atldiff")
    if errno.ENOSPC in (getattr(each, "errno", None) for each in (error, error.__cause__)):
        log.error("the disk is full: %s", error)
        return "The server's disk is full. Try again in a few minutes."
    if isinstance(error, InputError):
        return f"{error.problem}. {error.remedy}."
    number = uuid4().hex[:8]
    log.error("error %s", number, exc_info=error)
    return f"Something failed on our side (error {number}). Try again, or report this number."
