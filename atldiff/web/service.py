"""Orders in, videos out: the three things that the page's API offers, and what they cost."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.media.audio import Speech
from atldiff.portrait.face import Portrait, segment
from atldiff.sequence import LandmarkSequence
from atldiff.speech.motion import edit_landmarks
from atldiff.web.preview import annotated, findings, motion_video, note, progress, spoken_time
from atldiff.web.request import AUTOMATIC, Order, Step, Take, read_portrait, read_speech, uploaded

LOOK = 0.25  # seconds between two reports of progress, and until a cancelled job stops


class Workshop:
    """What a server makes. `animate`, `landmarks` and `check_portrait` are endpoints: arguments may be
    left out from the third on, and their docstrings are what people and agents read.

    Args:
        predict, make: those of `session` with a pipeline; on a GPU they may run in a forked worker,
            which is why faces are found here and not there.
        folder: where each job gets a folder of its own, gone when the job is over.
        pace: seconds per effort until a job has been timed.
    """

    def __init__(
        self,
        predict: Callable[[Portrait, Speech, str | None], LandmarkSequence],
        make: Callable[[Take], Iterator[Step]],
        folder: str | Path,
        pace: float,
    ) -> None:
        self._make, self._folder, self.pace = make, folder, Pace(pace)

        @lru_cache(maxsize=16)
        def predicted(photo: str, face: int, recording: str, emotion: str | None) -> LandmarkSequence:
            return predict(read_portrait(photo, face), read_speech(recording), emotion)

        self._predicted = predicted  # once; the sliders only edit it

    def animate(
        self,
        portrait: str,
        speech: str,
        face: int = 0,
        emotion: str = AUTOMATIC,
        expression: float = 1.0,
        lips: float = 1.0,
        sway: float = 1.0,
        blinks: float = 1.0,
        steps: int = 2,
        seed: int = 0,
        output: str = "photo",
        background: str = "keep",
        landmarks: str | None = None,
    ) -> Iterator[tuple[Step, float]]:
        """Make a video in which the person of a photo says what is heard in a recording.

        Use it only with the consent of the person shown. The file's metadata says that it is AI-generated.

        Args:
            portrait: photo of one person from the front (JPEG, PNG or WebP, at most 20 MB).
            speech: recording of speech (WAV, MP3, M4A, FLAC or OGG, at most 60 seconds and 20 MB).
            face: which face of the photo, 0 = the largest; check_portrait lists them.
            emotion: automatic = as heard in the recording, or the emotion to show.
            expression: size of the movements that are not speech, 0 = still, 1 = as heard, at most 2.
            lips: size of the movements of lips and chin, 0 to 2.
            sway: size of the head's slow movement, 0 = still head, at most 2.
            blinks: how often the eyes blink, 0 = never, 1 = 17 times a minute, at most 2.
            steps: diffusion steps, 1 (fastest) to 8.
            seed: any whole number; the same one gives the same video.
            output: photo = the whole photo, square = 512 x 512 round the head, crop = 128 x 128.
            background: keep, green = green screen, matte = transparent (a .webm file).
            landmarks: landmark file (.npz or .json) to render instead of the predicted motion.

        Returns:
            The video: H.264 and AAC in .mp4 at 30 frames a second, or .webm for a matte.
        """
        order = Order(
            portrait, speech, face, emotion, expression, lips, sway, blinks, steps, seed,
            output, background, landmarks,
        )  # fmt: skip
        yield from self.steps(order)

    def landmarks(
        self,
        portrait: str,
        speech: str,
        face: int = 0,
        emotion: str = AUTOMATIC,
        expression: float = 1.0,
        lips: float = 1.0,
        sway: float = 1.0,
        blinks: float = 1.0,
        seed: int = 0,
        file_format: str = "npz",
    ) -> Iterator[tuple[str, str]]:
        """Predict how a face moves with a recording, without making the video: quick, to look at or edit.

        Args:
            portrait: photo of one person from the front (JPEG, PNG or WebP, at most 20 MB).
            speech: recording of speech (WAV, MP3, M4A, FLAC or OGG, at most 60 seconds and 20 MB).
            face: which face of the photo, 0 = the largest.
            emotion: automatic = as heard in the recording, or the emotion to show.
            expression: size of the movements that are not speech, 0 to 2.
            lips: size of the movements of lips and chin, 0 to 2.
            sway: size of the head's slow movement, 0 to 2.
            blinks: how often the eyes blink, 0 to 2.
            seed: any whole number; the same one gives the same motion.
            file_format: npz or json.

        Returns:
            The landmark file (68 points a frame in pixels of the photo, 30 frames a second), which the
            argument landmarks of animate takes, and a video of the moving landmarks (at most 10 seconds).
        """
        order = Order(portrait, speech, face, emotion, expression, lips, sway, blinks, seed=seed)
        if file_format not in ("npz", "json"):
            raise InputError(f"Landmarks cannot be saved as {file_format}", "Choose npz or json")
        take = self.ready(order)
        with tempfile.TemporaryDirectory(prefix="take-", dir=self._folder) as folder:
            saved = take.sequence.save(Path(folder) / f"landmarks.{file_format}")
            shown = motion_video(Path(folder) / "motion.mp4", take.portrait, take.sequence, take.speech)
            yield str(saved), str(shown)

    def check_portrait(self, portrait: str, face: int = 0) -> Iterator[tuple[dict, np.ndarray]]:
        """Find the faces of a photo and say what would make its video worse.

        Args:
            portrait: photo of one person from the front (JPEG, PNG or WebP, at most 20 MB).
            face: which face to look at, 0 = the largest.

        Returns:
            size (width, height), faces (x0, y0, x1, y1 each, the largest first), face, crop and the 68
            landmarks, in pixels of the upright photo, and warnings; and the photo with all of them drawn.
        """
        if not portrait:
            raise InputError("There is no portrait yet", "Upload a photo, or click an example")
        found = read_portrait(portrait, face)
        yield findings(found), annotated(found)

    def watch(self, live: bool, order: Order) -> Iterator[tuple[str | None, str, str | None]]:
        """An order as the page shows it: (video or a piece, progress, finished file); None = as it was."""
        yield None, progress("Reading the photo and the recording", 0.0), None
        begin, looked = time.monotonic(), 0.0
        for step, left in self.steps(order, live):
            words = f"Making frames: {step.done} of {step.total}, {spoken_time(left)} left"
            line = progress(words, step.done / step.total)
            for piece in step.pieces:
                yield str(piece), line, None
            if step.video:
                took = time.monotonic() - begin
                done = progress(f"Done: {step.total / FRAME_RATE:.1f} s of video in {took:.1f} s.")
                playing = live and step.video.suffix == ".mp4"  # to its end, then the page shows the file
                yield None if playing else str(step.video), done, str(step.video)
            elif time.monotonic() > looked + LOOK:
                looked = time.monotonic()
                yield None, line, None

    def see(self, portrait: str | None, face: int) -> tuple[np.ndarray | None, bool, str, str]:
        """A photo at first glance: (annotated picture, are there several faces, note, problem)."""
        if not portrait:
            return None, False, "", ""
        try:
            found = read_portrait(portrait, face)
        except InputError as error:
            return None, False, note([f"{error.problem}. {error.remedy}."], "bad"), str(error)
        good = note(["A good photo: one face, seen from the front."])
        return annotated(found), len(found.faces) > 1, note(found.warnings, "warn") or good, ""

    def hear(self, speech: str | None, portrait: str | None, steps: int, output: str) -> tuple[str, str]:
        """A recording at first glance: (note with its length and the time its video takes, problem)."""
        if not speech:
            return "", ""
        try:
            heard = read_speech(speech)
        except InputError as error:
            return note([f"{error.problem}. {error.remedy}."], "bad"), str(error)
        try:
            found = read_portrait(portrait) if portrait else None
        except InputError:
            found = None  # which is said beside the photo
        wait = spoken_time(self.pace.expected(heard, found, steps, output))
        return note([f"{heard.seconds:.1f} s of speech; its video takes about {wait}."]), ""

    def ready(self, order: Order) -> Take:
        """Reads an order and gives it its landmarks, the predicted ones edited as it says.

        Raises:
            InputError: anything wrong with the order's files or values.
        """
        speech, portrait = read_speech(order.speech), read_portrait(order.portrait, order.face)
        take = Take(order, portrait, speech)
        if order.landmarks:
            return replace(take, sequence=uploaded(take))
        predicted = self._predicted(order.portrait, order.face, order.speech, order.chosen_emotion)
        points = edit_landmarks(predicted.points, portrait.landmarks, speech, order.motion, int(order.seed))
        return replace(take, sequence=replace(predicted, points=points))

    def steps(self, order: Order, live: bool = False) -> Iterator[tuple[Step, float]]:
        """Makes a video: (step, seconds left). A step's files are there until the next step; when the
        generator is closed the work stops.
        """
        take = self.ready(order)
        if order.background != "keep":
            cut_out = replace(take.portrait, alpha=segment(take.portrait.image))
            take = replace(take, portrait=cut_out)
        with tempfile.TemporaryDirectory(prefix="take-", dir=self._folder) as folder:
            take, begin = replace(take, folder=Path(folder), live=live), time.monotonic()
            with closing(self._make(take)) as steps:
                for step in steps:
                    yield step, (time.monotonic() - begin) / step.done * (step.total - step.done)
            self.pace.learn(take, time.monotonic() - begin)


class Pace:
    """Learns from every finished job how long the next one will take.

    Time is taken to be proportional to frames x (steps + megapixels + 0.5).
    """

    def __init__(self, seconds_per_effort: float) -> None:
        self._rate = seconds_per_effort

    def expected(self, speech: Speech, portrait: Portrait | None, steps: int, output: str) -> float:
        """Seconds; a portrait that is not there yet is taken for one of 512 x 512."""
        return self._rate * _effort(speech, portrait, steps, output)

    def learn(self, take: Take, seconds: float) -> None:
        """Takes the time of a finished job into account."""
        order = take.order
        effort = _effort(take.speech, take.portrait, order.steps, order.output)
        self._rate += 0.5 * (seconds / effort - self._rate)


def _effort(speech: Speech, portrait: Portrait | None, steps: int, output: str) -> float:
    photo = 512**2 if portrait is None else portrait.image.shape[0] * portrait.image.shape[1]
    pixels = {"square": 512**2, "crop": 256**2}.get(output, photo)
    return speech.num_frames * (steps + pixels / 2**20 + 0.5)
