"""The service behind page and API: it animates, previews and verifies."""

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from atldiff.animation import Animation, ImageSource, animate, read_inputs
from atldiff.config import FRAME_RATE
from atldiff.dialogue import mix_turns, read_dialogue
from atldiff.errors import InputError
from atldiff.media.clip import write_clip
from atldiff.media.speech import Speech, load_speech
from atldiff.media.synthesis import synthesise, write_sound
from atldiff.options import AUTOMATIC, DEFAULTS, Options
from atldiff.portrait.photo import crop_square
from atldiff.portrait.portrait import Portrait, load_portrait
from atldiff.provenance.credentials import find_sidecar
from atldiff.provenance.verify import verify
from atldiff.sequence import LandmarkSequence
from atldiff.speech.motion.pose_file import write_hand_poses
from atldiff.web.jobs.close_up import SIDE, close_up, head_box
from atldiff.web.jobs.forecast import Forecast, seconds_left
from atldiff.web.jobs.inspection import Inspector
from atldiff.web.jobs.request import (
    LIVE,
    MAX_SECONDS,
    Request,
    Step,
    convert_for_browsers,
    read_beginning,
    read_hand_path,
    read_speech,
    small_jpeg,
)
from atldiff.web.jobs.waiting_line import Queue
from atldiff.web.preview import annotate, describe, format_time, motion_video

REPORT_EVERY = 0.25  # seconds between two reports of progress, and until a cancelled job stops


@dataclass(frozen=True)
class Report:
    """Progress of a video.

    Attributes:
        words: the stage at work.
        share: of finished frames, 0 to 1; None before the first one.
        picture: JPEG of the newest frame, or None.
        video: the finished file, which exists until the next report.
        live: a file that grows with the frames and plays meanwhile, in its first report; None before it has
            content, and where workers hold it.
        seconds: of the whole video.
        age: seconds since its frames began.
        left: seconds until it is finished, as forecast.
    """

    words: str
    share: float | None = None
    picture: bytes | None = None
    video: Path | None = None
    live: Path | None = None
    seconds: float = 0.0
    age: float = 0.0
    left: float = 0.0


