"""Requests in, videos out: the three things that the page's API offers, and how long they take."""

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from atldiff.animation import Animation, animate
from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.media.audio import Speech
from atldiff.options import Options
from atldiff.portrait.face import Portrait, load_portrait
from atldiff.sequence import LandmarkSequence
from atldiff.web.preview import annotated, findings, motion_video, note, progress, spoken_time
from atldiff.web.request import Request, Step, megapixels, photo_size, read_speech

REPORT_EVERY = 0.25  # seconds between two reports of progress, and until a cancelled job stops


class Service:
    """What a server makes. It keeps nothing of a visitor: inputs are read anew for each request, and a job's
    folder is gone when the job is over.

    Args:
        predict: `ATLDiffPipeline.landmarks`.  make: `request.make` with a pipeline. On a GPU they may run in
            a forked worker, which is why faces are found here and not there.
        folder: where each job gets a folder of its own.
        pace: seconds per effort until a job has been timed.
    """

    def __init__(
        self,
        predict: Callable[[Portrait, Speech, Options], LandmarkSequence],
        make: Callable[[Animation, Path, bool], Generator[Step, None, None]],
        folder: str | Path,
        pace: float,
    ) -> None:
        self._predict, self._make, self._folder = predict, make, folder
        self.forecast = Forecast(pace)

    def read(self, request: Request) -> Animation:
        """Reads a request's files and finds how its face moves.

        Raises:
            InputError: anything wrong with them.
        """
        speech = read_speech(request.speech)
        return animate(request.portrait, speech, request.options, self._predict, request.landmarks)

    def animate(self, values: Mapping[str, Any], live: bool = False) -> Iterator[tuple[Step, float]]:
        """Makes a video of the API's arguments: (step, seconds left). A step's files are there until the
        next step; when the generator is closed the work stops.
        """
        animation = self.read(Request.of(values))
        with tempfile.TemporaryDirectory(prefix="job-", dir=self._folder) as folder:
            begin = time.monotonic()
            with closing(self._make(animation, Path(folder), live)) as steps:
                for step in steps:
                    yield step, (time.monotonic() - begin) / step.done * (step.total - step.done)
            self.forecast.learn(animation, time.monotonic() - begin)

    def landmarks(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The landmark file and a video of the moving landmarks."""
        request, file_format = Request.of(values), values.get("file_format") or "npz"
        if file_format not in ("npz", "json"):
            raise InputError(f"Landmarks cannot be saved as {file_format}", "Choose npz or json")
        animation = self.read(request)
        with tempfile.TemporaryDirectory(prefix="job-", dir=self._folder) as folder:
            saved = animation.landmarks.save(Path(folder) / f"landmarks.{file_format}")
            yield str(saved), str(motion_video(Path(folder) / "motion.mp4", animation))

    def check_portrait(self, values: Mapping[str, Any]) -> Iterator[tuple[dict, np.ndarray]]:
        """What was found in a photo, and the photo with it drawn."""
        portrait, options = (
            values.get("portrait"),
            Options(**{name: values[name] for name in ("face",) if name in values}),
        )
        if not portrait:
            raise InputError("There is no portrait yet", "Upload a photo, or click an example")
        found = load_portrait(portrait, options.face)
        yield findings(found), annotated(found)

    def watch(self, values: Mapping[str, Any], live: bool) -> Iterator[tuple[str | None, str, str | None]]:
        """A request as the page shows it: (video or a piece, progress, finished file); None = as it was."""
        yield None, progress("Reading the photo and the recording", 0.0), None
        begin, reported = time.monotonic(), 0.0
        for step, left in self.animate(values, live):
            words = f"Making frames: {step.done} of {step.total}, {spoken_time(left)} left"
            line = progress(words, step.done / step.total)
            for piece in step.pieces:
                yield str(piece), line, None
            if step.video:
                took = time.monotonic() - begin
                done = progress(f"Done: {step.total / FRAME_RATE:.1f} s of video in {took:.1f} s.")
                playing = live and step.video.suffix == ".mp4"  # to its end, then the page shows the file
                yield None if playing else str(step.video), done, str(step.video)
            elif time.monotonic() > reported + REPORT_EVERY:
                reported = time.monotonic()
                yield None, line, None

    def inspect_photo(self, portrait: str | None, face: int) -> tuple[np.ndarray | None, bool, str, str]:
        """A photo before the wait: (annotated picture, are there several faces, note, problem)."""
        if not portrait:
            return None, False, "", ""
        try:
            found = load_portrait(portrait, Options(face=face).face)
        except InputError as error:
            return None, False, note([f"{error.problem}. {error.remedy}."], "bad"), str(error)
        good = note(["A good photo: one face, seen from the front."])
        return annotated(found), len(found.faces) > 1, note(found.warnings, "warn") or good, ""

    def inspect_speech(
        self, speech: str | None, portrait: str | None, steps: int, output: str
    ) -> tuple[str, str]:
        """A recording before the wait: (note with its length and the time its video takes, problem)."""
        if not speech:
            return "", ""
        try:
            heard = read_speech(speech)
        except InputError as error:
            return note([f"{error.problem}. {error.remedy}."], "bad"), str(error)
        wait = spoken_time(self.forecast.expected(heard, photo_size(portrait), steps, output))
        return note([f"{heard.seconds:.1f} s of speech; its video takes about {wait}."]), ""


class Forecast:
    """Learns from every finished job how long the next one will take.

    Time is taken to be proportional to frames x (steps + megapixels + 0.5).
    """

    def __init__(self, seconds_per_effort: float) -> None:
        self._rate = seconds_per_effort

    def expected(self, speech: Speech, size: tuple[int, int] | None, steps: int, output: str) -> float:
        """Seconds; a photo (height, width) that is not there yet is taken for one of 512 x 512."""
        return self._rate * _effort(speech, size, steps, output)

    def learn(self, animation: Animation, seconds: float) -> None:
        """Takes the time of a finished job into account."""
        options, (height, width) = animation.options, animation.portrait.image.shape[:2]
        effort = _effort(animation.speech, (height, width), options.steps or 1, options.output)
        self._rate += 0.5 * (seconds / effort - self._rate)


def _effort(speech: Speech, size: tuple[int, int] | None, steps: int, output: str) -> float:
    return speech.num_frames * (steps + megapixels(*(size or (512, 512)), output) + 0.5)
