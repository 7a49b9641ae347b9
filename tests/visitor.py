"""A person at the page in a browser: opens it, gives files, and waits for what appears."""

from pathlib import Path

import page

VIDEO = "document.querySelector('#talk video')"
LINE = "document.querySelector('.making')?.innerText ?? ''"


def open_page(context, url: str):
    """A tab of a browser's context with the page loaded."""
    tab = context.new_page()
    tab.set_default_timeout(1000 * page.PATIENCE)
    tab.goto(url)
    tab.wait_for_selector("#animate")
    return tab


def clear(tab) -> None:
    """Takes photo and recording away, and waits until nothing is told of them."""
    for place in ("photo", "speech"):
        button = tab.locator(f"#{place} [aria-label=Clear], #{place} [aria-label='Remove Image']")
        if button.count():
            button.first.click()
        until(tab, f"() => !document.querySelector('#{place}-note .note')")


def give(tab, photo: Path, recording: Path | None = None) -> None:
    """Uploads a photo and a recording in place of those that are there; waits until both were looked at."""
    clear(tab)
    tab.set_input_files("#photo input[type=file]", str(photo))
    tab.wait_for_selector("#photo-note .note")
    if recording:
        tab.set_input_files("#speech input[type=file]", str(recording))
        tab.wait_for_selector("#speech-note .note")


def until(tab, condition: str) -> None:
    """Waits until a JavaScript function returns something true; asks ten times a second."""
    tab.wait_for_function(condition, polling=100)


def finished(tab) -> str:
    """Waits for the video; returns the line below it."""
    until(tab, f"() => ({LINE}).startsWith('Done')")
    return tab.inner_text(".making")


def running(tab) -> None:
    """Waits for the first frame of the video in the making."""
    until(tab, f"() => document.querySelector('#still img') && ({LINE}).includes('Making frames')")
