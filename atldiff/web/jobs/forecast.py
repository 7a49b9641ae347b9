"""Estimates the time of a video, from earlier videos and from its own frame rate."""

from atldiff.media.speech import Speech
from atldiff.options import Options
from atldiff.web.jobs.request import megapixels

# Costs, fitted on a CPU: of a megapixel and of a frame in network steps, of a video's ends in frames.
_MEGAPIXEL, _FRAME, _ENDS = 3.2, 0.3, 15
_SHARE_OF_NEW = 0.5  # weight of the last video in the forecast of the next
_TRUST = 8.0  # seconds for which the forecast outweighs the measured pace, at most
_AHEAD, _MOST_AHEAD = 28, 0.2  # frames at work behind the finished ones, and their largest share
_AT_FIRST = 12  # frames at work behind the first one


class Forecast:
    """Estimates a video's time by a linear model that it fits to finished videos.

    The time is a constant for reading and landmarks, plus rate x effort for the frames. The effort is
    (frames + 15) x (steps + 3.2 x megapixels + 0.3).

    Args:
        rate: seconds per effort, until the first video is finished.
        steps: the weights' default number of DDIM steps.
    """

    def __init__(self, rate: float, steps: int) -> None:
        self._reading, self._rate, self._steps, self._timed = 1.0, rate, steps, False

    def estimate(self, speech: Speech, size: tuple[int, int] | None, options: Options) -> float:
        """Estimates a video's time in seconds; a missing photo size (height, width) counts as 512 x 512."""
        return self._reading + self._rate * self._effort(speech, size, options)

    def learn(
        self, speech: Speech, size: tuple[int, int], options: Options, reading: float, making: float
    ) -> None:
        """Updates the model with a finished video; the first one replaces the initial guess.

        Args:
            speech: the recording.
            size: (height, width) of the photo in pixels.
            options: the choices for the video.
            reading: seconds until the landmarks were ready.
            making: seconds from then on.
        """
        share = _SHARE_OF_NEW if self._timed else 1.0
        self._reading += share * (reading - self._reading)
        self._rate += share * (making / self._effort(speech, size, options) - self._rate)
        self._timed = True

    def _effort(self, speech: Speech, size: tuple[int, int] | None, options: Options) -> float:
        steps, pixels = options.steps or self._steps, megapixels(*(size or (512, 512)), options.output)
        return (speech.num_frames + _ENDS) * (steps + _MEGAPIXEL * pixels + _FRAME)


def seconds_left(estimate: float, done: int, total: int, passed: float) -> float:
    """Estimates the seconds left: by the forecast at first, by the measured pace later.

    Frames arrive in bursts of a window, so the first burst alone suggests far too long a time. The next
    window is at work meanwhile; its expected progress counts as done.

    Args:
        estimate: forecast of the total time in seconds.
        done: number of finished frames.
        total: number of all frames.
        passed: seconds since the start.
    """
    share = done / total
    if done:
        share += min(_AHEAD / total, (_AT_FIRST + done) / total, _MOST_AHEAD) * (1 - share)
    trust = min(0.5 * estimate, _TRUST) * (1 - share)  # weight of the forecast, in seconds of measurement
    pace = (passed + trust) / (share * estimate + trust) if done else 1.0
    return (1 - share) * estimate * pace
