"""The page in Debian's Chromium: a visitor makes videos."""

import time
from pathlib import Path

import numpy as np
import page
import pytest
from web.browser.visitor import (
    LINE,
    VIDEO,
    becomes,
    finished,
    give,
    open_advanced,
    open_page,
    running,
    until,
    usual,
)

from atldiff.web import texts

pytestmark = pytest.mark.browser
# What can be touched and has less than 44 x 44 pixels; a radio button's label is touched, too.
SMALL = """() => [...document.querySelectorAll('button, a, input, [role=button]')]
  .map(part => part.closest('label') ?? part).filter(part => part.checkVisibility() && part.offsetHeight)
  .map(part => [part.outerHTML.slice(0, 90), part.getBoundingClientRect()])
  .filter(([_, box]) => Math.min(box.width, box.height) < 43.5 && box.width > 1)
  .map(([words, box]) => `${words} ${box.width} x ${box.height}`)"""
INSIDE = """part => { const box = part?.getBoundingClientRect();
  return Boolean(box && box.top >= 0 && box.bottom <= innerHeight + 1) }"""


def test_a_visitor_animates_sees_frames_and_then_the_video(tab, slowly, tmp_path):
    give(tab, *usual(tmp_path))
    with slowly():
        tab.focus("#animate")
        tab.keyboard.press("Enter")
        running(tab)
        assert not tab.is_visible("#talk video")  # no player that could stand still
        bar = tab.get_by_role("progressbar")
        assert bar.get_attribute("aria-label") == "Making the video" and "left" in bar.inner_text()
        until(tab, "() => document.activeElement.id == 'stop'")
        until(tab, "() => document.querySelector('#live')?.buffered.length")
        tab.wait_for_timeout(300)
        assert tab.evaluate("document.querySelector('#live').paused")  # it would stand still before its end
        assert tab.evaluate("document.querySelector('#live').duration") == 1
    assert "Done: 1.0 s of video" in finished(tab)
    until(tab, f"() => {VIDEO}?.currentSrc.endsWith('face-voice.mp4') && {VIDEO}.currentTime > 0.2")
    until(tab, f"() => {VIDEO}.videoWidth == 320 && Math.abs({VIDEO}.duration - 1) < 0.1")
    assert tab.locator("#live").count() == 0
    until(tab, "() => document.activeElement.id == 'animate'")
    with tab.expect_download() as download:
        tab.click("#download")
    found = page.probe(download.value.path())
    assert download.value.suggested_filename == "face-voice.mp4"
    assert found["frames"] == 30 and "AI-generated" in found["tags"]["comment"]


def test_what_comes_late_of_the_video_in_the_making_does_not_hide_the_finished_one(tab, slowly, tmp_path):
    held, answers = [], []
    tab.route("**/live.mp4", lambda route: held.append(route))  # playwright marks the function
    give(tab, *usual(tmp_path))
    with slowly():
        tab.click("#animate")
        becomes(tab, lambda: held)
        becomes(tab, lambda: answers.append(held[0].fetch()) or answers[-1].status == 206)
    assert "Done: 1.0 s of video" in finished(tab)
    tab.locator("#talk video").wait_for()
    held[0].fulfill(response=answers[-1])
    tab.wait_for_timeout(500)
    assert tab.is_visible("#talk video") and not tab.evaluate("document.body.classList.contains('live')")
    tab.unroute("**/live.mp4")


def test_a_landscape_is_told_once_and_the_page_goes_on(tab, tmp_path):
    give(tab, page.landscape(tmp_path / "land.png"), page.recording(tmp_path / "voice.wav", 1))
    assert "No face was found" in tab.inner_text("#photo-note")
    tab.click("#animate")
    until(tab, f"() => ({LINE}).includes('No face was found')")
    assert tab.locator(".toast-body").count() == 0  # one message
    assert (
        tab.evaluate("getComputedStyle(document.querySelector('.making.bad span')).color")
        == "rgb(185, 28, 28)"
    )
    give(tab, *usual(tmp_path))
    tab.click("#animate")
    assert "Done: 1.0 s of video" in finished(tab)


