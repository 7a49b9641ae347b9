"""What the page's looks must satisfy in both colours."""

from pathlib import Path

import page
import pytest
from web.browser.visitor import LINE, becomes, give, open_advanced, until

HEAD = "document.querySelector('[aria-label=\"number input for Head motion\"]').value"
# The borders of what can be clicked or filled in, with a contrast below 3 to what is round them.
FAINT = """() => {
  const colour = text => text.match(/[\\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map((level, at) => {
    const value = level / 255;
    const linear = value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    return [0.2126, 0.7152, 0.0722][at] * linear }).reduce((sum, each) => sum + each);
  const behind = part => { for (let at = part.parentElement; at; at = at.parentElement) {
    const [r, g, b, a = 1] = colour(getComputedStyle(at).backgroundColor); if (a == 1) return [r, g, b] }
    return [255, 255, 255] };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  return [...document.querySelectorAll('button.secondary, textarea, input:is([type=number], [type=radio])')]
    .filter(part => part.checkVisibility() && part.offsetHeight && !part.disabled && !part.checked)
    .filter(part => getComputedStyle(part).borderTopStyle != 'none' && !part.closest('#screen'))
    .filter(part => contrast(colour(getComputedStyle(part).borderTopColor), behind(part)) < 3)
    .map(part => part.outerHTML.slice(0, 120)) }"""


def check_looks(tab, folder: Path) -> None:
    """After a mistake and with a part in focus, axe finds nothing serious and every border can be seen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    give(tab, page.landscape(folder / "land.png"), page.recording(folder / "voice.wav", 1))
    open_advanced(tab)
    tab.click("#animate")
    until(tab, f"() => ({LINE}).includes('No face was found')")
    tab.wait_for_timeout(1000)  # the button has come back, and with it its colour
    assert tab.evaluate(FAINT) == []
    lips = tab.get_by_label("number input for Lip strength")
    lips.fill("0.5")
    becomes(tab, tab.get_by_label("Custom").is_checked)
    tab.get_by_label("Natural").check()
    becomes(tab, lambda: lips.input_value() == "1")
    tab.get_by_label("Natural").focus()
    tab.keyboard.press("ArrowRight")  # one group, also after a change: the arrow keys choose
    until(tab, f"() => {HEAD} == 0")
    becomes(tab, tab.get_by_role("radiogroup", name="Preset").get_by_label("Still").is_checked)
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    results = axe.Axe().run(tab, options={"resultTypes": ["violations"]})
    found = [
        (rule["id"], node["html"][:200], node["failureSummary"][:300])
        for rule in results.response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
    assert found == []
    tab.get_by_label("Natural").check()
    until(tab, f"() => {HEAD} == 1")
    becomes(tab, tab.get_by_label("Natural").is_checked)
