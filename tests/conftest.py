"""Inputs that several rooms' tests share."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="session")
def portrait_path() -> Path:
    """A photo of one face, 512 x 512 pixels."""
    return EXAMPLES / "astronaut.jpg"


@pytest.fixture(scope="session")
def speech_path() -> Path:
    """About five seconds of speech, 16 kHz mono."""
    return EXAMPLES / "hello_world.flac"
