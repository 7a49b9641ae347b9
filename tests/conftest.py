"""Inputs that several rooms' tests share."""

from collections.abc import Iterator
from pathlib import Path

import page
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


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """The page, served with a small renderer: (address, the folder that holds all its files)."""
    temp = tmp_path_factory.mktemp("server")
    weights = page.small_weights(tmp_path_factory.mktemp("weights"))
    with page.served(temp, weights) as url:
        yield url, temp
    left = [path.name for path in temp.iterdir() if path.name.startswith(("atldiff", "job", "gradio"))]
    assert left == []
