"""A browser for the page's tests: one process, visitor and tab, as each begins with seconds of work."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from web.browser.visitor import WINDOW, open_page, tidy

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# `window.asked`: how many pictures a page has asked for.
COUNT_FRAMES = """{ const frame = window.requestAnimationFrame.bind(window);
  window.asked = 0; window.requestAnimationFrame = then => { window.asked++; return frame(then) } }"""
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
    context = chromium.new_context(viewport=WINDOW)
    context.add_init_script(COUNT_FRAMES)
    yield context
    chromium.close()


@pytest.fixture
def new_tab(visitor, server) -> Iterator[Callable]:
    """What opens tabs of the visitor with the page loaded, for one test: `new_tab()` or `new_tab(url)`."""
    tabs = []

    def open_tab(url: str = server[0]):
        tabs.append(visitor.new_page())
        tabs[-1].emulate_media(**USUAL)
        return open_page(tabs[-1], url)

    yield open_tab
    for tab in tabs:
        leave(tab)


@pytest.fixture(scope="package")
def shared() -> list:
    """The tab that the tests share, once it is open."""
    return []


@pytest.fixture
def load(request, visitor, server, shared) -> Iterator[Callable]:
    """What loads the page anew in the shared tab: `load(query, **media)`.

    The visitor wants little motion and light colours if `media` does not say otherwise.
    The tab of a test that failed is closed.
    """
    failures = request.session.testsfailed

    def load_again(query: str = "", **media):
        if not shared or shared[0].is_closed():
            shared[:] = [visitor.new_page()]
        shared[0].emulate_media(**(USUAL | media))
        return open_page(shared[0], server[0] + query)

    yield load_again
    if request.session.testsfailed > failures and shared:
        leave(shared[0])


@pytest.fixture
def tab(load, shared):
    """The shared tab, in which photo, recording and takes are those of the test before.

    Each test before those of the settings leaves the settings as they are at first.
    """
    if not shared or shared[0].is_closed():
        return load()
    tidy(shared[0])
    return shared[0]


def leave(tab) -> None:
    """Closes a tab; nothing of its visit is remembered."""
    if not tab.is_closed():
        tab.evaluate("localStorage.clear()")
        tab.close()


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
