"""Takes pictures of the page for the README, and times it: `python tools/screenshots.py [--times-only]`.

It needs playwright and Debian's chromium, and starts a server with the embedded weights. The pictures go to
examples/page/; the times are printed as a table.
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
from web.browser.visitor import clear, give

PICTURES, STATES = Path(__file__).parents[1] / "examples" / "page", Path("out/page")
WIDTH = 1200  # pixels of a picture
SCREENS = {
    "desktop": (1440, 1240, "light"),
    "dark": (1440, 1240, "dark"),
    "phone": (390, 844, "light"),
    "tablet": (820, 1180, "light"),
    "wide": (1920, 1080, "light"),
}
SHOWN = ("desktop", "dark", "phone")  # in the documentation
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
]
VIDEO = "document.querySelector('#talk video')"
MOTION = "document.querySelector('#motion video')"
LINE = "(document.querySelector('.making')?.innerText ?? '')"


def main() -> None:
    """Times the page, first on a cold server, then takes the pictures."""
    parser = argparse.ArgumentParser(description="Pictures and times of the page")
    parser.add_argument("--times-only", action="store_true", help="take no pictures")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the recording that is timed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp, sync_playwright() as tools:
        begin = time.monotonic()
        with serving.served(Path(temp), threads=None) as url:
            print(f"server ready after {time.monotonic() - begin:.1f} s\n")
            browser = tools.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            opening, click = time_first_videos(browser, url)
            print(f"playing {opening:.1f} s after opening, {click:.1f} s after an example's click\n")
            print("| run | preview | slider to preview | first picture | finished video |")
            print("|---|---|---|---|---|")
            voice = serving.recording(Path(temp) / "voice.wav", args.seconds)
            for run in ("cold", "warm", "warm"):
                print(f"| {run} | {' | '.join(time_requests(browser, url, voice))} |", flush=True)
            for name in () if args.times_only else SCREENS:
                take_pictures(browser, url, name)
            browser.close()


def time_first_videos(browser: Browser, url: str) -> tuple[float, float]:
    """Seconds to a playing video, from opening the page and from a click on another example."""
    times, begin = [], time.monotonic()
    tab = open_tab(browser, url, "desktop")
    for name in ("astronaut", "mona_lisa"):
        playing = f"{VIDEO}?.currentSrc.endsWith('{name}.mp4') && {VIDEO}.currentTime > 0"
        tab.wait_for_function(f"() => {playing}", polling=30)
        times.append(time.monotonic() - begin)
        begin = time.monotonic()
        tab.locator(".example").nth(1).click()
    tab.context.close()
    return times[0], times[1]


def time_requests(browser: Browser, url: str, voice: Path) -> list[str]:
    """Times the astronaut (512 x 512), each time from the click.

    Returns:
        Times such as "1.2 s": the preview; the preview after a change of a slider; a video's first
        picture; the finished file.
    """
    tab = open_tab(browser, url, "desktop")
    give(tab, serving.EXAMPLES / "astronaut.jpg", voice)
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


def open_tab(browser: Browser, url: str, name: str) -> Page:
    """Opens a tab with the page, in a screen's size and colours."""
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


def take_pictures(browser: Browser, url: str, name: str) -> None:
    """Takes one picture of each state of a visit; "done" is the README's picture."""
    tab = open_tab(browser, url, name)
    tab.wait_for_function(f"() => {VIDEO}?.currentTime > 0.2")
    save_picture(tab, name, "loaded")
    tab.locator(".example").nth(1 if name == "dark" else 0).click()
    tab.wait_for_selector("#photo-note .note")
    tab.wait_for_selector("#speech-note .note")
    save_picture(tab, name, "example")
    tab.click("#animate")
    tab.wait_for_selector("#still img")
    save_picture(tab, name, "running")
    tab.click("#stop")
    tab.wait_for_function(f"() => {LINE}.startsWith('Cancelled')")
    save_picture(tab, name, "cancelled")
    tab.click("#animate")
    tab.wait_for_function(f"() => {LINE}.startsWith('Done')")
    tab.wait_for_function(f"() => {VIDEO}?.readyState >= 2")
    tab.evaluate(f"{VIDEO}.pause(), {VIDEO}.currentTime = 1.4")
    save_picture(tab, name, "done")
    tab.click("#preview")
    tab.wait_for_function(f"() => {MOTION}?.readyState >= 2")
    save_picture(tab, name, "previewing")
    tab.click("#by-hand")
    tab.wait_for_selector(".pad img")
    save_picture(tab, name, "turning")
    clear(tab)
    tab.click("#animate")
    tab.wait_for_selector(".making.bad")
    save_picture(tab, name, "error")
    tab.context.close()


def save_picture(tab: Page, name: str, state: str) -> None:
    """Saves a picture of the page to out/page/; the state "done" of some goes to examples/page/."""
    tab.wait_for_timeout(1200)
    STATES.mkdir(parents=True, exist_ok=True)
    shot = STATES / f"{name}-{state}.png"
    tab.screenshot(path=shot, full_page=name != "phone")
    if state == "done" and name in SHOWN:
        PICTURES.mkdir(exist_ok=True)
        image = Image.open(shot).convert("RGB")
        image.thumbnail((WIDTH, 3 * WIDTH), Image.Resampling.LANCZOS)
        image.save(PICTURES / f"{name}.jpg", quality=85, optimize=True)
    print(shot, flush=True)


if __name__ == "__main__":
    main()
