"""The page in Debian's Chromium: what a visitor gives, chooses and is told."""

from pathlib import Path

import numpy as np
import page
import pytest
from web.browser.looks import check_looks
from web.browser.visitor import LINE, VIDEO, becomes, clear, finished, give, until, usual

from atldiff.media.synthesis import installed_voices
from atldiff.web import texts

pytestmark = pytest.mark.browser


def test_on_load_an_example_plays_and_a_click_on_another_shows_its_video(load):
    tab = load(reduced_motion="no-preference")
    tab.set_viewport_size({"width": 1280, "height": 720})
    assert "Make a portrait speak" in tab.inner_text("h1") and "agreed" in tab.inner_text("#foot")
    until(tab, f"() => {VIDEO} && {VIDEO}.currentTime > 0.1")
    assert tab.evaluate(f"{VIDEO}.muted && {VIDEO}.loop")  # nobody asked for sound yet
    assert tab.evaluate("document.querySelector('#animate').getBoundingClientRect().bottom <= innerHeight")
    tab.click("#sound")
    until(tab, f"() => !{VIDEO}.muted && {VIDEO}.volume == 1 && {VIDEO}.currentTime > 0.1")
    assert not tab.is_visible("#sound")
    with tab.expect_download() as download:
        tab.click("#download")
    assert Path(download.value.path()).read_bytes() == texts.EXAMPLES[0].video.read_bytes()
    assert "4.9 s of speech" in tab.inner_text("#speech-note") and tab.is_visible("#photo-note .note")
    tab.click("#animate")  # the inputs are those of the example
    until(tab, "() => document.querySelector('#still img')")
    tab.click("#stop")
    until(tab, f"() => ({LINE}).startsWith('Cancelled')")
    tab.get_by_role("button", name=texts.EXAMPLES[1].name).click()
    name = texts.EXAMPLES[1].video.name
    until(
        tab,
        f"() => {VIDEO}.currentSrc.endsWith('{name}') && {VIDEO}.currentTime > 0.1 && {VIDEO}.volume == 1",
    )
    until(tab, "() => document.querySelector('#speech-note').innerText.includes('6.7 s of speech')")
    tab.emulate_media(reduced_motion="reduce")  # as the other tests have it


def test_an_upload_that_fails_is_told_in_our_sentence_alone(tab, tmp_path):
    full = "The server's disk is full. Try again in a few minutes."
    tab.route("**/upload*", lambda route: route.fulfill(status=500, body=full))
    photo, voice = usual(tmp_path)
    (tmp_path / "large.png").write_bytes(bytes(21 << 20))
    clear(tab)
    large = tmp_path / "large.png"
    for place, path in (
        ("photo", photo),
        ("speech", voice),
        ("photo", large),
        ("photo", voice),
        ("speech", photo),
    ):
        before = tab.locator("[data-testid=toast-text]").count()
        tab.set_input_files(f"#{place} input[type=file]", str(path))
        until(tab, f"() => document.querySelectorAll('[data-testid=toast-text]').length > {before}")
    tab.wait_for_timeout(300)  # the page's own words replace gradio's
    told = tab.locator("[data-testid=toast-text]").all_inner_texts()
    assert set(told) == {
        full,
        "large.png is larger than 20 MB. Choose a smaller file.",
        "voice.wav is not a picture. Choose a photo.",
        "face.png is no audio file. Choose one, or take a video’s sound with the button below.",
    }
    assert tab.locator("#speech .error:visible").count() == 0  # not once more over the input
    tab.unroute("**/upload*")
    give(tab, photo, voice)


def test_the_sound_of_a_video_becomes_the_speech(tab, tmp_path):

    def film(path: Path, words: str, where: str = "#speech-note") -> None:
        with tab.expect_file_chooser() as chooser:
            tab.click("#film")
        chooser.value.set_files(str(path))
        until(tab, f"() => document.querySelector('{where}')?.innerText.includes('{words}')")

    clear(tab)
    film(Path(texts.EXAMPLES[0].video), "s of speech")
    until(tab, "() => document.querySelector('#speech').innerText.includes('0:0')")  # and can be heard there
    film(page.silent_film(tmp_path / "mute.mp4"), "has no sound track", "#speech-error")
    film(page.HEIC, "turned.heic has no sound. Choose a video.", "[data-testid=toast-text]")


