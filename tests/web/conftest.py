"""A browser for the page's tests."""

import shutil
from collections.abc import Iterator

import pytest
from visitor import open_page

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Debian's Chromium; it keeps an event loop at work, which other modules' tests do without."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as tools:
        chromium = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def visitor(browser) -> Iterator:
    """A visitor with a wide window who wants little motion, whose browser keeps the page's scripts."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def tab(visitor, server) -> Iterator:
    """A new tab of the visitor with the page loaded."""
    tab = open_page(visitor, server[0])
    yield tab
    tab.close()
