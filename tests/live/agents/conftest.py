"""A small session and a voice, for the tests of all agents."""

import numpy as np
import pytest
from live.small_pipeline import make_pipeline

from atldiff import Options
from atldiff.live.session import LiveSession
from atldiff.media.speech import load_speech
from atldiff.portrait.portrait import load_portrait


@pytest.fixture(scope="session")
def parts(portrait_path):
    return make_pipeline(), load_portrait(portrait_path)


@pytest.fixture
def session(parts) -> LiveSession:
    return LiveSession(*parts, Options(output="crop", seed=3))


@pytest.fixture(scope="session")
def voice(speech_path) -> np.ndarray:
    """One and a quarter seconds (n, 1) int16 at 24 kHz."""
    samples = load_speech(speech_path).samples[8_000:28_000]
    return (np.interp(np.arange(30_000) / 1.5, np.arange(20_000), samples) * 32767).astype(np.int16)[:, None]
