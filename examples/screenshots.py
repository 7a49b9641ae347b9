"""Takes the README's pictures of the page, and measures it: `python examples/screenshots.py [--times-only]`.

Needs playwright and Debian's chromium. Starts a server of its own with the embedded weights; the pictures
go to examples/page/, the times are printed as the README's table.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import page as serving

PICTURES, STATES = Path(__file__).parent / "page", Path("out/page")
WIDTH = 1200  # pixels of a picture; the page is drawn at twice its size
SCREENS = {"desktop": (1440, 1240, "light"), "dark": (1440, 1240, "dark"), "phone": (390, 844, "light")}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
VIDEO = "document.querySelector('#talk video')"
MOTION = "document.querySelector('#motion video')"
LINE = "(document.querySelector('.making')?.innerText ?? '')"


def main() -> None:
    """Measures first, while the server is cold, then takes the pictures."""
    parser = argparse.ArgumentParser(description="Pictures and times of the page")
    parser.add_argument("--times-only", action="store_true", help="take no pictures")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the recording that is timed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp, sync_playwright() as tools:
        begin = time.monotonic()
        with serving.served(Path(temp), threads=None) as url:
            print(f"server ready after {time.monotonic() - begin:.1f} s\n")
            browser = tools.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            opening, click = shown(browser, url)
            print(f"playing {opening:.1f} s after opening, {click:.1f} s after an example's click\n")
            print("| run | motion preview | slider to preview | first picture | finished video |")
            print("|---|---|---|---|---|")
            voice = serving.recording(Path(temp) / "voice.wav", args.seconds)
            for run in ("cold", "warm", "warm"):
                print(f"| {run} | {' | '.join(measured(browser, url, voice))} |", flush=True)
            for name in () if args.times_only else SCREENS:
                pictures(browser, url, name)
            browser.close()


def shown(browser: Browser, url: str) -> tuple[float, float]:
    """Seconds from opening the page, and from a click on another example, to the playing video."""
    times, begin = [], time.monotonic()
    tab = opened(browser, url, "desktop")
    for name in ("drawn_woman", "drawn_man"):
        playing = f"{VIDEO}?.currentSrc.endsWith('{name}.mp4') && {VIDEO}.currentTime > 0"
        tab.wait_for_function(f"() => {playing}", polling=30)
        times.append(time.monotonic() - begin)
        begin = time.monotonic()
        tab.locator(".example").nth(1).click()
    tab.context.close()
    return times[0], times[1]


def measured(browser: Browser, url: str, voice: Path) -> list[str]:
    """Times of the astronaut (512 x 512), each from its click: the motion preview, the preview after a
    slider was moved, the first picture of the video that is being made, the finished file.
    """
    tab = opened(browser, url, "desktop")
    tab.locator("input[type=file]").nth(0).set_input_files(str(serving.EXAMPLES / "astronaut.jpg"))
    tab.locator("input[type=file]").nth(1).set_input_files(str(voice))
    tab.wait_for_selector("#photo-note .note")
    tab.wait_for_selector("#speech-note .note")
    times = []

    def until(condition: str) -> None:
        tab.wait_for_function(f"() => {condition}", polling=30)
        times.append(f"{time.monotonic() - begin:.1f} s")

    begin = time.monotonic()
    tab.click("#preview")
    until(f"{MOTION} && {MOTION}.readyState >= 2")
    before = tab.evaluate(f"{MOTION}.src")
    begin = time.monotonic()
    tab.get_by_label("number input for Lip strength").fill("1.5")
    tab.keyboard.press("Enter")
    until(f"{MOTION}.src != '{before}' && {MOTION}.readyState >= 2")
    begin = time.monotonic()
    tab.click("#animate")
    until("document.querySelector('#still img')")
    until(f"{LINE}.startsWith('Done')")
    tab.context.close()
    return times


def opened(browser: Browser, url: str, name: str) -> Page:
    """A tab with the page, of a screen's size and colours."""
    width, height, colours = SCREENS[name]
    scale = 2 if name == "phone" else 1
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=colours, device_scale_factor=scale
    )
    tab = context.new_page()
    tab.set_default_timeout(600_000)
    tab.goto(f"{url}?__theme={colours}")
    tab.wait_for_selector("#animate")
    return tab


def pictures(browser: Browser, url: str, name: str) -> None:
    """A visit in pictures: loaded, example, previewing, running, cancelled, done (the README's), error."""
    tab = opened(browser, url, name)
    tab.wait_for_function(f"() => {VIDEO}?.currentTime > 0.2")
    keep(tab, name, "loaded")
    tab.locator(".example").nth(1 if name == "dark" else 0).click()
    tab.wait_for_selector("#photo-note .note")
    tab.wait_for_selector("#speech-note .note")
    keep(tab, name, "example")
    tab.click("#preview")
    tab.wait_for_function(f"() => {MOTION}?.readyState >= 2")
    keep(tab, name, "previewing")
    tab.click("#animate")
    tab.wait_for_selector("#still img")
    keep(tab, name, "running")
    tab.click("#stop")
    tab.wait_for_function(f"() => {LINE}.startsWith('Cancelled')")
    keep(tab, name, "cancelled")
    tab.click("#animate")
    tab.wait_for_function(f"() => {LINE}.startsWith('Done')")
    tab.wait_for_function(f"() => {VIDEO}?.readyState >= 2")
    tab.evaluate(f"{VIDEO}.pause(), {VIDEO}.currentTime = 1.4")
    keep(tab, name, "done")
    tab.locator("#photo [aria-label=Clear], #photo [aria-label='Remove Image']").first.click()
    tab.click("#animate")
    tab.wait_for_selector(".making.bad")
    keep(tab, name, "error")
    tab.context.close()


def keep(tab: Page, name: str, state: str) -> None:
    """The page as it is: the README's into examples/page/, every state into out/page/."""
    tab.wait_for_timeout(1200)
    STATES.mkdir(parents=True, exist_ok=True)
    shot = STATES / f"{name}-{state}.png"
    tab.screenshot(path=shot, full_page=name != "phone")
    if state == "done":
        PICTURES.mkdir(exist_ok=True)
        image = Image.open(shot).convert("RGB")
        image.thumbnail((WIDTH, 3 * WIDTH), Image.Resampling.LANCZOS)
        image.save(PICTURES / f"{name}.jpg", quality=85, optimize=True)
    print(shot, flush=True)


if __name__ == "__main__":
    main()
