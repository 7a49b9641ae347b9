"""Scripts of the page: show the result, keep the keyboard's focus, play without a click."""

from atldiff.web.jobs.request import MAX_UPLOAD

SHOW_RESULT = """() => {
  document.querySelector('#result').scrollIntoView({behavior: 'smooth', block: 'start'}) }"""
SHOW_VIDEO = """() => {  // again while new notes above push it down, until the visitor scrolls
  const show = () => document.querySelector('#talk').scrollIntoView({behavior: 'smooth', block: 'nearest'});
  const again = setInterval(show, 500), stop = () => clearInterval(again);
  for (const move of ['wheel', 'touchmove', 'pointerdown', 'keydown'])
    addEventListener(move, stop, {once: true});
  setTimeout(stop, 5000); show() }"""
SHOW_MOTION = """() => {
  document.querySelector('#photo').scrollIntoView({behavior: 'smooth', block: 'nearest'}) }"""
FOCUS = """() => setTimeout(() => {
  const lost = document.activeElement === document.body || !document.activeElement?.checkVisibility();
  const shown = [...document.querySelectorAll('#stop, #animate')].find(
    button => button.checkVisibility() && !button.disabled);
  if (lost) shown?.focus({preventScroll: true}) }, 300)"""
# Adds the missing role of gradio's labelled elements, and rewrites its messages on failed uploads.
TIDY = """() => {
  const said = [
    [/^HTTP \\d+: /, ''],
    [/^Invalid file type: (.*)\\. Only image.* allowed\\.$/s, '$1 is not a picture. Choose a photo.'],
    [/^Invalid file type: (.*)\\. Only audio.* allowed\\.$/s,
      '$1 is no audio file. Choose one, or take a video’s sound with the button below.'],
    [/^Invalid file type: (.*)\\. Only video.* allowed\\.$/s, '$1 has no sound. Choose a video.'],
    [/^File\\(s\\) exceed the maximum .*?: "(.*)"$/s, '$1 is larger than LIMIT MB. Choose a smaller file.']];
  const tidy = () => {
    for (const part of document.querySelectorAll('.empty[aria-label]:not([role])'))
      part.setAttribute('role', 'img');
    for (const toast of document.querySelectorAll('[data-testid=toast-text]')) {
      const plain = said.reduce((text, [found, instead]) => text.replace(found, instead), toast.textContent);
      if (plain !== toast.textContent) toast.textContent = plain } };
  new MutationObserver(tidy).observe(document.body, {subtree: true, childList: true}); tidy() }""".replace(
    "LIMIT", MAX_UPLOAD.removesuffix("mb")
)
_PLAY = """() => { let tries = 0; const play = () => {
  if (SILENT && matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const video = document.querySelector('#talk video');
  if (video && video.readyState > 0) { video.muted = SILENT; video.volume = SILENT ? 0 : 1; video.play() }
  else if (tries++ < 50) setTimeout(play, 100) }; play() }"""
PLAY_SILENTLY, PLAY = _PLAY.replace("SILENT", "true"), _PLAY.replace("SILENT", "false")
