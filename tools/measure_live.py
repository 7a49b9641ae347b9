"""Measures a live portrait in Debian's Chromium, with a made microphone, on this machine.

usage: python tools/measure_live.py [--seconds 60] [--photo examples/astronaut.jpg] [--idle]

- The microphone says short vowels at random distances. An AudioWorklet times their onsets in the microphone's
  and in the portrait's sound. A pattern in the pictures' corner holds the frame's number and whether there is
  sound in it; `requestVideoFrameCallback` reads it.
- `--idle` puts sleeps in place of the networks: what is left is transport, on a busy machine too.
- It prints the rows of docs/live.md. It needs `pip install atldiff[live]`, playwright and Chromium.
"""

import argparse
import asyncio
import os
import platform
import shutil
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
import uvicorn
from playwright.sync_api import sync_playwright
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from atldiff.live.peer import connect, peer_loop
from atldiff.live.session import LiveSession
from atldiff.live.visit import Visit
from atldiff.loading import load_pipeline
from atldiff.options import Options
from atldiff.portrait.portrait import load_portrait

CELL, BITS, PORT = 16, 16, 8765  # pixels of a cell of the pattern, bits of a frame's number
LOUD = 0.05  # of a frame's samples: there is sound in it
SLEEP = 0.02  # seconds of a chunk in place of each network
FLAGS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required",
         "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]  # fmt: skip

PAGE = """<!doctype html><video id=v autoplay playsinline></video><script>
const worklet = `registerProcessor('onset', class extends AudioWorkletProcessor {
  constructor() { super(); this.quiet = 99 }
  process([input]) { const block = input[0]; if (!block) return true;
    const loud = block.some(x => Math.abs(x) > 0.03); this.quiet = loud ? this.quiet : this.quiet + block.length / sampleRate;
    if (loud) { if (this.quiet > 0.25) this.port.postMessage(currentTime); this.quiet = 0 } return true } })`;
window.log = {mic: [], sound: [], frames: []};
async function start() {
  const wishes = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  const mic = await navigator.mediaDevices.getUserMedia({audio: wishes});
  const pc = window.pc = new RTCPeerConnection(), both = v.srcObject = new MediaStream();
  const ctx = window.ctx = new AudioContext({latencyHint: 'interactive'});
  await ctx.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], {type: 'text/javascript'})));
  const time = (stream, list) => { const node = new AudioWorkletNode(ctx, 'onset');
    ctx.createMediaStreamSource(stream).connect(node);
    node.port.onmessage = e => { const at = ctx.getOutputTimestamp();
      list.push(e.data - at.contextTime + at.performanceTime / 1000) } };
  time(mic, log.mic);
  pc.addTrack(mic.getAudioTracks()[0], mic); pc.addTransceiver('video', {direction: 'recvonly'});
  pc.ontrack = e => { both.addTrack(e.track); e.receiver.jitterBufferTarget = 0;
    if (e.track.kind == 'audio') time(new MediaStream([e.track]), log.sound) };
  const channel = pc.createDataChannel('state');
  channel.onopen = () => setInterval(() => channel.send('state'), 1000);
  const pen = new OffscreenCanvas(CELLS, 1).getContext('2d', {willReadFrequently: true});
  const read = (now, frame) => { pen.drawImage(v, 0, 0, CELLS * 16, 16, 0, 0, CELLS, 1);
    const d = pen.getImageData(0, 0, CELLS, 1).data; let n = 0;
    for (let bit = 0; bit < 16; bit++) n |= (d[4 * (bit + 1)] > 127) << bit;
    log.frames.push([frame.expectedDisplayTime / 1000, n, d[0] > 127]); v.requestVideoFrameCallback(read) };
  v.requestVideoFrameCallback(read);
  await pc.setLocalDescription(await pc.createOffer());
  await new Promise(done => { pc.onicecandidate = e => e.candidate || done(); setTimeout(done, 1500) });
  const {sdp, type} = pc.localDescription, body = JSON.stringify({sdp, type, microphone: true});
  await pc.setRemoteDescription(await (await fetch('/offer', {method: 'POST', body})).json()) }
</script>""".replace("CELLS", str(BITS + 1))  # noqa: E501