def test_an_iphones_photo_is_shown_and_speaks(tab, tmp_path):
    give(tab, page.HEIC, page.recording(tmp_path / "voice.wav", 1))
    shown = "document.querySelector('#photo img')"
    until(tab, f"() => {shown}?.naturalWidth == 384")  # Chromium shows no HEIC: it would be 0
    assert "good photo" in tab.inner_text("#photo-note")
    tab.click("#animate")
    assert "Done" in finished(tab)
    until(tab, f"() => {VIDEO}?.videoWidth == 384")


def test_takes_are_compared_shown_again_and_give_their_settings_back(tab, tmp_path):
    give(tab, *usual(tmp_path))
    open_advanced(tab)
    for size in ("Whole photo", "128 face only"):
        tab.get_by_label(size).check()
        tab.click("#animate")
        until(tab, "() => document.querySelector('#stop')?.checkVisibility()")
        assert "Done" in finished(tab)
    until(tab, f"() => {VIDEO}?.videoWidth == 128")
    takes = tab.locator("#earlier button")
    names = ["Size crop", "as usual"]
    becomes(tab, lambda: [each.split(": ")[1] for each in takes.all_inner_texts()][:2] == names)
    tab.click("#beside")
    until(tab, "() => document.querySelector('#other video')?.videoWidth == 320")
    until(tab, "() => (video => video.played.length && video.muted)(document.querySelector('#other video'))")
    tab.click("#beside")
    tab.locator("#other").wait_for(state="hidden")
    tab.get_by_label("number input for Lip strength").fill("0.5")
    takes.nth(1).click()
    until(tab, f"() => {VIDEO}?.videoWidth == 320")
    with tab.expect_download() as download:
        tab.click("#download")
    assert page.probe(download.value.path())["size"] == (320, 320)
    tab.click("#again")
    until(tab, "() => document.querySelector('[aria-label=\"number input for Lip strength\"]').value == 1")
    for label in ("Whole photo", "Natural"):
        becomes(tab, tab.get_by_label(label).is_checked)


def test_a_reload_brings_the_visit_back_if_the_visitor_wants_it(tab, slowly, tmp_path):
    lips = "document.querySelector('[aria-label=\"number input for Lip strength\"]').value"

    def reload() -> None:
        tab.reload()
        until(tab, "() => window.visit !== undefined")
        assert not tab.evaluate("window.visit?.lost")  # gradio takes every reload for a loss

    give(tab, *usual(tmp_path))
    reload()
    until(tab, "() => document.querySelector('#speech-note').innerText.includes('4.9 s')")  # nobody asked
    assert tab.evaluate("localStorage.getItem('atldiff')") in (None, "null")
    remember = tab.get_by_label("Remember this visit")
    becomes(tab, lambda: remember.is_checked() or remember.click())  # the page may still settle
    give(tab, tmp_path / "face.png", tmp_path / "voice.wav")
    tab.get_by_label("number input for Lip strength").fill("0.5")
    tab.click("#animate")
    assert "Done" in finished(tab)
    remembers(tab, "takes.length")
    reload()
    until(tab, f"() => {VIDEO}?.currentSrc.endsWith('face-voice.mp4') && {VIDEO}.videoWidth == 320")
    until(tab, "() => document.querySelector('#speech-note').innerText.includes('1.0 s')")
    until(tab, f"() => {lips} == 0.5")
    becomes(tab, lambda: "Lip strength 0.5" in tab.inner_text("#status"))
    for label in ("Custom", "Remember this visit"):
        becomes(tab, tab.get_by_label(label).is_checked)
    zoom = tab.get_by_label("number input for Zoom to the head")
    give(tab, Path(page.standing(tmp_path / "far.jpg")), page.recording(tmp_path / "other.wav", 0.8))
    zoom.fill("4")
    tab.keyboard.press("Enter")
    with slowly():
        tab.click("#animate")
        running(tab)
        tab.get_by_label("number input for Lip strength").fill("0.6")  # for the next one
        remembers(tab, "inputs.lips == 0.6 && window.visit.running")
        reload()
    until(tab, "() => document.querySelector('#status').innerText.includes('it was not finished')")
    until(tab, "() => document.querySelector('#speech-note').innerText.includes('0.8 s')")
    zoom.wait_for()
    becomes(tab, lambda: zoom.input_value() == "4")  # what was chosen for the photo
    assert not tab.evaluate("window.making")  # nor is it begun again
    remember.uncheck()
    until(tab, "() => localStorage.getItem('atldiff') === null")
    reload()
    assert tab.evaluate("window.visit") is None
    until(tab, "() => document.querySelector('#speech-note').innerText.includes('4.9 s')")


