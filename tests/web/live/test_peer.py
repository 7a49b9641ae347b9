"""A visit by WebRTC, with aiortc at both ends: sound and pictures arrive, a silent page frees the place."""

import asyncio
import json
import time

import av
import numpy as np
import pytest
from live.counting import Counting

from atldiff.errors import InputError
from atldiff.live import pace
from atldiff.live.clock import BLOCK
from atldiff.live.peer import PATIENCE, connect, peer_loop
from atldiff.live.visit import RATE, SAMPLES, Visit
from atldiff.media.speech import Speech
from atldiff.media.video_writer import MARK
from atldiff.provenance.origin import Origin
from atldiff.provenance.verify import verify
from atldiff.web.live.places import LivePlaces
from atldiff.web.serving import read_places, read_relays

aiortc = pytest.importorskip("aiortc", reason="aiortc is not installed")


async def look(visit: Visit, ended: asyncio.Event) -> tuple[list, np.ndarray, dict, float]:
    """Takes 40 pictures and a second of sound, asks once for the state, and says nothing more."""
    peer, tracks, states = aiortc.RTCPeerConnection(), {}, asyncio.Queue()
    channel = peer.createDataChannel("state")
    channel.on("message", lambda message: states.put_nowait(json.loads(message)))
    channel.on("open", lambda: channel.send("state"))
    peer.on("track", lambda track: tracks.update({track.kind: track}))
    for kind in ("audio", "video"):
        peer.addTransceiver(kind, direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    offer = {"sdp": peer.localDescription.sdp, "type": peer.localDescription.type, "microphone": False}
    answer = await connect(visit, offer, ended.set)
    visit.say(Speech.from_samples(0.5 * np.sin(np.arange(RATE) / 20), RATE))
    await peer.setRemoteDescription(aiortc.RTCSessionDescription(**answer))
    pictures = [(await tracks["video"].recv()).to_ndarray(format="gray").mean() for _ in range(40)]
    sound = np.concatenate([(await tracks["audio"].recv()).to_ndarray().ravel() for _ in range(60)])
    state, silent = await states.get(), time.monotonic()
    await ended.wait()
    left = time.monotonic() - silent
    await peer.close()
    return pictures, sound, state, left


def test_pictures_and_sound_arrive_and_a_silent_page_is_gone_within_five_seconds():
    async def run():
        return await asyncio.wait_for(look(Visit(Counting()), asyncio.Event()), 60)

    pictures, sound, state, left = asyncio.run_coroutine_threadsafe(run(), peer_loop()).result(70)
    assert pictures[-1] - pictures[0] > 40 and np.diff(pictures).min() > -3
    assert np.abs(sound).max() > 8_000
    assert set(state) == {"delay", "late", "stride", "speaking", "films"} and 0 < state["delay"] < 5
    assert left < PATIENCE + 1 <= 5


def test_what_is_said_replaces_the_microphone_and_hush_ends_it():
    visit = Visit(Counting())
    speech = Speech.from_samples(np.full(RATE // 10, 0.5, np.float32), RATE)
    visit.say(speech)
    visit.hear(np.ones(SAMPLES, np.float32))
    assert visit.is_speaking and visit._sound[-1][0] != 1
    visit.hush()
    visit.hear(np.ones(SAMPLES, np.float32))
    assert not visit.is_speaking and visit._sound[-1][0] == 1
    visit.close()
    visit.join(5)
    assert not any(thread.is_alive() for thread in visit._threads)


def test_sound_that_cannot_leave_ends_the_visit_with_its_error(monkeypatch):
    visit, ended = Visit(Counting()), asyncio.Event()
    monkeypatch.setattr(visit, "next_sound", lambda: 1 / 0)

    async def run():
        return await asyncio.wait_for(look(visit, ended), 60)

    with pytest.raises(aiortc.mediastreams.MediaStreamError):
        asyncio.run_coroutine_threadsafe(run(), peer_loop()).result(70)
    assert isinstance(visit.problem, ZeroDivisionError)


def leave(visit: Visit, seconds: float) -> None:
    """Lets what was heard leave, as the tracks do."""
    for block in range(round(seconds / BLOCK)):
        visit.hear(np.full(SAMPLES, 0.25, np.float32))
        time.sleep(0.005)  # both threads get their turn
        visit.next_sound()
        if block % 5 in (0, 2, 4):
            visit.next_picture()


def test_a_slow_machine_makes_fewer_pictures_until_it_is_free(monkeypatch):
    monkeypatch.setattr(pace, "_WARM_UP", 0.0)
    monkeypatch.setattr(pace, "_WINDOW", 0.1)
    session = Counting()
    visit = Visit(session)
    assert visit.state()["stride"] == 1
    for seconds, is_slow in ((0.03, True), (0.0, False)):
        session.seconds, end = seconds, time.monotonic() + 20
        while (visit.state()["stride"] > 2) != is_slow:
            assert time.monotonic() < end
            leave(visit, 0.2)
    visit.close()


def test_a_film_begins_with_the_picture_that_is_seen_though_none_follows():
    places, visit = LivePlaces(object(), 1), Visit(Counting())
    places._visits["me"], places._origins["me"] = visit, Origin()
    leave(visit, 1)
    places.record("me")
    for _ in range(10):
        visit.hear(np.full(SAMPLES, 0.25, np.float32))
        visit.next_sound()
    with places.film("me") as path, av.open(str(path)) as file:
        assert len(list(file.decode(video=0))) >= 3
    places.free("me")


def test_a_visit_becomes_a_marked_video_of_what_left():
    places, visit = LivePlaces(object(), 1), Visit(Counting())
    places._visits["me"], places._origins["me"] = visit, Origin(photo="a" * 64)
    leave(visit, 1)
    places.record("me")
    assert places.has_film("me") and visit.state()["films"]
    leave(visit, 2)
    places.free("me")  # the film of a visit that is over can be fetched
    with places.film("me") as path:
        with av.open(str(path)) as file:
            assert file.metadata["comment"] == MARK["comment"]
            grey = [frame.to_ndarray(format="gray").mean() for frame in file.decode(video=0)]
        with av.open(str(path)) as file:
            sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
        assert verify(path).credentials.state == "intact"
    assert not path.exists() and not places.has_film("me")
    assert 45 <= len(grey) <= 60 and grey[-1] > grey[0] + 40 and np.diff(grey).min() > -3
    assert abs(len(sound) / RATE - len(grey) / 30) < 0.05 and np.median(sound) == pytest.approx(
        0.25, abs=0.02
    )
    with pytest.raises(InputError, match="Nothing was recorded"), places.film("me"):
        pass
    with pytest.raises(InputError, match="is over"):
        places.record("me")


def test_films_that_nobody_fetches_are_removed():
    places, visit = LivePlaces(object(), 9), Visit(Counting())
    folders = []
    for token in "abcde":
        places._visits[token], places._origins[token] = visit, Origin()
        places.record(token)
        folders.append(places._films[token].path.parent)
    assert [folder.exists() for folder in folders] == [False, True, True, True, True]
    places.close()
    assert not any(folder.exists() for folder in folders)


def test_a_failure_ends_the_visit():
    class Broken(Counting):
        def push(self, samples, rate, hurry=False):
            raise RuntimeError("no")

    visit = Visit(Broken())
    visit.hear(None)
    visit.join(5)
    assert isinstance(visit.problem, RuntimeError)


def test_a_failed_photo_frees_its_place_again(tmp_path):
    places = LivePlaces(object(), 1)
    for _ in range(2):
        with pytest.raises(InputError, match="no portrait"):
            places.open({"portrait": None})
        with pytest.raises(InputError, match="does not exist|no file|not"):
            places.open({"portrait": str(tmp_path / "none.jpg")})
    with pytest.raises(InputError, match="Somebody else"):
        LivePlaces(object(), 0).open({"portrait": "x"})
    with pytest.raises(InputError, match="run elsewhere"):
        LivePlaces(None).open({"portrait": "x"})
    with pytest.raises(InputError, match="is over"):
        places.hush("nobody")


def test_one_more_visitor_is_told_until_a_place_is_free():
    places = LivePlaces(object(), 2)
    for token in ("one", "two"):
        places._take(token)
    with pytest.raises(InputError, match="Somebody else is live on this machine"):
        places._take("three")
    places.free("one")
    places._take("three")
    places._waiting["two"] = 0.0  # its page never came
    places._take("four")
    assert set(places._waiting) == {"three", "four"}


def test_the_environment_sets_places_and_relays(monkeypatch):
    monkeypatch.setenv("ATLDIFF_TURN", "turn:host:3478|me|secret, stun:other:3478")
    assert read_places() == 1
    assert read_relays() == [
        {"urls": "turn:host:3478", "username": "me", "credential": "secret"},
        {"urls": "stun:other:3478"},
    ]
    for name, value in (("ATLDIFF_TURN", "http://host"), ("ATLDIFF_LIVE", "two"), ("ATLDIFF_LIVE", "1.5")):
        monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=name):
            read_places()
        monkeypatch.delenv(name)
