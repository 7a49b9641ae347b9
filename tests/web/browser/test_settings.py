"""The page in Debian's Chromium: settings and notes."""

import page
import pytest
from web.browser.looks import check_looks
from web.browser.visitor import LINE, VIDEO, becomes, clear, give, open_advanced, until, usual

pytestmark = pytest.mark.browser


def test_who_wants_little_motion_sees_the_example_stand_still(load):
    tab = load()
    until(tab, f"() => {VIDEO} && {VIDEO}.readyState >= 2")
    tab.wait_for_timeout(500)
    assert tab.evaluate(f"{VIDEO}.paused && {VIDEO}.currentTime == 0")


def test_a_page_at_rest_asks_for_few_pictures(tab):
    def asked() -> int:
        before = tab.evaluate("window.asked")
        tab.wait_for_timeout(1000)
        return tab.evaluate("window.asked") - before

    becomes(tab, lambda: asked() < 10)  # of 60


def test_the_whole_model_card_is_shown(tab):
    tab.get_by_text("About the model").click()
    tab.locator("#model-card table").first.wait_for()
    assert tab.locator("#model-card h1, #model-card h2").first.inner_text() == "Starter weights"
    rows = tab.locator("#model-card table").first.locator("tr")
    assert rows.nth(0).locator("th").all_inner_texts() == ["part", "weights", "what"]
    assert "speech_encoder" in rows.nth(1).inner_text()


def test_the_detector_can_be_chosen(tab):
    open_advanced(tab)
    tab.get_by_label("face-alignment").check()
    usual = tab.get_by_label("MediaPipe", exact=True)
    assert usual.is_visible() and not usual.is_checked()
    usual.check()


def test_a_landmark_file_is_told_in_sight_and_let_go_with_another_recording(tab, tmp_path):
    told = "document.querySelector('#motion-note .note')?.innerText"
    (tmp_path / "walk.json").write_text("{}")
    open_advanced(tab)
    for let_go in ("“Arrivederci”", "Use the recording's motion"):
        tab.set_input_files("#landmarks input[type=file]", str(tmp_path / "walk.json"))
        until(tab, f"() => {told}?.includes('that of walk.json')")
        tab.get_by_role("button", name=let_go).click()
        until(tab, f"() => !{told} && document.querySelector('#landmarks input[type=file]')")


def test_a_preset_is_custom_when_a_slider_was_moved(tab):
    tab.get_by_label("number input for Lip strength").fill("0.5")
    tab.keyboard.press("Enter")
    until(tab, "() => document.querySelector('input[value=Custom]').checked")
    tab.get_by_label("Still").check()
    until(tab, "() => document.querySelector('[aria-label=\"number input for Head motion\"]').value == 0")
    becomes(tab, tab.get_by_label("Still").is_checked)


def test_the_list_of_emotions_closes_when_the_keyboard_goes_on(tab):
    option = tab.get_by_role("option")
    tab.get_by_label("Emotion", exact=True).focus()
    option.nth(5).wait_for()
    tab.keyboard.press("Tab")
    option.first.wait_for(state="hidden")
    tab.get_by_label("Emotion", exact=True).click()
    option.nth(3).click()
    becomes(tab, lambda: tab.get_by_label("Emotion", exact=True).input_value() == "happy")


def test_the_preview_shows_the_face_again_after_a_change_and_as_it_was_before(tab, tmp_path):
    give(tab, *usual(tmp_path))
    motion = "document.querySelector('#motion video')"
    tab.click("#preview")
    until(tab, f"() => {motion} && {motion}.readyState >= 2 && {motion}.videoWidth == 256")
    first = tab.evaluate(f"{motion}.src")
    assert not tab.is_visible("#was")
    tab.get_by_label("number input for Lip strength").fill("0")
    tab.keyboard.press("Enter")
    until(tab, f"() => {motion}.src != '{first}' && {motion}.readyState >= 2")
    second = tab.evaluate(f"{motion}.src")
    for address, words in ((first, "The setting now"), (second, "The setting before")):
        tab.click("#was")
        label = "document.querySelector('#was').innerText"
        until(tab, f"() => {motion}.src == '{address}' && {label} == '{words}'")
    give(tab, recording=page.recording(tmp_path / "other.wav", 0.5))
    until(tab, f"() => !{motion}")  # it was another recording's


def test_a_hand_turns_the_head(tab, tmp_path):
    clear(tab, "photo")
    give(tab, *usual(tmp_path))
    chosen = "document.querySelector('#photo [role=tab][aria-selected=true]').innerText"
    until(tab, f"() => {chosen} == 'Face'")  # as after each new photo
    tab.get_by_role("tab", name="Motion").click()
    tab.click("#by-hand")
    tab.locator(".pad img").wait_for()
    box = tab.locator(".pad img").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(*middle)
    tab.mouse.down()
    for step in range(6):
        tab.mouse.move(middle[0] + 10 * step, middle[1])
    assert "rotateY" in tab.locator(".pad img").get_attribute("style")
    tab.mouse.up()
    told = "document.querySelector('#motion-note .note')?.innerText"
    until(tab, f"() => {told}?.includes('The head turns by by-hand.csv')")
    becomes(tab, lambda: not tab.is_visible(".pad img"))
    tab.get_by_role("button", name="Use the recording's motion").click()
    until(tab, f"() => !{told}")


def test_what_is_missing_is_told_in_one_message_until_it_is_there(tab, tmp_path):
    photo, voice = usual(tmp_path)
    clear(tab)

    def told(words: str) -> None:
        tab.click("#animate")
        until(tab, f"() => ({LINE}).startsWith('{words}')")
        assert tab.locator(".toast-body").count() == 0 and tab.is_visible("#talk video")
        until(tab, "() => document.activeElement.id == 'animate'")

    told("There is no portrait yet")
    give(tab, photo)
    until(tab, f"() => ({LINE}).trim() == ''")
    told("There is no speech yet")
    tab.locator("#photo [aria-label=Clear], #photo [aria-label='Remove Image']").first.click()
    tab.set_input_files("#speech input[type=file]", str(voice))
    until(tab, f"() => ({LINE}).trim() == ''")
    told("There is no portrait yet")


def test_a_file_of_another_kind_is_told_beside_the_input_alone(tab, tmp_path):
    for name in ("fake.jpg", "fake.wav"):
        (tmp_path / name).write_text("neither picture nor sound\n" * 20)
    give(tab, tmp_path / "fake.jpg", tmp_path / "fake.wav")
    assert "not a picture that can be read" in tab.inner_text("#photo-note .bad")
    assert "not a recording" in tab.inner_text("#speech-note .bad")
    assert tab.locator(".toast-body").count() == 0


def test_what_is_told_is_of_the_photo_that_came_last(tab, tmp_path):
    slow, good = tmp_path / "slow.png", page.photo(tmp_path / "face.png", 320)
    page.Image.new("I;16", (6000, 6000)).save(slow, compress_level=1)  # it takes 2 s to be read
    tab.set_input_files("#photo input[type=file]", str(slow))
    tab.locator("#photo [aria-label=Clear], #photo [aria-label='Remove Image']").first.click()
    tab.set_input_files("#photo input[type=file]", str(good))
    until(tab, "() => document.querySelector('#photo-note').innerText.includes('good photo')")


def test_nothing_is_faint_and_axe_finds_nothing_serious_in_dark_colours(load, tmp_path):
    check_looks(load("?__theme=dark", color_scheme="dark"), tmp_path)