def remembers(tab, what: str) -> None:
    """Waits until a part of the visit is there, and until the browser has written it, which nothing tells."""
    until(tab, f"() => window.visit?.{what}")
    tab.wait_for_timeout(500)


def test_a_lost_connection_loses_nothing_and_the_video_is_begun_again(new_tab, server, slowly, tmp_path):
    lost = "() => document.querySelector('.toast-body')?.innerText.includes('goes on where it was')"
    with page.weak_line(server[0]) as (url, cut):
        tab = new_tab(url)
        give(tab, *usual(tmp_path))
        tab.get_by_label("number input for Lip strength").fill("0.5")
        with slowly():
            tab.click("#animate")
            running(tab)
            cut(True)
            until(tab, lost)
        cut(False)
        until(tab, "() => document.querySelector('#speech-note')?.innerText.includes('1.0 s')")
        assert "Done: 1.0 s of video" in finished(tab)  # nobody clicked
        until(tab, f"() => {VIDEO}?.currentSrc.endsWith('face-voice.mp4')")
        assert not tab.get_by_label("Remember this visit").is_checked()
        assert tab.evaluate("localStorage.getItem('atldiff')") in (None, "null")  # nobody asked for more
        until(tab, "() => window.visit?.takes.length == 1")
        cut(True)
        tab.click("#animate")
        until(tab, lost)
        tab.click("#animate")  # nothing seemed to happen
        with slowly():
            cut(False)
            running(tab)  # what was asked for in the meantime
        assert "Done: 1.0 s of video" in finished(tab)
        earlier = tab.locator("#earlier button")
        earlier.nth(1).wait_for()
        becomes(tab, lambda: all("Lip strength 0.5" in words for words in earlier.all_inner_texts()))


def test_a_video_for_posting_has_shape_background_and_captions_and_is_shared(tab, tmp_path):
    tab.get_by_role("button", name=texts.EXAMPLES[0].name).click()
    until(tab, "() => document.querySelector('#speech-note').innerText.includes('4.9 s')")
    give(tab, recording=page.recording(tmp_path / "hello.wav", 1))
    open_advanced(tab)
    tab.get_by_label("9:16").check()
    until(tab, "() => document.querySelectorAll('#photo img')[1]?.naturalWidth == 360")  # of 640
    background, captions = tab.get_by_label("Background", exact=True), tab.locator("#captions textarea")
    usual = background.input_value()
    background.fill("#1e5fb4")
    tab.keyboard.press("Enter")
    captions.fill("Hello world.")
    tab.click("#animate")
    assert "Done" in finished(tab)
    until(tab, f"() => {VIDEO}?.videoWidth == 288 && {VIDEO}.videoHeight == 512")
    with tab.expect_download() as download:
        tab.click("#as-gif")
    assert download.value.suggested_filename == "astronaut-hello.gif"
    with page.Image.open(download.value.path()) as clip:
        assert clip.size == (202, 360) and clip.n_frames == 15
        picture = np.asarray(clip.convert("RGB")).astype(int)
    assert np.abs(picture[2, 2] - (0x1E, 0x5F, 0xB4)).max() < 12
    assert (picture[300:330].min(axis=2) > 200).any()  # letters
    assert not tab.is_visible("#share")  # this browser shares no files; a phone's does
    tab.evaluate("""() => { document.body.classList.add('can-share');
      navigator.share = async ({files: [file]}) => { window.shared = [file.name, file.type, file.size] } }""")
    tab.click("#share")
    until(tab, "() => window.shared")
    name, kind, size = tab.evaluate("window.shared")
    assert name == "astronaut-hello.mp4" and kind == "video/mp4" and size > 10_000
    tab.get_by_label("Whole photo").check()
    background.fill(usual)
    tab.keyboard.press("Enter")
    captions.fill("")


def test_two_tabs_at_once_each_show_their_own_video(tab, new_tab, tmp_path):
    other = new_tab()
    give(tab, *usual(tmp_path))
    give(other, page.photo(tmp_path / "other.png", 352), page.recording(tmp_path / "other.wav", 0.4))
    for each in (tab, other):
        each.click("#animate")
    assert [finished(each)[:11] for each in (tab, other)] == ["Done: 1.0 s", "Done: 0.4 s"]
    for each, width in ((tab, 320), (other, 352)):
        until(each, f"() => {VIDEO} && {VIDEO}.videoWidth == {width}")


