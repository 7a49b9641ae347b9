"""Requests in, videos out: the three things that the page's API offers."""

import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atldiff.animation import Animation, animate, read_inputs
from atldiff.config import FRAME_RATE
from atldiff.errors import InputError, TooLong
from atldiff.media.speech import Speech, load_speech
from atldiff.media.synthesis import synthesise, write_sound
from atldiff.options import AUTOMATIC, DEFAULTS, Options
from atldiff.portrait.portrait import Portrait, SmallFace, load_portrait
from atldiff.sequence import LandmarkSequence
from atldiff.web.jobs.forecast import Forecast, seconds_left
from atldiff.web.jobs.idle_memory import Idleness
from atldiff.web.jobs.request import (
    MAX_SECONDS,
    Request,
    Step,
    convert_for_browsers,
    explain,
    photo_size,
    read_beginning,
    read_speech,
)
from atldiff.web.jobs.waiting_line import Queue
from atldiff.web.preview import annotate, describe, format_time, motion_video, note

REPORT_EVERY = 0.25  # seconds between two reports of progress, and until a cancelled job stops
SMALL_HEAD = 1 / 3  # side of the network's crop over the photo's longer side; below it one may zoom
READERS = 2  # photos that are looked at side by side


@dataclass(frozen=True)
class Report:
    """How far a video is.

    Attributes:
        words: what is being done.  share: of its frames that are made, 0 to 1; None while it waits.
        picture: JPEG of the frame at hand, where there is a fresh one.
        video: the finished file, which is there until the next report.
    """

    words: str
    share: float | None = None
    picture: bytes | None = None
    video: Path | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """What is said of a photo before the wait.

    Attributes:
        words: HTML of the note.  picture: the photo with all that was found, or None.
        several: whether another face may be chosen.  small: whether zooming to the head makes sense.
    """

    words: str = ""
    picture: np.ndarray | None = None
    several: bool = False
    small: bool = False


