"""How long a video takes, and how much of it is left."""

from types import SimpleNamespace

import pytest

from atldiff.config import FRAME_RATE
from atldiff.media.speech import load_speech
from atldiff.options import DEFAULTS, Options
from atldiff.web.jobs.forecast import Forecast, seconds_left

# Of two real runs: share of the time that had passed, share of the frames that were there.
SHORT = ((0.18, 0.06), (0.32, 0.12), (0.38, 0.24), (0.48, 0.30), (0.53, 0.42), (0.63, 0.48), (0.69, 0.60),
         (0.78, 0.66), (0.84, 0.78), (0.95, 0.84), (0.99, 0.96))  # fmt: skip
LONG = ((0.10, 0.06), (0.23, 0.19), (0.35, 0.31), (0.47, 0.44), (0.59, 0.56), (0.72, 0.68), (0.90, 0.87))


@pytest.mark.parametrize(("run", "frames", "truth"), [(SHORT, 150, 14.0), (LONG, 900, 94.0)])
def test_the_time_left_starts_from_the_forecast_and_soon_is_what_was_measured(run, frames, truth):
    """Frames come in bursts, and the next ones are in work when some are handed out."""

    def errors(expected: float) -> list[float]:
        told = [
            (seconds_left(expected, round(d * frames), frames, p * truth), (1 - p) * truth) for p, d in run
        ]
        return [abs(left - real) / max(real, 4) for left, real in told]

    assert max(errors(truth)) < 0.35
    assert max(errors(0.5 * truth)) < 0.6 and max(errors(2 * truth)) < 1.2
    assert max(errors(2 * truth)[-3:]) < 0.5
    assert seconds_left(12.4, 1, 150, 1.2) == pytest.approx(11.2, rel=0.1)
    assert seconds_left(8.0, 0, 150, 3.0) == 8.0 and seconds_left(8.0, 150, 150, 9.0) == 0.0


def test_the_forecast_learns_from_every_video(speech_path):
    speech, forecast = load_speech(speech_path), Forecast(0.01, steps=1)
    forecast.learn(speech, (512, 512), DEFAULTS, 2.0, 28.0)  # the first replaces the guess
    assert forecast.estimate(speech, (512, 512), DEFAULTS) == pytest.approx(30.0)
    forecast.learn(speech, (512, 512), DEFAULTS, 1.0, 19.0)
    assert forecast.estimate(speech, None, DEFAULTS) == pytest.approx(25.0)
    times = [forecast.estimate(speech, (640, 640), Options(steps=s, output=o))
             for s, o in ((1, "crop"), (2, "crop"), (2, "square"), (2, "photo"))]  # fmt: skip
    assert times == sorted(times) and len(set(times)) == 4


# Videos made on a CPU: seconds of speech, photo, options; seconds of one core that they took.
MADE = ((5, (708, 1024), {}, 6.3), (30, (708, 1024), {}, 34.2), (5, (512, 512), {}, 3.5),
        (5, (600, 800), {}, 6.8), (5, (1024, 745), {}, 7.6), (5, (512, 512), {"steps": 4}, 8.8),
        (5, (512, 512), {"output": "square"}, 4.8), (5, (512, 512), {"output": "crop"}, 3.9),
        (5, (512, 512), {"steps": 8, "output": "crop"}, 16.3))  # fmt: skip


@pytest.mark.parametrize(("seconds", "size", "options", "took"), MADE)
def test_a_second_made_at_the_start_foretells_long_and_large_videos(seconds, size, options, took):
    short, long = (SimpleNamespace(num_frames=FRAME_RATE * length) for length in (1, seconds))
    forecast = Forecast(0.03, steps=1)
    forecast.learn(short, (512, 512), DEFAULTS, 0.25, 1.09)
    assert 0.75 * took < forecast.estimate(long, size, Options(**options)) < 1.25 * took
