"""The page as a person uses it, in Debian's Chromium."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import page
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
VIDEO = "document.querySelector('#talk video')"
STATE = f"""() => {{ const v = {VIDEO}; return v && {{
    time: v.currentTime, width: v.videoWidth, ready: v.readyState,
    sound: v.webkitAudioDecodedByteCount, src: v.currentSrc, error: v.error && v.error.message }} }}"""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as tools:
        chromium = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, server) -> Iterator:
    """A visitor's tab with the page loaded; fails on errors in its console."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    yield opened(context, server[0])
    context.close()


def opened(context, url: str):
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
    tab.wait_for_function(condition)


def finished(tab) -> str:
    """The line under the video when it is made."""
    until(tab, "() => document.querySelector('.making').innerText.startsWith('Done')")
    return tab.inner_text(".making")


def test_a_visitor_clicks_an_example_and_animate_and_sees_it_talk(tab):
    assert "Make a portrait speak" in tab.inner_text("h1") and "consent" in tab.inner_text("#foot")
    tab.locator("button.gallery-item").first.click()
    tab.wait_for_selector("#photo-note .note")
    tab.wait_for_selector("#speech-note .note")
    assert "4.9 s of speech" in tab.inner_text("#speech-note")
    tab.click("#animate")
    until(tab, f"() => {VIDEO} && {VIDEO}.readyState >= 2 && {VIDEO}.currentTime > 0.5")
    first = tab.evaluate(STATE)
    assert first["width"] == 640 and first["sound"] > 0 and first["src"].startswith("blob:")
    assert "Done: 4.9 s of video" in finished(tab)
    until(tab, f"() => {VIDEO}.currentSrc.endsWith('talking.mp4') && {VIDEO}.readyState >= 1")
    assert abs(tab.evaluate(f"{VIDEO}.duration") - 4.9) < 0.1
    tab.evaluate(f"{VIDEO}.play()")
    until(tab, f"() => {VIDEO}.currentTime > 0.5")
    with tab.expect_download() as download:
        tab.click("#download")
    found = page.probe(download.value.path())
    assert found["frames"] == 147 and "AI-generated" in found["tags"]["comment"]


def test_a_slider_changes_the_preview(tab, tmp_path):
    give(tab, page.photo(tmp_path / "face.png", 320), page.recording(tmp_path / "voice.wav", 1))
    motion = "document.querySelector('#motion video')"
    tab.click("#preview")
    until(tab, f"() => {motion} && {motion}.readyState >= 2 && {motion}.videoWidth == 320")
    before = tab.evaluate(f"{motion}.src")
    tab.get_by_label("number input for Lip strength").fill("0")
    tab.keyboard.press("Enter")
    until(tab, f"() => {motion}.src != '{before}' && {motion}.readyState >= 2")


def test_a_landscape_is_told_and_the_page_goes_on(tab, tmp_path):
    give(tab, page.landscape(tmp_path / "land.png"), page.recording(tmp_path / "voice.wav", 1))
    assert "No face was found" in tab.inner_text("#photo-note")
    tab.click("#animate")
    tab.wait_for_selector(".toast-body.error")
    assert "No face was found" in tab.inner_text(".toast-body.error")
    tab.wait_for_selector("#animate")
    tab.get_by_label("Remove Image").or_(tab.get_by_label("Clear")).first.click()
    give(tab, page.photo(tmp_path / "face.png", 320))
    tab.click("#animate")
    assert "Done: 1.0 s of video" in finished(tab)


def test_two_tabs_at_once_each_show_their_own_video(browser, server, tmp_path):
    contexts = [browser.new_context() for _ in range(2)]
    tabs = [opened(context, server[0]) for context in contexts]
    for number, tab in enumerate(tabs):
        face = page.photo(tmp_path / f"{number}.png", 320 + 32 * number)
        give(tab, face, page.recording(tmp_path / f"{number}.wav", 1.2 + number))
    for tab in tabs:
        tab.click("#animate")
    assert [finished(tab)[:11] for tab in tabs] == ["Done: 1.2 s", "Done: 2.2 s"]
    for number, tab in enumerate(tabs):
        until(tab, f"() => {VIDEO} && {VIDEO}.videoWidth == {320 + 32 * number}")
    for context in contexts:
        context.close()


def test_cancel_frees_the_queue_at_once(tab, server, tmp_path):
    give(tab, page.photo(tmp_path / "face.png", 320), page.recording(tmp_path / "voice.wav", 4.5))
    tab.click("#animate")
    until(tab, "() => document.querySelector('.making').innerText.includes('Making frames')")
    tab.click("#stop")
    until(tab, "() => document.querySelector('.making').innerText == 'Cancelled.'")
    tab.locator("#speech button[aria-label='Clear']").or_(tab.get_by_label("Clear")).last.click()
    tab.locator("input[type=file]").nth(1).set_input_files(str(page.recording(tmp_path / "one.wav", 1)))
    until(tab, "() => document.querySelector('#speech-note').innerText.includes('1.0 s of speech')")
    tab.click("#animate")
    assert "Done: 1.0 s of video" in finished(tab)
    assert list(server[1].glob("atldiff-*/job-*")) == []


def test_closing_the_tab_stops_its_job(browser, server, tmp_path):
    context = browser.new_context()
    tab = opened(context, server[0])
    give(tab, page.photo(tmp_path / "face.png", 320), page.recording(tmp_path / "voice.wav", 4.5))
    tab.click("#animate")
    until(tab, "() => document.querySelector('.making').innerText.includes('Making frames')")
    context.close()
    end = time.monotonic() + page.PATIENCE
    while list(server[1].glob("atldiff-*/job-*")):
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_page_fits_a_phone(browser, server):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    tab = opened(context, server[0])
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    top = {name: tab.locator(f"#{name}").bounding_box()["y"] for name in ("animate", "talk")}
    assert top["animate"] < top["talk"]  # the button first: the empty video would push it off the screen
    context.close()
