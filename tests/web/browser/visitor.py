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
    for place in places or ("photo", "speech"):
        button = tab.locator(f"#{place} [aria-label=Clear], #{place} [aria-label='Remove Image']")
        # A page that has just been opened may tell of its example before the button is there.
        if button.count() or tab.locator(f"#{place}-note .note").count():
            button.first.click()
        until(tab, f"() => !document.querySelector('#{place}-note .note')")


def give(tab, photo: Path | None = None, recording: Path | None = None) -> None:
    """Uploads a photo or a recording, unless the page has that very file; waits until it was looked at.

    One after the other, as a hand does: gradio may bring back what was changed during another change.
    """
    for place, path in (("photo", photo), ("speech", recording)):
        if path and not has(tab, place, path):
            clear(tab, place)
            tab.set_input_files(f"#{place} input[type=file]", str(path))
            tab.wait_for_selector(f"#{place}-note .note")


def usual(folder: Path) -> tuple[Path, Path]:
    """The files that most tests give: a photo of 320 x 320 pixels, and one second of speech."""
    return page.photo(folder / "face.png", 320), page.recording(folder / "voice.wav", 1)


def has(tab, place: str, path: Path) -> bool:
    """Whether the file, under its name, is what the page shows as photo or as speech."""
    name = {"photo": "portrait"}.get(place, place)
    there = tab.locator(f"#{place}-note .note").count() and tab.evaluate(f"window.visit?.inputs.{name}")
    if not there or Path(there).name != path.name:
        return False
    return Path(there).exists() and Path(there).read_bytes() == path.read_bytes()


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
