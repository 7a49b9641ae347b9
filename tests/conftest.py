"""Inputs that several rooms' tests share, and what makes a test the same each time."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import page
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
LONGEST = ("web/test_browser", "training/", "web/", "test_wheel", "portrait/", "cli/")


def pytest_configure(config: pytest.Config) -> None:
    """One thread for each worker and for what it starts: the workers are as many as the cores."""
    if config.getoption("numprocesses", default=None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first: workers that share the files end together."""

    def rank(item: pytest.Item) -> int:
        return next((number for number, name in enumerate(LONGEST) if name in item.nodeid), len(LONGEST))

    items.sort(key=rank)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seeds every generator before the fixtures of a test are made."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries and tests draw from it
    torch.manual_seed(0)


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
