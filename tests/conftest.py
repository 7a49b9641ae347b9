"""Shared inputs and seeds of the tests."""

import os
import random
import ssl
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import page
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# Tests that share what is slow to start.
GROUPS = {
    "page": (
        "web/browser",
        "web/test_c",
        "web/test_description",
        "web/test_faults",
    ),
    "preparing": ("training/data/",),
}
LONGEST = ("@page", "training/", "web/", "test_wheel", "evaluation/")


def pytest_configure(config: pytest.Config) -> None:
    """Gives one thread to each worker and its processes; there is one worker a core."""
    if config.getoption("numprocesses", default=None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest groups first: networks train while a browser waits."""

    def rank(item: pytest.Item) -> int:
        label = f"{item.nodeid}@{group_name(item.nodeid)}"
        return next((number for number, name in enumerate(LONGEST) if name in label), len(LONGEST))

    items.sort(key=rank)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Gives each group to one process."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_name(nodeid)

    return Groups(config, log)


def group_name(nodeid: str) -> str:
    """What runs in one process: the tests of one server, those of one Ray cluster, or those of a file."""
    file = nodeid.split("::")[0]
    return next((name for name, parts in GROUPS.items() if any(part in file for part in parts)), file)


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory) -> Iterator[Path]:
    """Keeps the signing key of the tests, and of the programs that they start, out of the user's folder."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder))
        for name in ("ATLDIFF_SIGNING_CERT", "ATLDIFF_SIGNING_KEY", "ATLDIFF_LABEL"):
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def certificates() -> Iterator[None]:
    """Reads the certificates once; httpx reads them for each request, also to servers without any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seeds every generator before a test's fixtures."""
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
    """The page with a small renderer: (address, folder of all its files, on a disk of its own)."""
    temp = tmp_path_factory.mktemp("server")
    weights = page.small_weights(tmp_path_factory.mktemp("weights"))
    with page.small_disk(temp):
        with page.served(temp, weights, program=page.ROOT / "tests" / "slow_app.py") as url:
            yield url, temp
        left = [path.name for path in temp.iterdir() if path.name.startswith(("atldiff", "job", "gradio"))]
    assert left == []