@pytest.mark.skipif(not installed_voices(), reason="no voice is installed")
def test_a_typed_text_becomes_the_speech(tab, tmp_path):
    give(tab, recording=page.recording(tmp_path / "voice.wav", 0.4))
    tab.get_by_text("Or type what to say").click()
    tab.get_by_label("Text", exact=True).fill("Good morning.")
    note = "document.querySelector('#speech-note').innerText"
    until(tab, f"() => {note}.includes('of speech')")
    before = tab.inner_text("#speech-note")
    tab.click("#say")
    until(tab, f"() => {note}.includes('of speech') && {note} != {before!r}")
    tab.get_by_label("Text", exact=True).fill("")
    tab.click("#say")
    until(tab, "() => document.querySelector('#speech-error .bad')?.innerText.includes('no text')")


def test_a_natural_voice_that_cannot_be_fetched_is_told(tab):
    if "deutsch-natural" not in {voice.name for voice in installed_voices()}:
        pytest.skip("the engine of deutsch-natural is not installed")
    if not tab.get_by_label("Voice", exact=True).is_visible():  # a test before opened it
        tab.get_by_text("Or type what to say").click()
    tab.get_by_text(texts.FETCHED_ONCE).wait_for()
    tab.get_by_label("Text", exact=True).fill("Guten Tag.")
    voice = tab.get_by_label("Voice", exact=True)
    assert voice.input_value() == "English"
    voice.click()
    tab.get_by_role("option", name="Deutsch, natural").click()
    tab.click("#say")
    told = "document.querySelector('#speech-error .{}')?.innerText"
    until(tab, f"() => {told.format('warn')} == {texts.FETCHING!r}")
    until(tab, f"() => {told.format('bad')}.includes('could not be fetched')")
    voice.click()
    tab.get_by_role("option", name="English", exact=True).click()  # as it was


def test_of_a_recording_that_is_too_long_the_first_minute_is_taken_at_a_click(tab, tmp_path):
    page.soundfile.write(tmp_path / "long.wav", np.tile(np.sin(np.arange(16_000) / 9), 61), 16_000)
    clear(tab)
    tab.set_input_files("#speech input[type=file]", str(tmp_path / "long.wav"))
    until(tab, "() => document.querySelector('#speech-note .bad')?.innerText.includes('longer than 60 s')")
    tab.click("#cut")
    until(tab, "() => document.querySelector('#speech-note').innerText.includes('60.0 s of sound')")
    becomes(tab, lambda: not tab.is_visible("#cut"))


def test_a_full_body_photo_is_zoomed_to_the_head_by_hand(tab, tmp_path):
    give(tab, page.photo(tmp_path / "face.png", 320))
    assert tab.get_by_label("number input for Zoom to the head").count() == 0  # nothing to zoom to
    give(tab, Path(page.standing(tmp_path / "standing.jpg")), page.recording(tmp_path / "voice.wav", 0.4))
    seen = "document.querySelectorAll('#photo img')[1]?.src"
    before = tab.evaluate(seen)
    tab.get_by_label("number input for Zoom to the head").fill("4")
    tab.keyboard.press("Enter")
    until(tab, f"() => {seen} != '{before}'")
    tab.click("#animate")
    assert "Done" in finished(tab)
    until(tab, f"() => {VIDEO}?.videoWidth == 300 && {VIDEO}.videoHeight == 400")


def test_a_second_person_answers_beside_the_first(tab, tmp_path):
    voice = page.recording(tmp_path / "voice.wav", 0.4)
    give(tab, page.photo(tmp_path / "face.png", 320), voice)
    tab.get_by_role("button", name="A second person answers").click()
    tab.set_input_files("#answer input[type=file]", str(voice))
    tab.set_input_files("#second input[type=file]", str(page.photo(tmp_path / "second.png", 352)))
    tab.locator("#second img").wait_for()
    until(tab, "() => document.querySelector('#answer').innerText.includes('0:0')")
    tab.click("#animate")
    until(tab, f"() => {VIDEO}?.videoWidth == 320 + 320 && {VIDEO}.duration > 1.1")
    assert finished(tab).startswith("Done: 1.2 s of video")
    clear(tab, "answer", "second")
    tab.locator("#second img").wait_for(state="hidden")


def test_nothing_is_faint_and_axe_finds_nothing_serious_in_light_colours(tab, tmp_path):
    check_looks(tab, tmp_path)