class Service(Inspector):
    """Carries out the requests of page and API.

    It keeps nothing of a visitor: each request reads its inputs anew, and each job removes its folder.
    `predict` and `make` may run in a forked worker with a GPU, so faces are detected here.

    Args:
        predict: `ATLDiffPipeline.landmarks`.
        make: `request.make` with a pipeline.
        recognise: `ATLDiffPipeline.recognise_emotion`; None = do not report the emotion.
        folder: parent of the jobs' folders.
        forecast: estimates the time of a video.
        at_once: number of parallel videos; more than 1 needs several workers, or a GPU that batches windows.
    """

    def __init__(
        self,
        predict: Callable[[Portrait, Speech, Options], LandmarkSequence],
        make: Callable[[Animation, Path], Generator[Step, None, None]],
        recognise: Callable[[LandmarkSequence], str | None] | None,
        folder: str | Path,
        forecast: Forecast,
        at_once: int = 1,
    ) -> None:
        super().__init__(forecast)
        self._predict, self._make, self._recognise, self._folder = predict, make, recognise, folder
        self._queue = Queue(at_once)

    def read(self, request: Request) -> Animation:
        """Reads a request's files and predicts the face's motion.

        Raises:
            InputError: a file cannot be used.
        """
        speech = read_speech(request.speech)
        return animate(request.portrait, speech, request.options, self._predict, **request.motion)

    def animate(self, values: Mapping[str, Any]) -> Iterator[Report]:
        """Makes a video from the API's arguments in its turn. Closing the generator stops the work."""
        request = Request.from_values(values)
        from_voice = request.landmarks is None and request.answer is None
        automatic = from_voice and request.options.emotion == AUTOMATIC
        with self._idle_timer.busy(), self._queue.place() as place:
            yield Report("Reading the photo and the recording")
            begin = time.monotonic()
            with self._readers:
                speech = read_speech(request.speech)
                inputs = request.portrait, speech, request.options
                portrait, speech = read_inputs(*inputs, backdrop=request.backdrop)
                sound = speech
                if request.answer:
                    sound = mix_turns([speech, read_speech(request.answer)], MAX_SECONDS)[-1]
            size, reading = size_of(portrait), time.monotonic() - begin
            estimate = place.seconds = self._estimate(request, sound, size)
            yield Report(f"About {format_time(estimate)} to go", picture=small_jpeg(portrait.image))
            for ahead, seconds in place.waiting():
                yield Report(f"{ahead} before you in the queue: your turn in about {format_time(seconds)}")
            begin = time.monotonic() - reading
            animation = self._move(request, portrait, speech)
            middle = time.monotonic()
            with self._job() as folder:
                emotion = self._emotion_sentence(animation.landmarks) if automatic else ""
                for step, report in self._steps(animation, folder, estimate, begin, emotion):
                    passed = time.monotonic() - begin
                    place.seconds = seconds_left(estimate, step.done, step.total, passed)
                    if report is not None and report.video:
                        report = replace(report, video=name_video(report.video, request.name))
                    if report is not None:
                        yield report
            if not request.answer:
                self._forecast.learn(speech, size, request.options, middle - begin, time.monotonic() - middle)

    def _estimate(self, request: Request, speech: Speech, size: tuple[int, int]) -> float:
        """Estimates a video's seconds; each face of a dialogue moves for all of it."""
        return (2 if request.answer else 1) * self._forecast.estimate(speech, size, request.options)

    def _move(self, request: Request, portrait: Portrait, speech: Speech) -> Animation:
        """Predicts the motion of the face, or of both faces of a dialogue."""
        if request.answer is None:
            return animate(portrait, speech, request.options, self._predict, **request.motion)
        photos: list[ImageSource] = [portrait, request.second] if request.second else [request.portrait]
        turns = [speech, read_speech(request.answer)]
        return read_dialogue(photos, turns, request.options, self._predict, MAX_SECONDS)

    def _steps(
        self, animation: Animation, folder: Path, estimate: float, begin: float, emotion: str
    ) -> Iterator[tuple[Step, Report | None]]:
        """Makes a video and reports at each picture, each REPORT_EVERY seconds, and when it can be played.

        Args:
            animation: the input of rendering.
            folder: of the job.
            estimate: forecast of the total time in seconds.
            begin: start by `time.monotonic`.
            emotion: sentence on the recognised emotion, or "".
        """
        reported, live, plays, start = 0.0, folder / LIVE, False, time.monotonic()
        with closing(self._make(animation, folder)) as steps:
            for step in steps:
                passed, share = time.monotonic() - begin, step.done / step.total
                begins = not plays and live.is_file()
                if step.video:
                    result = f"{step.total / FRAME_RATE:.1f} s of video in {format_time(passed)}"
                    note = f" {step.note}" if step.note else ""
                    yield step, Report(f"Done: {result}.{emotion}{note}", 1.0, video=step.video)
                elif begins or step.picture or time.monotonic() > reported + REPORT_EVERY:
                    reported = time.monotonic()
                    left = seconds_left(estimate, step.done, step.total, passed)
                    words = f"Making frames: {step.done} of {step.total}, about {format_time(left)} left"
                    plays = plays or begins
                    playing = live if begins else None
                    times = step.total / FRAME_RATE, reported - start, left
                    yield step, Report(words, share, step.picture, None, playing, *times)
                else:
                    yield step, None

    def _emotion_sentence(self, landmarks: LandmarkSequence) -> str:
        """A sentence on the emotion in the recording behind predicted landmarks, or "" if none is sure."""
        emotion = self._recognise(landmarks) if self._recognise else None
        return f" Emotion heard: {emotion}." if emotion else ""

    def warm_up(self, portrait: str | Path, recording: str | Path) -> None:
        """Makes two short videos: the first warms the networks, the second fits the forecast."""
        for warm, seconds in ((False, 0.3), (True, 1.0)):
            speech = load_speech(recording).cut(0, seconds)
            begin, animation = time.monotonic(), animate(portrait, speech, DEFAULTS, self._predict)
            middle = time.monotonic()
            with self._job() as folder:
                for _ in self._make(animation, folder):
                    pass
            if warm:
                size = size_of(animation.portrait)
                self._forecast.learn(speech, size, DEFAULTS, middle - begin, time.monotonic() - middle)

    def landmarks(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields the paths of the landmark file and of a video of the moving landmarks."""
        request, file_format = Request.from_values(values), values.get("file_format") or "npz"
        if file_format not in ("npz", "json"):
            raise InputError(f"file_format cannot be {str(file_format)[:40]}", "Choose one of npz, json")
        with self._job() as folder:
            animation = self.read(request)
            path = animation.landmarks.save(folder / f"landmarks.{file_format}")
            yield str(path), str(motion_video(folder / "motion.mp4", animation))

    def preview(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields the paths of the landmark file and of a video of two seconds of the face; see `close_up`."""
        request = Request.from_values(values)
        with self._job() as folder:
            animation = self.read(request)
            path = animation.landmarks.save(folder / f"landmarks.{values['file_format']}")
            *_, last = self._make(close_up(animation), folder)
            yield str(path), str(last.video)

    def head(self, portrait: str | None, face: int, detector: str) -> bytes:
        """The picture of the head that a hand may drag, a JPEG of the preview's part of the photo."""
        if not portrait:
            raise InputError("There is no portrait yet", "Upload a photo, or click an example")
        with self._idle_timer.busy(), self._readers:
            person = load_portrait(portrait, face, detector)
            return small_jpeg(crop_square(person.image, head_box(person), SIDE))

    def turn_by_hand(self, path: str, speech: str | None) -> Iterator[str]:
        """Yields the path of a table of poses from a hand's path, see `write_hand_poses`.

        Args:
            path: JSON of [seconds, right, down] each.
            speech: path of the recording.
        """
        points = read_hand_path(path)
        with self._job() as folder, self._readers:
            yield str(write_hand_poses(folder / "by-hand.csv", points, read_speech(speech or "").num_frames))

    def check_portrait(self, values: Mapping[str, Any]) -> Iterator[tuple[dict, np.ndarray]]:
        """Yields a portrait's description, and the annotated photo."""
        path = values.get("portrait")
        options = Options(**{name: values[name] for name in ("face", "detector") if name in values})
        if not path:
            raise InputError("There is no portrait yet", "Upload a photo, or click an example")
        with self._idle_timer.busy():
            portrait = load_portrait(path, options.face, options.detector)
            yield describe(portrait), annotate(portrait)

    def verify(self, values: Mapping[str, Any]) -> Iterator[dict]:
        """Yields what a file, with its sidecar if it has one, says about itself; see `Verdict.to_dict`."""
        path = values.get("file")
        if not path:
            raise InputError("There is no file yet", "Upload a video")
        with self._readers:
            yield verify(path, sidecar=values.get("credentials")).to_dict()

    def convert_for_browsers(self, portrait: str) -> Iterator[str]:
        """Yields the path of a photo's JPEG if browsers cannot show the photo itself."""
        with self._job() as folder, self._readers:
            if path := convert_for_browsers(portrait, folder):
                yield str(path)

    def first_minute(self, speech: str) -> Iterator[str]:
        """Yields the path of a file with the first MAX_SECONDS of a recording or a video's sound."""
        yield from self._sound(lambda: read_beginning(speech))

    def clip(self, video: str | None, kind: str) -> Iterator[str]:
        """Yields the path of the first seconds of a video as a picture: kind is ".gif" or ".webp"."""
        if not video:
            raise InputError("There is no video yet", "Press Animate")
        with self._job() as folder, self._readers:
            yield str(write_clip(video, folder / f"{Path(video).stem}{kind}"))

    def say(self, text: str, voice: str) -> Iterator[str]:
        """Yields the path of a file in which a computer's voice says a text."""
        yield from self._sound(lambda: synthesise(text, voice, MAX_SECONDS))

    def _sound(self, make: Callable[[], Speech]) -> Iterator[str]:
        with self._job() as folder:
            yield str(write_sound(folder / "speech.wav", make()))

    @contextmanager
    def _job(self) -> Iterator[Path]:
        """Makes a folder for the files of one job, and removes it with the job's end."""
        with (
            self._idle_timer.busy(),
            tempfile.TemporaryDirectory(prefix="job-", dir=self._folder) as folder,
        ):
            yield Path(folder)


def name_video(video: Path, name: str) -> Path:
    """Renames a video and its sidecar; returns the video's new path."""
    if sidecar := find_sidecar(video):
        sidecar.rename(sidecar.with_stem(name))
    return video.rename(video.with_stem(name))


def size_of(portrait: Portrait) -> tuple[int, int]:
    """(height, width) of a portrait's photo in pixels."""
    return portrait.image.shape[0], portrait.image.shape[1]