class Service:
    """What a server makes. It keeps nothing of a visitor: inputs are read anew for each request, and a job's
    folder is gone when the job is over.

    Args:
        predict: `ATLDiffPipeline.landmarks`.  make: `request.make` with a pipeline. On a GPU they may run in
            a forked worker, which is why faces are found here and not there.
        heard: `ATLDiffPipeline.recognise_emotion`, or None: it is not told.
        folder: where each job gets a folder of its own.
        forecast: of the time that a video takes.
        at_once: videos that are made side by side; more than one only where a GPU batches their windows, or
            where several workers make them.
    """

    def __init__(
        self,
        predict: Callable[[Portrait, Speech, Options], LandmarkSequence],
        make: Callable[[Animation, Path], Generator[Step, None, None]],
        heard: Callable[[LandmarkSequence], str | None] | None,
        folder: str | Path,
        forecast: Forecast,
        at_once: int = 1,
    ) -> None:
        self._predict, self._make, self._heard, self._folder = predict, make, heard, folder
        self._forecast, self._queue, self._readers = forecast, Queue(at_once), threading.Semaphore(READERS)
        self._idleness = Idleness()

    def read(self, request: Request) -> Animation:
        """Reads a request's files and finds how its face moves.

        Raises:
            InputError: anything wrong with them.
        """
        speech = read_speech(request.speech)
        return animate(request.portrait, speech, request.options, self._predict, request.landmarks)

    def animate(self, values: Mapping[str, Any]) -> Iterator[Report]:
        """Makes a video of the API's arguments, when its turn comes; closing the generator stops the work."""
        request = Request.from_values(values)
        automatic = request.landmarks is None and request.options.emotion == AUTOMATIC
        with self._idleness.busy(), self._queue.place() as place:
            yield Report("Reading the photo and the recording")
            begin = time.monotonic()
            with self._readers:
                speech = read_speech(request.speech)
                portrait, speech = read_inputs(request.portrait, speech, request.options)
            size, reading = size_of(portrait), time.monotonic() - begin
            expected = place.seconds = self._forecast.expected(speech, size, request.options)
            for ahead, seconds in place.waiting():
                yield Report(f"{ahead} before you in the queue: your turn in about {format_time(seconds)}")
            begin = time.monotonic() - reading
            animation = animate(portrait, speech, request.options, self._predict, request.landmarks)
            read = time.monotonic()
            with self._job() as folder:
                heard = self._heard_in(animation.landmarks) if automatic else ""
                for step, report in self._steps(animation, folder, expected, begin, heard):
                    passed = time.monotonic() - begin
                    place.seconds = seconds_left(expected, step.done, step.total, passed)
                    if report is not None:
                        yield report
            self._forecast.learn(speech, size, request.options, read - begin, time.monotonic() - read)

    def _steps(
        self, animation: Animation, folder: Path, expected: float, begin: float, heard: str
    ) -> Iterator[tuple[Step, Report | None]]:
        """The making of a video; a report with each picture and now and then, the last with the video.

        Args:
            heard: what is said of the emotion, or "".
        """
        reported = 0.0
        with closing(self._make(animation, folder)) as steps:
            for step in steps:
                passed, share = time.monotonic() - begin, step.done / step.total
                if step.video:
                    made = f"{step.total / FRAME_RATE:.1f} s of video in {format_time(passed)}"
                    yield step, Report(f"Done: {made}.{heard}", 1.0, video=step.video)
                elif step.picture or time.monotonic() > reported + REPORT_EVERY:
                    reported = time.monotonic()
                    left = format_time(seconds_left(expected, step.done, step.total, passed))
                    words = f"Making frames: {step.done} of {step.total}, about {left} left"
                    yield step, Report(words, share, step.picture)
                else:
                    yield step, None

    def _heard_in(self, landmarks: LandmarkSequence) -> str:
        """The emotion heard in the recording behind predicted landmarks, in words, or ""."""
        return f" Emotion heard: {self._heard(landmarks) or 'none for sure'}." if self._heard else ""

    def warm_up(self, portrait: str | Path, recording: str | Path, seconds: float = 1.0) -> None:
        """Makes a short video for nobody, twice: then the networks are ready for the first visitor, and the
        forecast has been measured.
        """
        speech = load_speech(recording).cut(0, seconds)
        for measured in (False, True):
            begin, animation = time.monotonic(), animate(portrait, speech, DEFAULTS, self._predict)
            read = time.monotonic()
            with self._job() as folder:
                for _ in self._make(animation, folder):
                    pass
            if measured:
                size = size_of(animation.portrait)
                self._forecast.learn(speech, size, DEFAULTS, read - begin, time.monotonic() - read)

    def landmarks(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The landmark file and a video of the moving landmarks."""
        request, file_format = Request.from_values(values), values.get("file_format") or "npz"
        if file_format not in ("npz", "json"):
            raise InputError(f"file_format cannot be {str(file_format)[:40]}", "Choose one of npz, json")
        with self._job() as folder:
            animation = self.read(request)
            saved = animation.landmarks.save(folder / f"landmarks.{file_format}")
            yield str(saved), str(motion_video(folder / "motion.mp4", animation))

    def check_portrait(self, values: Mapping[str, Any]) -> Iterator[tuple[dict, np.ndarray]]:
        """What was found in a photo, and the photo with it drawn."""
        portrait = values.get("portrait")
        options = Options(**{name: values[name] for name in ("face", "detector") if name in values})
        if not portrait:
            raise InputError("There is no portrait yet", "Upload a photo, or click an example")
        with self._idleness.busy():
            found = load_portrait(portrait, options.face, options.detector)
            yield describe(found), annotate(found)

    def inspect_photo(
        self,
        portrait: str | None,
        face: int,
        zoom: float = DEFAULTS.zoom,
        detector: str = DEFAULTS.detector,
    ) -> Look:
        """A photo before the wait."""
        if not portrait:
            return Look()
        try:
            options = Options(face=face, zoom=zoom, detector=detector)
            with self._idleness.busy(), self._readers:
                found = load_portrait(portrait, options.face, options.detector, zoom=options.zoom)
        except InputError as error:
            small = zoom > DEFAULTS.zoom or isinstance(error, SmallFace)
            return Look(note([explain(error)], "bad"), small=small)
        words = note(found.warnings, "warn") or note(["A good photo: one face, seen from the front."])
        head = (found.box[2] - found.box[0]) / max(found.image.shape[:2])
        small = bool(head < SMALL_HEAD) or zoom > DEFAULTS.zoom
        return Look(words, annotate(found), len(found.faces) > 1, small)

    def convert_for_browsers(self, portrait: str) -> Iterator[str]:
        """A photo that browsers do not show as one that they do; nothing if they show it, or nobody can."""
        with self._job() as folder, self._readers:
            if path := convert_for_browsers(portrait, folder):
                yield str(path)

    def inspect_speech(self, speech: str | None, portrait: str | None, options: Options) -> tuple[str, bool]:
        """A recording before the wait: (note of its length and its video's time, or the problem; can its
        beginning be used instead?).
        """
        if not speech:
            return "", False
        try:
            heard = read_speech(speech)
        except InputError as error:
            return note([explain(error)], "bad"), isinstance(error, TooLong)
        wait = format_time(self._forecast.expected(heard, photo_size(portrait, options.zoom), options))
        length = f"{heard.seconds:.1f} s of {'sound' if heard.warnings else 'speech'}"
        return note(heard.warnings, "warn") + note([f"{length}; its video takes about {wait}."]), False

    def first_minute(self, speech: str) -> Iterator[str]:
        """The beginning of a recording or a video's sound, as much as the page takes, as a file."""
        yield from self._sound(lambda: read_beginning(speech))

    def say(self, text: str, voice: str) -> Iterator[str]:
        """A typed text, said by a computer's voice, as a file."""
        yield from self._sound(lambda: synthesise(text, voice, MAX_SECONDS))

    def _sound(self, make: Callable[[], Speech]) -> Iterator[str]:
        with self._job() as folder:
            yield str(write_sound(folder / "speech.wav", make()))

    @contextmanager
    def _job(self) -> Iterator[Path]:
        """A folder for the files of one job, which is gone when the job is over."""
        with (
            self._idleness.busy(),
            tempfile.TemporaryDirectory(prefix="job-", dir=self._folder) as folder,
        ):
            yield Path(folder)


def size_of(portrait: Portrait) -> tuple[int, int]:
    """(height, width) of its photo."""
    return portrait.image.shape[0], portrait.image.shape[1]