CONCEALED = """async () => {
  const sound = [...(await pc.getStats()).values()].find(x => x.type == 'inbound-rtp' && x.kind == 'audio');
  return (sound.concealedSamples - sound.silentConcealedSamples) / sound.totalSamplesReceived }"""


class MarkedSession(LiveSession):
    """A session with the pattern in its frames, and clocks round its stages."""

    def pull(self, after: int = -1):  # noqa: ANN201
        """As in `LiveSession`."""
        frame = super().pull(after)
        if frame is None:
            return None
        own = frame.sound[-(frame.rate // 30) :]
        cells = [bool(np.abs(own).max() > LOUD), *(frame.index >> bit & 1 for bit in range(BITS))]
        frame.image[:CELL, : CELL * len(cells)] = (
            255 * np.repeat(np.array(cells, np.uint8), CELL)[None, :, None]
        )
        return replace(frame)


def timed(function, times: list[float], frames):  # noqa: ANN001, ANN201
    """The function, with its thread's CPU milliseconds a frame noted."""

    def run(*values):  # noqa: ANN002, ANN202
        """Calls the function."""
        begin = time.thread_time()
        result = function(*values)
        result = result if not hasattr(result, "__next__") else list(result)
        times.append(1000 * (time.thread_time() - begin) / frames(values, result))
        return result

    return run


def make_voice(path: Path, seconds: float) -> Path:
    """Writes vowels of 0.3 s at distances of 3.1 to 3.9 s."""
    rng, rate = np.random.default_rng(0), 48_000
    time_, sound, at = np.arange(round(0.3 * rate)) / rate, np.zeros(round(seconds * rate)), 0.7
    voice = sum(
        np.sin(2 * np.pi * 130 * k * time_) / (1 + ((130 * k - 700) / 250) ** 2) for k in range(1, 30)
    )
    voice *= np.minimum(1, np.minimum(time_ / 0.005, (0.3 - time_) / 0.05))
    voice *= 0.6 / np.abs(voice).max()
    while at < seconds - 0.5:
        begin = round(at * rate)
        sound[begin : begin + len(voice)] = voice
        at += rng.uniform(3.1, 3.9)  # more than any delay
    soundfile.write(path, sound, rate)
    return path


def serve(session: LiveSession, visits: list[Visit]) -> None:
    """Serves the page in threads."""

    async def offer(request) -> JSONResponse:  # noqa: ANN001
        visits.append(Visit(session))
        answer = connect(visits[-1], await request.json(), lambda: None)
        done = asyncio.run_coroutine_threadsafe(answer, peer_loop())
        return JSONResponse(await asyncio.wrap_future(done))

    page = Route("/", lambda _: HTMLResponse(PAGE))
    app = Starlette(routes=[page, Route("/offer", offer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=PORT, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)


def after(starts: list[float], ends: list[float]) -> np.ndarray:
    """Milliseconds from each start to the first end behind it, within 3 s."""
    ends_, waits = np.array(ends), []
    for start in starts:
        later = ends_[(ends_ > start) & (ends_ < start + 3)]
        waits += [1000 * (later[0] - start)] if len(later) else []
    return np.array(waits)


def report(log: dict, concealed: float) -> dict[str, str]:
    """The figures of a run."""
    frames = [frame for frame in log["frames"] if frame[0] > log["frames"][0][0] + 5]
    numbers = [int(number) for _, number, _ in frames]
    span = frames[-1][0] - frames[0][0]
    new = len(set(numbers)) / max(1, round(30 * span))
    loud = [bool(sound) for _, _, sound in frames]
    onsets = [frames[i][0] for i in range(6, len(frames)) if loud[i] and not any(loud[i - 6 : i])]
    mic = [at for at in log["mic"] if at > frames[0][0]]
    sound, lips = after(mic, log["sound"]), after(mic, onsets)
    apart = [min((x - at for x in onsets), key=abs, default=9) for at in log["sound"] if at > frames[0][0]]
    apart_ms = 1000 * np.array([x for x in apart if abs(x) < 0.7])
    text = {
        "pictures a second": f"{len(set(numbers)) / span:.1f}",
        "slots without a new picture": f"{1 - new:.0%}",
    }
    for name, times in (("microphone to sound", sound), ("microphone to lips", lips)):
        if len(times):
            low, high = np.quantile(times, (0.5, 0.9))
            text[name] = f"{low:.0f} ms (90 %: {high:.0f}; {len(times)} onsets)"
    if len(apart_ms):
        text["picture against sound"] = (
            f"{np.median(apart_ms):+.0f} ms ({apart_ms.min():.0f} to {apart_ms.max():.0f})"
        )
    if len(sound) > 2 and log["mic"][-1] - log["mic"][0] > 120:
        text["drift"] = f"{drift(mic, log['sound']):+.1f} ms of delay a minute"
    text["sound concealed by the browser"] = f"{concealed:.2%}"
    return text


def resident() -> int:
    """Memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") >> 20


def drift(starts: list[float], ends: list[float]) -> float:
    """By how much the way from a start to the first end behind it grows, milliseconds a minute."""
    ways = [(start, each) for start in starts for each in after([start], ends)]
    times, waits = np.array(ways).T
    return float(60 * np.polyfit(times, waits, 1)[0])


def main() -> None:
    """Runs one measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--photo", default="examples/astronaut.jpg")
    parser.add_argument("--idle", action="store_true", help="sleeps in place of the networks")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = load_pipeline()
    session = MarkedSession(pipeline, load_portrait(args.photo), Options(output="square"), mark=False)
    pictures, motion = session._pictures, session._motion
    times: dict[str, list[float]] = {"landmarks": [], "warp": [], "network and finish": []}
    if args.idle:
        motion._predict = lambda heard, frames: (
            time.sleep(SLEEP),
            motion.rest[None].repeat(frames, 0),
            None,
        )[1:]
        pictures.warp = lambda motion: time.sleep(SLEEP)
        pictures.render = lambda motion, parts: [session.photo.copy() for _ in motion.points]
    motion.move = timed(motion.move, times["landmarks"], lambda values, _: values[2])
    pictures.warp = timed(pictures.warp, times["warp"], lambda values, _: len(values[0].points))
    pictures.render = timed(
        pictures.render, times["network and finish"], lambda values, _: len(values[0].points)
    )
    visits: list[Visit] = []
    serve(session, visits)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as tools:
        voice = make_voice(Path(folder) / "voice.wav", 60)
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={voice}"]
        browser = tools.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        tab = browser.new_context(permissions=["microphone"]).new_page()
        tab.goto(f"http://127.0.0.1:{PORT}/")
        tab.evaluate("start()")
        begin, cpu = time.monotonic(), time.process_time()
        memory = [(tab.wait_for_timeout(1000 * args.seconds / 20), resident())[1] for _ in range(20)]
        cores, delay = (time.process_time() - cpu) / (time.monotonic() - begin), visits[0].delay
        log = tab.evaluate("log")
        concealed = tab.evaluate(CONCEALED)
        ready = [took for _, took in visits[0].clock._times]
        browser.close()
    visits[0].close()
    visits[0].join(10)
    lines = {"machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
             f"{pipeline.unet.dtype}, load {os.getloadavg()[0]:.1f}"}  # fmt: skip
    lines |= report(log, concealed)
    lines["delay of the server at the end"] = f"{1000 * delay:.0f} ms"
    if len(ready):
        low, high, top = 1000 * np.quantile(ready, (0.5, 0.9, 0.99))
        lines["pictures ready after"] = f"{low:.0f} ms (90 %: {high:.0f}, 99 %: {top:.0f})"
    for name, each in times.items():
        lines[f"{name}, CPU a frame"] = f"{np.median(each):.1f} ms"
    early, late = min(memory[3:8]), max(memory[-5:])
    lines["memory of the server, after a fourth and at the end"] = f"{early} and {late} MiB"
    lines["server's share of a core"] = f"{cores:.2f}"
    for name, value in lines.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
