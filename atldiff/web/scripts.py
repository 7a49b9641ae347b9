"""Scripts of the page: show the result, keep the keyboard's focus, play without a click."""

from atldiff.web.jobs.request import MAX_UPLOAD

# For the page's head, before gradio's scripts. Its status trackers count their seconds sixty times a second.
# The first one counts as long as the page is open, which takes a quarter of a core.
# Here they count once a second.
CALM = rb"""<script>{
  const frame = window.requestAnimationFrame.bind(window), counts = /performance\.now\(\)-[^;]*\/1e3/;
  window.requestAnimationFrame = then =>
    counts.test(then) ? setTimeout(() => frame(then), 1000) : frame(then) }</script>"""
SHOW_RESULT = """() => {
  const block = innerWidth > 860 ? 'nearest' : 'start';
  document.querySelector('#result').scrollIntoView({behavior: 'smooth', block}) }"""
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
# Completes gradio's elements for keyboard and screen reader: roles, names, one group for the radio buttons of
# a question. Rewrites gradio's messages on failed uploads.
TIDY = """() => {
  const said = [
    [/^HTTP \\d+: /, ''],
    [/^Connection to the server was lost\\..*/s,
      'The connection was lost. The page goes on where it was as soon as the server answers.'],
    [/^Invalid file type: (.*)\\. Only image.* allowed\\.$/s, '$1 is not a picture. Choose a photo.'],
    [/^Invalid file type: (.*)\\. Only audio.* allowed\\.$/s,
      '$1 is no audio file. Choose one, or take a video’s sound with the button below.'],
    [/^Invalid file type: (.*)\\. Only video.* allowed\\.$/s, '$1 has no sound. Choose a video.'],
    [/^File\\(s\\) exceed the maximum .*?: "(.*)"$/s, '$1 is larger than LIMIT MB. Choose a smaller file.']];
  const tidy = () => {
    for (const part of document.querySelectorAll('.empty[aria-label]:not([role])'))
      part.setAttribute('role', 'img');
    for (const group of document.querySelectorAll('fieldset:has(input[type=radio]):not([role])')) {
      const name = group.querySelector('[data-testid=block-info]')?.innerText.trim() ?? '';
      group.setAttribute('role', 'radiogroup'); group.setAttribute('aria-label', name) }
    for (const each of document.querySelectorAll('[role=radiogroup] input[name^="radio-"]'))
      each.name = each.closest('[role=radiogroup]').getAttribute('aria-label');  // for the arrow keys
    for (const button of document.querySelectorAll('#photo button:has(img):not([aria-label])'))
      button.setAttribute('aria-label', 'Choose the face at a point of the photo');
    for (const toast of document.querySelectorAll('[data-testid=toast-text]')) {
      const plain = said.reduce((text, [found, instead]) => text.replace(found, instead), toast.textContent);
      if (plain !== toast.textContent) toast.textContent = plain } };
  const changes = {subtree: true, childList: true, attributeFilter: ['name']};  // gradio names a radio anew
  new MutationObserver(tidy).observe(document.body, changes); tidy() }""".replace(
    "LIMIT", MAX_UPLOAD.removesuffix("mb")
)
# gradio loads the page anew after a lost connection. The visit outlives that in the tab's own storage, and a
# video in the making is begun again. gradio ends its connection before any reload, and says that it was lost;
# what was said before that counts. `visit` is what the browser remembers in any case. gradio hears no click
# without a connection, so the clicks that begin and end a video are heard here.
OUTLIVE_LOSS = """visit => {
  const lost = JSON.parse(sessionStorage.getItem('atldiff'));
  sessionStorage.removeItem('atldiff');
  let lostAt = Infinity, leavesAt = Infinity;
  const look = () => {
    const toasts = [...document.querySelectorAll('[data-testid=toast-text]')];
    if (toasts.some(toast => /connection.* was lost\\./i.test(toast.textContent)))
      lostAt = Math.min(lostAt, performance.now()) };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true});
  addEventListener('beforeunload', event => { leavesAt = event.timeStamp });
  addEventListener('pagehide', () => {
    if (lostAt >= leavesAt) return;
    const now = {...window.visit, lost: true, running: Boolean(window.making)};
    sessionStorage.setItem('atldiff', JSON.stringify(now)) });
  addEventListener('click', ({target}) => {
    const button = target.closest?.('#animate, #stop');
    if (button) window.making = button.id == 'animate' }, true);
  window.making = Boolean(lost?.running);
  return window.visit = lost ?? visit }"""
# Forgets the visit that the browser kept as soon as it is not wanted; gradio's state does not write None.
KEEP_VISIT = """visit => {
  if (window.visit && window.visit.remember !== false && !visit.remember) localStorage.removeItem('atldiff');
  window.visit = visit }"""
FLAG_MAKING = """(_, ...values) => [Boolean(window.making), ...values]"""
BEGIN_AGAIN = """() => { if (window.making) document.querySelector('#animate').click() }"""
DOWNLOAD_CLIP = """() => setTimeout(() => document.querySelector('#clip').click(), 300)"""
SHARE = """async () => {
  const address = document.querySelector('#talk video').currentSrc, name = address.split('/').pop();
  const content = await (await fetch(address)).blob();
  const files = [new File([content], decodeURIComponent(name), {type: content.type})];
  navigator.share({files, title: document.title}).catch(() => {}) }"""