def test_cancel_says_so_returns_to_the_state_before_and_frees_the_queue(tab, server, slowly, tmp_path):
    until(tab, f"() => {VIDEO} && {VIDEO}.readyState >= 2")
    before = tab.evaluate(f"{VIDEO}.src")
    give(tab, *usual(tmp_path))
    with slowly():
        tab.click("#animate")
        running(tab)
        tab.click("#stop")
        until(tab, f"() => ({LINE}).startsWith('Cancelled')")
        tab.wait_for_timeout(1000)
    assert tab.inner_text(".making").startswith("Cancelled") and tab.is_visible("#talk video")
    assert tab.evaluate(f"{VIDEO}.src") == before and not tab.is_visible("#stop")
    tab.click("#animate")
    assert "Done: 1.0 s of video" in finished(tab)
    assert list(server[1].glob("atldiff-*/job-*")) == []


def test_after_many_a_cancelled_run_the_next_is_made(tab, slowly, tmp_path):
    give(tab, *usual(tmp_path))
    with slowly():
        for pause in (0, 150, 600):
            tab.click("#animate")
            running(tab)
            tab.wait_for_timeout(pause)
            tab.click("#stop")
            until(tab, f"() => ({LINE}).startsWith('Cancelled')")
            tab.wait_for_timeout(600)
            assert tab.inner_text(".making").startswith("Cancelled")  # no report came after it
    tab.click("#animate")
    assert finished(tab).startswith("Done")


def test_closing_the_tab_stops_its_job(tab, server, slowly, tmp_path):
    give(tab, page.photo(tmp_path / "face.png", 320), page.recording(tmp_path / "voice.wav", 6))
    with slowly():  # the whole video would take more than a minute
        tab.click("#animate")
        running(tab)
        tab.close()
        end = time.monotonic() + 15
        while list(server[1].glob("atldiff-*/job-*")):
            assert time.monotonic() < end
            time.sleep(0.2)


def test_on_a_phone_everything_stands_in_the_order_it_is_used_and_the_result_comes_into_view(
    visitor, server, slowly, tmp_path
):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "reduced_motion": "reduce"}
    context = visitor.browser.new_context(**phone)
    tab = open_page(context.new_page(), server[0])
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    places = [tab.locator(f"#{name}").bounding_box()["y"] for name in ("result", "examples", "photo")]
    assert places == sorted(places)
    assert tab.evaluate(SMALL) == []
    first_screen = tab.evaluate(f"[{VIDEO}, document.querySelector('#animate')].map({INSIDE})")
    assert first_screen == [True, True]  # what moves, and the button
    assert all(tab.get_by_role("tab", name=name).is_visible() for name in ("Face", "Motion"))
    assert gaps(tab) <= 24 and tab.locator("#talk").bounding_box()["height"] <= 330  # no room left empty
    give(tab, *usual(tmp_path))
    tab.click("#preview")
    until(tab, "() => document.querySelector('#motion video')?.readyState >= 2")
    until(tab, f"() => ['#motion video'].every(part => ({INSIDE})(document.querySelector(part)))")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    with slowly():
        tab.click("#animate")
        until(tab, f"() => ['#still img', '#stop'].every(part => ({INSIDE})(document.querySelector(part)))")
    assert "Done: 1.0 s of video" in finished(tab)
    tab.evaluate("scrollTo(0, 0)")
    tab.get_by_role("button", name=texts.EXAMPLES[1].name).click()
    until(tab, f"() => ({INSIDE})({VIDEO}) && {VIDEO}.currentTime > 0")
    context.close()


def gaps(tab) -> float:
    """The largest empty space between two parts of the page that stand one below the other, in pixels."""
    tab.locator("#type").evaluate("part => part.scrollIntoView({block: 'end'})")  # Animate floats no more
    inputs = ["photo", "photo-note", "speech", "speech-note", "make", "privacy", "remember"]
    names = ["result", "examples", *inputs, "recordings", "type", "settings"]
    boxes = [box for name in names if (box := tab.locator(f"#{name}").bounding_box())]
    return max(low["y"] - high["y"] - high["height"] for high, low in zip(boxes, boxes[1:], strict=False))
