"""How long a video takes: before it is begun, from those made before it; while it is made, from both."""

from atldiff.media.speech import Speech
from atldiff.options import Options
from atldiff.web.jobs.request import megapixels

# Fitted on a CPU: what a megapixel and a frame cost, in steps of the network; what the ends do, in frames.
_MEGAPIXEL, _FRAME, _ENDS = 3.2, 0.3, 15
_SHARE_OF_NEW = 0.5  # of the last video in what is expected of the next
_TRUST = 8.0  # seconds after which at the latest the forecast gives way to what was measured
_AHEAD, _MOST_AHEAD = 28, 0.2  # frames in work when others are handed out; their share at most
_AT_FIRST = 12  # frames in work when the first is handed out


class Forecast:
    """Learns from every finished video how long the next one will take.

    Time is taken to be a constant part, for reading the inputs and predicting the landmarks, and one
    proportional to (frames + 15) x (steps + 3.2 x megapixels + 0.3). Both are measured, each by itself.

    Args:
        rate: seconds for one frame of effort 1, until a video has been timed.
        steps: the weights' own.
    """

    def __init__(self, rate: float, steps: int) -> None:
        self._reading, self._rate, self._steps, self._timed = 1.0, rate, steps, False

    def expected(self, speech: Speech, size: tuple[int, int] | None, options: Options) -> float:
        """Seconds for a video; a photo (height, width) that is not there yet counts as one of 512 x 512."""
        return self._reading + self._rate * self._effort(speech, size, options)

    def learn(
        self, speech: Speech, size: tuple[int, int], options: Options, reading: float, making: float
    ) -> None:
        """Takes the time of a finished video into account; of the first, in the place of the guess.

        Args:
            reading, making: seconds until its landmarks were there, and from then on.
        """
        share = _SHARE_OF_NEW if self._timed else 1.0
        self._reading += share * (reading - self._reading)
        self._rate += share * (making / self._effort(speech, size, options) - self._rate)
        self._timed = True

    def _effort(self, speech: Speech, size: tuple[int, int] | None, options: Options) -> float:
        steps, pixels = options.steps or self._steps, megapixels(*(size or (512, 512)), options.output)
        return (speech.num_frames + _ENDS) * (steps + _MEGAPIXEL * pixels + _FRAME)


def seconds_left(expected: float, done: int, total: int, passed: float) -> float:
    """Time that the rest of a video takes: by the forecast at first, by what was measured soon.

    Frames come in bursts, a window at a time: the first of them would tell a time many times too long. While
    they are handed out the next window is in work already, which counts as far as it goes.

    Args:
        expected: seconds forecast for the whole.  done, total: its frames.
        passed: seconds since it was begun.
    """
    share = done / total
    if done:
        share += min(_AHEAD / total, (_AT_FIRST + done) / total, _MOST_AHEAD) * (1 - share)
    trust = min(0.5 * expected, _TRUST) * (1 - share)  # the forecast counts as if measured for so long
    pace = (passed + trust) / (share * expected + trust) if done else 1.0
    return (1 - share) * expected * pace
