"""What the page says of a photo and a recording before the wait."""

import threading
from dataclasses import dataclass, replace

import numpy as np

from atldiff.errors import InputError, TooLong
from atldiff.options import ASPECTS, DEFAULTS, OPTIONS, Options
from atldiff.portrait.portrait import Portrait, SmallFace, load_portrait
from atldiff.portrait.quality import has_black_bars
from atldiff.web.jobs.forecast import Forecast
from atldiff.web.jobs.idle_memory import IdleTimer
from atldiff.web.jobs.request import explain, photo_size, read_speech
from atldiff.web.preview import annotate, format_time, note

SMALL_HEAD = 1 / 4  # side of the network's crop over the photo's longer side; below it the page offers a zoom
ZOOMED_HEAD = 1 / 3  # the same, after the zoom to a tiny head
TINY_HEAD = 1 / 12  # below it the page begins zoomed, if the part is large enough
LEAST_PART = 512  # pixels of the longer side of that part
MAX_ZOOM = OPTIONS["zoom"].metadata["range"][1]
ZOOMED = "The head is small, so the video begins zoomed to it ({:g}). The slider shows more of the photo."
READERS = 2  # photos to read in parallel


@dataclass(frozen=True, eq=False)
class Look:
    """Result of a photo's inspection.

    Attributes:
        words: HTML of the note.
        picture: the annotated photo (h, w, 3) uint8, or None.
        several: whether there is another face to choose.
        small: whether a zoom to the head makes sense.
        zoom: the zoom of the picture.
    """

    words: str = ""
    picture: np.ndarray | None = None
    several: bool = False
    small: bool = False
    zoom: float = DEFAULTS.zoom


class Inspector:
    """Inspects photos and recordings; it keeps nothing of a visitor.

    Args:
        forecast: estimates the time of a video.
    """

    def __init__(self, forecast: Forecast) -> None:
        self._forecast, self._readers = forecast, threading.Semaphore(READERS)
        self._idle_timer = IdleTimer()

    def inspect_photo(
        self,
        path: str | None,
        face: int,
        zoom: float = DEFAULTS.zoom,
        detector: str = DEFAULTS.detector,
        output: str = DEFAULTS.output,
    ) -> Look:
        """Inspects a photo before the wait; the picture has the shape of the video."""
        if not path:
            return Look()
        try:
            options = Options(face=face, zoom=zoom, detector=detector, output=output)
            framing = options.zoom, ASPECTS.get(options.output)
            with self._idle_timer.busy(), self._readers:
                portrait = load_portrait(path, options.face, options.detector, False, *framing)
        except InputError as error:
            small = zoom > DEFAULTS.zoom or isinstance(error, SmallFace)
            return Look(note([explain(error)], "bad"), small=small)
        words = note(portrait.warnings, "warn") or note(["A good photo: one face, seen from the front."])
        small = head_share(portrait) < SMALL_HEAD or zoom > DEFAULTS.zoom or has_black_bars(portrait.image)
        return Look(words, annotate(portrait), len(portrait.faces) > 1, small, zoom)

    def inspect_new_photo(
        self, path: str | None, detector: str = DEFAULTS.detector, output: str = DEFAULTS.output
    ) -> Look:
        """Inspects a photo that just came: a tiny head is zoomed to, so that the video shows its speech."""
        look = self.inspect_photo(path, DEFAULTS.face, detector=detector, output=output)
        if not path or not look.small:
            return look
        try:
            with self._idle_timer.busy(), self._readers:
                head = head_share(load_portrait(path, zoom=MAX_ZOOM, detector=detector)) / MAX_ZOOM
        except InputError:
            return look
        if head >= TINY_HEAD:
            return look
        finest = max(photo_size(path) or (0, 0)) / LEAST_PART
        zoom = min(MAX_ZOOM, int(4 * min(ZOOMED_HEAD / head, finest)) / 4)
        if zoom <= DEFAULTS.zoom:
            return look
        zoomed = self.inspect_photo(path, DEFAULTS.face, zoom, detector, output)
        return replace(zoomed, words=note([ZOOMED.format(zoom)]) + zoomed.words)

    def inspect_speech(self, path: str | None, photo: str | None, options: Options) -> tuple[str, bool]:
        """Inspects a recording before the wait.

        Args:
            path: of the recording.
            photo: path of the photo, for the forecast.
            options: the choices for the video.

        Returns:
            A note with the length and the video's time, or with the problem; and whether the beginning of
            a too long recording can be used instead.
        """
        if not path:
            return "", False
        try:
            speech = read_speech(path)
        except InputError as error:
            return note([explain(error)], "bad"), isinstance(error, TooLong)
        wait = format_time(
            self._forecast.estimate(speech, photo_size(photo, options.zoom, options.output), options)
        )
        length = f"{speech.seconds:.1f} s of {'sound' if speech.warnings else 'speech'}"
        return note(speech.warnings, "warn") + note([f"{length}; its video takes about {wait}."]), False


def head_share(portrait: Portrait) -> float:
    """Side of the network's crop over the longer side of a portrait's picture."""
    return float(portrait.box[2] - portrait.box[0]) / max(portrait.image.shape[:2])
