"""A person at the page in a browser: opens it, gives files, and waits for what appears."""

import time
from collections.abc import Callable
from pathlib import Path

import page

VIDEO = "document.querySelector('#talk video')"
WINDOW = {"width": 1440, "height": 1000}
LINE = "document.querySelector('.making')?.innerText ?? ''"


def open_page(tab, url: str):
    """Loads the page in a tab of a browser; returns the tab."""
    tab.set_default_timeout(1000 * page.PATIENCE)
    tab.goto(url)
    tab.wait_for_selector("#animate")
    return tab


def tidy(tab) -> None:
    """Takes away what an earlier test left: its messages, its last words, its sound and its window."""
    tab.set_viewport_size(WINDOW)
    tab.evaluate("""() => {
      document.querySelectorAll('.toast-close').forEach(button => button.click());
      document.querySelectorAll('.making').forEach(line => { line.textContent = '' });
      document.querySelectorAll('video, audio').forEach(player => player.pause()) }""")
    until(tab, "() => !document.querySelector('.toast-body')")


def open_advanced(tab) -> None:
    """Opens the settings below *Advanced*, if they are closed."""
    if not tab.get_by_label("face-alignment").is_visible():
        tab.get_by_role("button", name="Advanced").click()


def clear(tab, *places: str) -> None:
    """Takes photo and recording away, or the named one, and waits until nothing is told of it."""
    places = places or ("photo", "speech")
    for place in places:
        button = tab.locator(f"#{place} [aria-label=Clear], #{place} [aria-label='Remove Image']")
        # A page that has just been opened may tell of its example before the button is there.
        if button.count() or tab.locator(f"#{place}-note .note").count():
            button.first.click()
    for place in places:
        until(tab, f"() => !document.querySelector('#{place}-note .note')")


def give(tab, photo: Path | None = None, recording: Path | None = None) -> None:
    """Uploads a photo or a recording in place of those that are there; waits until each was looked at."""
    clear(tab, *(() if photo else ("speech",)))
    given = {place: path for place, path in (("photo", photo), ("speech", recording)) if path}
    for place, path in given.items():
        tab.set_input_files(f"#{place} input[type=file]", str(path))
    for place in given:
        tab.wait_for_selector(f"#{place}-note .note")


def until(tab, condition: str) -> None:
    """Waits until a JavaScript function returns something true; asks ten times a second."""
    tab.wait_for_function(condition, polling=100)


def becomes(tab, condition: Callable[[], bool]) -> None:
    """Waits until a Python condition holds: what an event changes comes bit by bit on a busy machine."""
    end = time.monotonic() + page.PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not become so"
        tab.wait_for_timeout(100)


def finished(tab) -> str:
    """Waits for the video; returns the line below it."""
    until(tab, f"() => ({LINE}).startsWith('Done')")
    return tab.inner_text(".making")


def running(tab) -> None:
    """Waits for the first frame of the video in the making."""
    until(tab, f"() => document.querySelector('#still img') && ({LINE}).includes('Making frames')")
