"""A browser for the page's tests: one process and one visitor, as each begins with seconds of work."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from web.browser.visitor import open_page

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
USUAL = {"reduced_motion": "reduce", "color_scheme": "light"}


@pytest.fixture(scope="package")
def launch() -> Iterator[Callable]:
    """What starts Debian's Chromium; it keeps an event loop at work, which tests elsewhere do without."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as tools:
        yield lambda *flags: tools.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])


@pytest.fixture(scope="package")
def visitor(launch) -> Iterator:
    """A visitor with a wide window, whose browser keeps the page's scripts."""
    chromium = launch("--autoplay-policy=no-user-gesture-required")
    yield chromium.new_context(viewport={"width": 1440, "height": 1000})
    chromium.close()


@pytest.fixture
def new_tab(visitor, server) -> Iterator[Callable]:
    """What opens tabs of the visitor with the page loaded: `new_tab(query, **media)`.

    The visitor wants little motion and light colours if `media` does not say otherwise.
    """
    tabs = []

    def open_tab(query: str = "", url: str = server[0], **media):
        tab = visitor.new_page()
        tabs.append(tab)
        tab.emulate_media(**(USUAL | media))
        return open_page(tab, url + query)

    yield open_tab
    for tab in tabs:
        if not tab.is_closed():
            tab.evaluate("localStorage.clear()")
            tab.close()


@pytest.fixture
def tab(new_tab):
    """A new tab of the visitor with the page loaded."""
    return new_tab()


@pytest.fixture
def slowly(server) -> Iterator[Callable]:
    """Within `with slowly():` the server takes its time for every frame."""
    gate = server[1] / "slowly"

    @contextmanager
    def slow() -> Iterator[None]:
        gate.touch()
        yield
        gate.unlink()

    yield slow
    gate.unlink(missing_ok=True)
