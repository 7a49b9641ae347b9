"""What a live portrait meets on a machine: sound that arrives, an address, a page; each by the real thing."""

import asyncio
import io
import os
import socket
import threading
import time
from contextlib import suppress

import av
import httpx
import numpy as np
import pytest
from live.counting import Counting

from atldiff.errors import InputError
from atldiff.live.devices import broadcast as module
from atldiff.live.devices.broadcast import broadcast, check_address
from atldiff.live.devices.inlets import Arriving, Recording, open_microphone, read_pcm
from atldiff.live.devices.play import play
from atldiff.live.devices.viewer import Viewer
from atldiff.live.film import Footage, Transmission
from atldiff.live.tape import Tape
from atldiff.live.visit import RATE, SAMPLES, Visit
from atldiff.media.sound import mix_to_mono
from atldiff.media.speech import Speech


def wave(seconds: float, rate: int = RATE) -> np.ndarray:
    """A tone that grows louder, so that each moment has its own samples; (n,) float32."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 200 * times) * times / seconds).astype(np.float32)


def blocks(inlet) -> np.ndarray:
    """All sound of an inlet."""
    heard, end = [], time.monotonic() + 10
    while not inlet.is_over and time.monotonic() < end:
        block = inlet.next_block()
        heard += [] if block is None else [block]
        time.sleep(0.001)  # the other thread gets its turn
    assert all(len(block) == SAMPLES for block in heard)
    return np.concatenate(heard)


def test_a_recording_is_heard_whole_and_ends_in_silence():
    speech = Speech.from_samples(wave(0.09), RATE)
    heard, sound = blocks(Recording(speech)), mix_to_mono(speech.sound)
    np.testing.assert_allclose(heard[: len(sound)], sound, atol=1e-6)
    assert len(heard) == 5 * SAMPLES and not heard[len(sound) :].any()


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (48_000, 2), (16_000, 1), (44_100, 2)])
def test_raw_pcm_is_heard_whole_at_any_rate(rate, channels):
    pcm = np.round(32767 * wave(1.5, rate)).astype("<i2")
    data = np.repeat(pcm[:, None], channels, axis=1).tobytes() + b"x"  # more than waits at a time
    heard = blocks(read_pcm(io.BytesIO(data), rate, channels))
    assert 1.5 * RATE <= len(heard) < 1.5 * RATE + 2 * SAMPLES
    tolerance = 1e-4 if rate == RATE else 0.01
    assert np.abs(heard[: round(1.5 * RATE) - 500] - wave(1.5)[:-500]).max() < tolerance


def test_a_pipe_that_gives_odd_numbers_of_bytes_is_heard_whole():
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(101)

    pcm = np.round(32767 * wave(0.05)).astype("<i2")
    np.testing.assert_allclose(
        blocks(read_pcm(Trickle(pcm.tobytes()), RATE, 1))[: len(pcm)], pcm / 32768, atol=1e-6
    )


def test_of_a_microphone_that_nobody_hears_the_newest_sound_stays():
    inlet = Arriving(RATE)
    for number in range(80):
        inlet.put(np.full(SAMPLES, number / 100, np.float32), waits=False)
    inlet.end()
    heard = blocks(inlet)
    assert heard[-1] == np.float32(0.79) and heard[0] == np.float32(0.3)


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (None, "pip install atldiff"),
        ("raise OSError('PortAudio library not found')", "libportaudio2"),
        (
            "class PortAudioError(Exception): pass\ndef query_devices(kind): raise PortAudioError()",
            "No microphone works here",
        ),
    ],
)
def test_without_a_microphone_a_sentence_says_what_is_missing(package, words, tmp_path, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "sounddevice", raising=False)
    if package is None:
        monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    else:
        (tmp_path / "sounddevice.py").write_text(package)
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError) as error, open_microphone():
        pass
    assert words in str(error.value)


def test_what_is_heard_leaves_with_its_pictures_and_the_sound_is_whole():
    speech, taken = Speech.from_samples(wave(0.5), RATE), []

    def take(pictures, tape: Tape) -> None:
        for number, picture in enumerate(pictures):
            taken.append((picture.mean(), tape[1600 * number : 1600 * (number + 1)][:, 0]))

    footage, visit, shown = Footage(RATE, take, np.zeros((64, 64, 3), np.uint8)), Visit(Counting()), []
    visit.record(footage)
    play(visit, Recording(speech), lambda picture: shown.append(picture.width))
    footage.close()
    visit.close()
    heard, brightness = np.concatenate([part for _, part in taken]), [level for level, _ in taken]
    sound, start = mix_to_mono(speech.sound), int(np.argmax(heard != 0))
    np.testing.assert_allclose(heard[start : start + len(sound)], sound, atol=1e-6)
    assert brightness[0] == 0 and brightness[-1] > 20 and np.diff(brightness).min() >= 0
    assert len(shown) > 10 and set(shown) == {64}


def test_a_visit_that_fails_ends_the_play_with_its_error():
    session = Counting()
    session.push = lambda *_, **__: 1 / 0  # type: ignore[method-assign]
    visit = Visit(session)
    with pytest.raises(ZeroDivisionError):
        play(visit, Recording(Speech.from_samples(wave(2), RATE)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


def test_an_address_gets_marked_pictures_and_sound_and_the_photo_first():
    address, got = f"rtmp://127.0.0.1:{free_port()}/live/secret", {"pictures": 0, "samples": 0}

    def serve() -> None:
        with av.open(address, format="flv", options={"listen": "1"}, timeout=30) as container:
            got["comment"] = container.metadata["comment"]
            with suppress(OSError):  # so a connection ends
                for packet in container.demux():
                    for frame in packet.decode():
                        is_picture = isinstance(frame, av.VideoFrame)
                        got["pictures" if is_picture else "samples"] += 1 if is_picture else frame.samples

    server = threading.Thread(target=serve)
    server.start()
    time.sleep(0.5)  # until it listens, which nothing tells
    sent = Transmission(address, RATE, np.full((64, 64, 3), 90, np.uint8))
    for _ in range(30):
        sent.add(None, wave(1 / 30))
    sent.close()
    server.join(30)
    assert got["pictures"] == 30 and abs(got["samples"] - RATE) < 3 * 1024
    assert "AI-generated" in got["comment"]


def test_an_address_that_nobody_answers_is_told_without_its_key(monkeypatch):
    pictures = [np.zeros((64, 64, 3), np.uint8)] * 3
    with pytest.raises(InputError) as error:
        broadcast(f"rtmp://me:word@127.0.0.1:{free_port()}/live/secret", iter(pictures), Tape(RATE, 1))
    assert "The connection to rtmp://127.0.0.1 failed" in str(error.value)
    assert not any(secret in str(error.value) for secret in ("secret", "word"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(module, "PATIENCE", 0.5)
        with pytest.raises(InputError, match="does not answer"):
            broadcast(
                f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/secret", iter(pictures), Tape(RATE, 1)
            )
        sender = module._Sender(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/a/b")
        assert os.getsid(sender._program.pid) != os.getsid(0)  # Ctrl-C ends the portrait, not what is sent
        sender._program.kill()
        assert sender.close() is not None
    for wrong in ("rtmp://", "rtmp://host", "ftp://host/live/secret"):
        with pytest.raises(InputError, match="No video can be sent to"):
            check_address(wrong)


def test_a_page_shows_the_portrait_to_one_viewer_and_tells_when_it_is_closed():
    aiortc = pytest.importorskip("aiortc", reason="aiortc is not installed")
    viewer = Viewer(np.zeros((64, 64, 3), np.uint8), False, lambda: Visit(Counting()))

    async def look(page: httpx.AsyncClient) -> list[float]:
        peer, tracks = aiortc.RTCPeerConnection(), {}
        channel = peer.createDataChannel("state")
        peer.on("track", lambda track: tracks.update({track.kind: track}))
        for kind in ("audio", "video"):
            peer.addTransceiver(kind, direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        offer = {"sdp": peer.localDescription.sdp, "type": peer.localDescription.type, "microphone": False}
        answer = (await page.post(f"{viewer.address}/offer", json=offer)).json()
        await peer.setRemoteDescription(aiortc.RTCSessionDescription(**answer))
        assert "opened before" in (await page.post(f"{viewer.address}/offer", json=offer)).json()["problem"]
        recording = Recording(Speech.from_samples(wave(3), RATE))
        plays = asyncio.to_thread(play, viewer.visit, recording, None, False, viewer.has_left.is_set)
        playing = asyncio.create_task(plays)
        pictures = [(await tracks["video"].recv()).to_ndarray(format="gray").mean() for _ in range(20)]
        channel.send("bye")
        await playing
        await peer.close()
        return pictures

    async def run() -> list[float]:
        async with httpx.AsyncClient(timeout=30) as page:
            shown = await page.get(viewer.address)
            assert "data:image/jpeg" in shown.text and "microphone = false" in shown.text
            assert (await page.get(viewer.address[:-1])).status_code == 404  # the address is a secret
            return await asyncio.wait_for(look(page), 60)

    pictures = asyncio.run(run())
    assert viewer.has_left.is_set() and pictures[-1] - pictures[0] > 20
    viewer.close()
