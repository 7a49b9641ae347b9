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


def give(tab, photo: Path, recording: Path | None = None) -> None:
    """Uploads a photo and a recording, and waits until both were looked at."""
    tab.locator("input[type=file]").nth(0).set_input_files(str(photo))
    tab.wait_for_selector("#photo-note .note")
    if recording:
        tab.locator("input[type=file]").nth(1).set_input_files(str(recording))
        tab.wait_for_selector("#speech-note .note")


def until(tab, condition: str) -> None:
    """Waits until a JavaScript function returns something true."""
    tab.wait_for_function(condition)


def finished(tab) -> str:
    """Waits for the video; returns the line below it."""
    until(tab, f"() => ({LINE}).startsWith('Done')")
    return tab.inner_text(".making")


def running(tab) -> None:
    """Waits for the first frame of the video in the making."""
    until(tab, f"() => document.querySelector('#still img') && ({LINE}).includes('Making frames')")
