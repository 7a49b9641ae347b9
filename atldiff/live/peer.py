"""WebRTC by aiortc: a visit's tracks and its data channel. aiortc is imported when a visitor comes."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.live.clock import BLOCK
from atldiff.live.visit import RATE, SAMPLES, Visit

PATIENCE = 4.0  # seconds without a word of the page, after which its visitor is gone
CONNECTING = 20.0  # seconds until a page must have spoken for the first time
_BITRATE = 1_200_000  # bits a second of the pictures
_VIDEO_RATE = 90_000
_REST = 6  # slots after which a picture that did not change is sent again


@cache
def peer_loop() -> asyncio.AbstractEventLoop:
    """The event loop of all connections, in a thread of its own, so that no page's request delays sound."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="live").start()
    return loop


async def connect(
    visit: Visit, offer: dict[str, Any], on_end: Callable[[], None], relays: Sequence[dict[str, str]] = ()
) -> dict[str, str]:
    """Connects a page with a visit.

    Args:
        visit: the portrait.
        offer: the page's session description, {"sdp", "type", "microphone": does sound come by itself? Else
            this connection keeps the time}.
        on_end: called once when the visitor is gone.
        relays: STUN and TURN servers, {"urls", "username", "credential"}.

    Returns:
        The answer, {"sdp", "type"}.
    """
    from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
    from aiortc.codecs import vpx

    # Otherwise each change of the estimated bandwidth makes a new encoder, with a whole picture.
    vpx.DEFAULT_BITRATE = vpx.MIN_BITRATE = vpx.MAX_BITRATE = _BITRATE
    servers = [RTCIceServer(**server) for server in relays]
    peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))
    life = _Life(peer, visit, on_end)

    @peer.on("track")
    def listen(track: Any) -> None:
        _skip_prefetch(peer, track)
        life.start(_listen(track, visit))

    @peer.on("datachannel")
    def talk(channel: Any) -> None:
        channel.on("message", lambda message: life.answer(channel, message))

    try:
        await peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
        if not offer.get("microphone"):
            life.start(_pace(visit))
        for kind in ("audio", "video"):
            peer.addTrack(_make_track(visit, kind))
        await peer.setLocalDescription(await peer.createAnswer())
    except Exception:
        await life.end()
        raise
    life.start(life.watch())
    return {"sdp": peer.localDescription.sdp, "type": peer.localDescription.type}


class _Life:
    """Ends a visit when its page is silent."""

    def __init__(self, peer: Any, visit: Visit, on_end: Callable[[], None]) -> None:
        self.peer, self.visit, self._on_end = peer, visit, on_end
        self._tasks: list[asyncio.Future] = []
        self._silent_at, self._is_over = time.monotonic() + CONNECTING, False

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a task that ends with the visit; its failure ends the visit."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._note)
        self._tasks.append(task)

    def _note(self, task: asyncio.Future) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.visit.fail(error)

    def answer(self, channel: Any, message: Any) -> None:
        """Takes a word of the page; tells the state of the visit."""
        self._silent_at = time.monotonic() + PATIENCE
        if message == "bye":
            self._silent_at = 0.0
        else:
            channel.send(json.dumps(self.visit.state()))

    async def watch(self) -> None:
        """Waits until the page is silent, or something fails."""
        while time.monotonic() < self._silent_at and self.visit.problem is None:
            await asyncio.sleep(0.2)
        await self.end()

    async def end(self) -> None:
        """Frees everything, once."""
        if not self._is_over:
            self._is_over = True
            self.visit.close()
            self._on_end()
            for task in self._tasks:
                if task is not asyncio.current_task():
                    task.cancel()
            await self.peer.close()


def _skip_prefetch(peer: Any, track: Any) -> None:
    """Makes aiortc give each packet of sound at once; it holds back four, 80 ms."""
    from aiortc.jitterbuffer import JitterBuffer

    for receiver in peer.getReceivers():
        if receiver.track is track and hasattr(receiver, "_RTCRtpReceiver__jitter_buffer"):
            receiver._RTCRtpReceiver__jitter_buffer = JitterBuffer(capacity=16, prefetch=0)


async def _listen(track: Any, visit: Visit) -> None:
    """Passes a microphone's sound on, 20 ms at a time."""
    from aiortc.mediastreams import MediaStreamError

    rest = np.zeros(0, np.float32)
    try:
        while True:
            frame = await track.recv()
            channels = len(frame.layout.channels)
            mono = frame.to_ndarray().reshape(-1, channels).mean(axis=1).astype(np.float32) / 32768
            rest = np.concatenate([rest, mono])
            while len(rest) >= SAMPLES:
                visit.hear(rest[:SAMPLES])
                rest = rest[SAMPLES:]
    except MediaStreamError:  # the page has left or muted; `_Life` decides
        return


async def _pace(visit: Visit) -> None:
    """Keeps the time of a visit without a microphone."""
    begin, count = time.perf_counter(), 0
    while True:
        visit.hear(None)
        count += 1
        await asyncio.sleep(max(0.0, begin + count * BLOCK - time.perf_counter()))


def _make_track(visit: Visit, kind: str) -> Any:
    """The track of a visit's "audio" or "video"."""
    from aiortc import MediaStreamTrack

    class Leaving(MediaStreamTrack):
        """What leaves, at its time; both tracks count from the first sound."""

        def __init__(self) -> None:
            super().__init__()
            self.kind, self._count, self._sent = kind, 0, (-_REST, None)  # slot and picture sent last

        async def recv(self) -> Any:
            """The next block or picture. A failure ends the visit; aiortc would end this track alone."""
            try:
                return await self._leave()
            except Exception as error:
                visit.fail(error)
                raise

        async def _leave(self) -> Any:
            while visit.begin is None:
                await asyncio.sleep(0.005)
            if kind == "audio":
                return await self._sound()
            while (picture := await self._picture()) is None:
                pass
            return picture

        async def _sound(self) -> av.AudioFrame:
            await self._wait(BLOCK)
            block = np.clip(visit.next_sound() * 32767, -32768, 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(block[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = (
                RATE,
                SAMPLES * (self._count - 1),
                Fraction(1, RATE),
            )
            return frame

        async def _picture(self) -> av.VideoFrame | None:
            await self._wait(1 / FRAME_RATE)
            frame = visit.next_picture()
            if frame is None or (frame is self._sent[1] and self._count < self._sent[0] + _REST):
                return None
            self._sent = self._count, frame
            frame.pts = _VIDEO_RATE // FRAME_RATE * (self._count - 1)
            frame.time_base = Fraction(1, _VIDEO_RATE)
            return frame

        async def _wait(self, span: float) -> None:
            """Waits for the next moment of a steady clock."""
            due = (visit.begin or 0.0) + self._count * span
            self._count += 1
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    return Leaving()
