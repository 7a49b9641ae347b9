"""The tab Live in Debian's Chromium with a made microphone: pictures arrive and change."""

from collections.abc import Iterator

import httpx
import page
import pytest

LINE = "document.querySelector('#live-line')?.textContent ?? ''"
PICTURE = """() => { const video = document.querySelector('#live-video');
  const pen = new OffscreenCanvas(64, 64).getContext('2d'); pen.drawImage(video, 0, 0, 64, 64);
  return [...pen.getImageData(0, 0, 64, 64).data] }"""

pytestmark = pytest.mark.browser
pytest.importorskip("aiortc", reason="aiortc is not installed")


@pytest.fixture(scope="module")
def chromium(launch, tmp_path_factory) -> Iterator:
    """A browser in whose microphone somebody speaks; only who was allowed to may use it."""
    voice = page.recording(tmp_path_factory.mktemp("voice") / "voice.wav", 3)
    made = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={voice}"]
    chromium = launch(*made, "--deny-permission-prompts")
    yield chromium
    chromium.close()


def open_live(tab, url: str):
    tab.set_default_timeout(3000 * page.PATIENCE)  # a browser, a server and the networks share two cores
    tab.goto(url)
    tab.wait_for_selector("#animate")
    tab.wait_for_function("() => window.atldiffLive")
    tab.get_by_role("tab", name="Live").click()
    tab.locator(".example").first.click()
    tab.wait_for_selector("#photo-note .note")
    # The photo waits there.
    tab.wait_for_function("() => document.querySelector('#live-video').poster.startsWith('http')")
    return tab


def go(tab, source: str) -> None:
    tab.get_by_label(source).check()
    tab.click("#live-start")


def test_a_refused_microphone_is_told(chromium, server):
    tab = open_live(chromium.new_page(), server[0])
    go(tab, "My microphone")
    tab.wait_for_function(f"() => /does not allow the microphone|No microphone/.test({LINE})")
    tab.close()


def test_a_microphone_moves_the_photo_until_the_visitor_ends_it(chromium, server):
    tab = open_live(chromium.new_context(permissions=["microphone"]).new_page(), server[0])
    go(tab, "My microphone")
    tab.wait_for_function("() => document.querySelector('#live-video')?.poster.startsWith('data:image')")
    tab.wait_for_function(f"() => ({LINE}).startsWith('Live: ')")
    assert tab.evaluate("document.querySelector('#live-video').videoWidth") == 512
    assert tab.evaluate("document.querySelector('#live-video').muted")
    for _ in range(3):
        before = tab.evaluate(PICTURE)
        assert max(before[:1000]) > 100  # no black picture
        tab.wait_for_function(f"before => String(({PICTURE})()) != String(before)", arg=before)
    tab.click("#live-record")
    tab.wait_for_function(f"() => ({LINE}).includes('Recording.')")
    tab.wait_for_function("() => document.querySelector('#live-record').textContent.includes('Save')")
    tab.wait_for_timeout(500)
    tab.click("#live-record")
    tab.wait_for_function("() => document.querySelector('#live-film a')?.href.endsWith('live.mp4')")
    tab.click("#live-stop")
    tab.wait_for_function(f"() => ({LINE}).includes('has ended')")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": "x"}', b'{"token": "x", "sdp": "", "type": "offer"}']
)
def test_a_wrong_offer_is_answered_with_a_sentence(server, body):
    answer = httpx.post(f"{server[0]}live/offer", content=body, timeout=page.PATIENCE)
    assert answer.status_code == 400 and answer.json()["problem"].endswith(".")