LOOP_SILENTLY = """() => {
  const file = new File([''], 'a.mp4', {type: 'video/mp4'});
  if (navigator.canShare?.({files: [file]})) document.body.classList.add('can-share');
  let tries = 0; const play = () => {
  const video = document.querySelector('#talk video');
  if (document.body.classList.contains('heard')) return;
  if (video && video.readyState > 0) {
    Object.assign(video, {muted: true, volume: 0, loop: true, playsInline: true});
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches) video.play() }
  else if (tries++ < 50) setTimeout(play, 100) }; play();
  // The second video of a pair follows the first one, without its sound.
  const follow = event => {
    const [first, second] = ['#talk video', '#other video'].map(name => document.querySelector(name));
    const starts = event.target === second && event.type === 'loadeddata';
    if (!second || event.target !== first && !starts) return;
    second.muted = true;
    if (Math.abs(second.currentTime - first.currentTime) > 0.1) second.currentTime = first.currentTime;
    if (first.paused) second.pause(); else second.play() };
  for (const type of ['play', 'pause', 'seeking', 'loadeddata']) document.addEventListener(type, follow, true)
  }"""
# Records how a hand drags the face of the pad while the recording plays; the face leans along.
DRAG = """() => {
  let path = null, sound = null, face = null, from = null;
  const within = value => Math.max(-1, Math.min(1, value));
  const record = event => {
    const {width, height} = face.parentElement.getBoundingClientRect();
    const x = within((event.clientX - from.clientX) / width * 2);
    const y = within((event.clientY - from.clientY) / height * 2);
    path.push([(performance.now() - from.at) / 1000, x, y].map(value => +value.toFixed(3)));
    face.style.transform = `perspective(600px) rotateY(${15 * x}deg) rotateX(${-10 * y}deg)` };
  const end = () => {
    if (!path) return;
    const text = document.querySelector('#path textarea, #path input');
    path.push([(performance.now() - from.at) / 1000, ...path.at(-1).slice(1)]);
    text.value = JSON.stringify(path); path = null; sound.pause();
    text.dispatchEvent(new Event('input', {bubbles: true})) };
  addEventListener('pointerdown', event => {
    face = event.target.closest?.('.pad img');
    if (!face) return;
    event.preventDefault(); face.setPointerCapture(event.pointerId);
    const {clientX, clientY} = event;
    from = {clientX, clientY, at: performance.now()}; path = [];
    sound = new Audio(face.parentElement.dataset.sound); sound.onended = end; sound.play().catch(() => {});
    record(event) });
  addEventListener('pointermove', event => path && record(event));
  for (const kind of ['pointerup', 'pointercancel']) addEventListener(kind, end) }"""
# Plays the video in the making as soon as it will not stand still before its end: at once if the server's
# forecast says so. Else the pace counts, from the beginning, or, after a further second of video, from the
# first part: what came before took its time once.
PLAY_LIVE = """value => {
  const kind = 'video/mp4; codecs="avc1.64001f, mp4a.40.2"';
  const plays = () => document.body.classList.contains('live');
  const pause = () => new Promise(end => setTimeout(end, plays() ? 150 : 50));
  if (!value || !window.MediaSource?.isTypeSupported(kind)) return;
  const {path, seconds, age, left: forecast} = JSON.parse(value), source = new MediaSource();
  const begin = performance.now() - 1000 * age;  // of the frames, some of which are there already
  const video = document.createElement('video');
  Object.assign(video, {id: 'live', controls: true, playsInline: true});
  document.querySelector('#live')?.remove();
  document.querySelector('#result').append(video);
  video.src = URL.createObjectURL(source);
  source.onsourceopen = async () => {
    const buffer = source.addSourceBuffer(kind); let offset = 0, first = null;
    source.duration = seconds;
    for (; video.isConnected; await pause()) {
      const headers = {Range: `bytes=${Math.max(offset - 1, 0)}-`};  // never beyond the end
      const answer = await fetch(`gradio_api/file=${path}`, {headers, cache: 'no-store'}).catch(() => null);
      if (answer?.status == 206) {
        const bytes = (await answer.arrayBuffer()).slice(offset ? 1 : 0); offset += bytes.byteLength;
        if (bytes.byteLength) {
          buffer.appendBuffer(bytes);
          await new Promise(end => buffer.onupdateend = end) } }
      else if (answer && answer.status != 416) return;  // 416: it is empty yet
      const made = buffer.buffered.length ? buffer.buffered.end(0) : 0;
      const now = performance.now();
      const left = (parts, since) => (seconds - made) / (1000 * parts / (now - since));
      if (made && !first) first = {made, at: now};
      const lasts = made >= Math.min(0.5, seconds) && Math.min(forecast, left(made, begin)) <= seconds / 1.1
        || made >= first?.made + 1 && left(made - first.made, first.at) <= seconds / 1.2;
      if (!plays() && video.isConnected && lasts) {
        document.body.classList.add('live', 'heard'); video.play() } } } }"""
END_LIVE = """() => {
  document.querySelector('#live')?.remove(); document.body.classList.remove('live') }"""
PLAY = """() => { window.making = false; let tries = 0; const live = document.querySelector('#live');
  const seen = live && document.body.classList.contains('live') ? live.currentTime : 0, over = live?.ended;
  const play = () => {
  document.body.classList.add('heard');
  const video = document.querySelector('#talk video');
  if (video && video.readyState > 0) {
    live?.remove(); document.body.classList.remove('live');
    Object.assign(video, {muted: false, volume: 1, loop: false, currentTime: over ? 0 : seen});
    if (!over) video.play() }
  else if (tries++ < 50) setTimeout(play, 100) }; play() }"""
