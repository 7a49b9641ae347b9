"""An agent's voice leaves unchanged and in step, pictures live in its pauses, an interruption ends both."""

import asyncio
import time
from contextlib import aclosing

import numpy as np
import pytest

from atldiff import InputError
from atldiff.landmarks import inter_ocular_distance
from atldiff.live.agents.actor import Actor, Shot
from atldiff.live.agents.voice import Voice
from atldiff.live.session import LiveSession
from atldiff.speech.motion.lips import LIPS, gaps

RATE = 24_000


def play(session: LiveSession, script) -> list[Shot]:
    """Plays a session; `script(actor, shots)` is called after each shot, and ends it by True."""
    shots = []

    async def run() -> None:  # asyncio would print all that it returns
        actor = Actor(session, RATE)
        async with aclosing(actor.shots()) as played:
            async for shot in played:
                shots.append(shot)
                if script(actor, shots):
                    return

    asyncio.run(asyncio.wait_for(run(), 60))
    return shots


def lip_gaps(shots: list[Shot]) -> np.ndarray:
    points = np.stack([shot.frame.landmarks for shot in shots])
    return gaps(points, *LIPS)[1].max(axis=1) / inter_ocular_distance(points)


def said(shots: list[Shot]) -> np.ndarray:
    return np.concatenate([shot.sound for shot in shots if shot.sound is not None])


def slow_down(session: LiveSession, monkeypatch, seconds: float) -> list[int]:
    """Lets each picture take its time; returns the strides of the pictures, as they are made."""
    render, strides = session._pictures.render, []

    def slow(motion, parts):
        strides.append(session.stride)
        time.sleep(seconds * len(motion.points))
        return render(motion, parts)

    monkeypatch.setattr(session._pictures, "render", slow)
    return strides


def test_a_voice_leaves_unchanged_with_its_marks_and_the_face_lives_before_and_after(session, voice):
    def script(actor, shots):
        if len(shots) == 5:
            assert not actor.mark("too early")
            for part in np.split(voice, [100, 9_000, 9_001]):
                actor.push(part)
            assert actor.mark("end", ends=True)
        return "end" in shots[-1].marks

    shots = play(session, script)
    speaks = [shot.sound is not None for shot in shots]
    begin, stop = speaks.index(True), len(speaks) - speaks[::-1].index(True)
    assert begin >= 5 and all(speaks[begin:stop]) and stop == len(shots) - 1
    out = said(shots)
    np.testing.assert_array_equal(out[: len(voice)], voice[:, 0])
    assert not out[len(voice) :].any() and len(out) == len(voice) + 2_400 - len(voice) % 2_400
    new = [shot.frame.index for shot in shots if shot.is_new]
    assert new == sorted(set(new)) and shots[begin].is_new
    assert lip_gaps(shots[begin:stop]).max() > 0.02 > lip_gaps(shots[:begin]).max() + 0.019


def test_beats_that_were_passed_over_are_not_rendered_later(session, voice, monkeypatch):
    passed, later = [], []

    def choose(_, beats) -> int:
        """Passes over some beats, finds time for them afterwards, then looks ahead as if it were busy."""
        if passed:
            later.append(beats[0])
            return 0 if len(later) == 1 else min(3, len(beats) - 1)
        if len(beats) < 5 or beats[0].is_first:
            return 0
        passed.append(beats[0])
        return len(beats) - 2

    def script(actor, shots):
        if len(shots) == 5:
            actor.push(np.tile(voice, (2, 1)))
            actor.mark("end", ends=True)
        return "end" in shots[-1].marks

    monkeypatch.setattr(Actor, "_choose", choose)
    shots = play(session, script)
    new = [shot.frame.index for shot in shots if shot.is_new]
    assert passed and new == sorted(set(new)) and new[-1] > 14  # the face moves on after what was passed over


def test_an_interruption_ends_the_voice_at_once_and_the_next_one_is_whole(session, voice):
    at = {}

    def script(actor, shots):
        speech = sum(shot.sound is not None for shot in shots)
        if len(shots) == 1:
            actor.push(voice)
            actor.mark("first", ends=True)
        elif speech == 14 and "cut" not in at:
            at["cut"] = len(shots)
            assert actor.interrupt() == ["first"]
        elif "cut" in at and len(shots) == at["cut"] + 6:
            actor.push(voice[:4_800])
            actor.mark("second", ends=True)
        return "second" in shots[-1].marks

    shots = play(session, script)
    cut = at["cut"]
    assert all(shot.sound is None for shot in shots[cut : cut + 6])
    lips = lip_gaps(shots)
    assert lips[cut + 4 : cut + 6].max() < 1e-3 < lips[cut - 1]
    assert [shot.frame.index for shot in shots[cut - 1 : cut + 6]] == list(
        range(shots[cut - 1].frame.index, shots[cut - 1].frame.index + 7)
    )
    np.testing.assert_array_equal(said(shots[cut:]), voice[:4_800, 0])


def test_late_pictures_hold_no_sound(session, voice, monkeypatch):
    slow_down(session, monkeypatch, 0.25 / 3)
    times = []

    def script(actor, shots):
        if len(shots) == 1:
            actor.push(voice)
            actor.mark("end", ends=True)
        times.append(time.monotonic() if shots[-1].sound is not None else 0)
        return "end" in shots[-1].marks

    shots = play(session, script)
    spoke = [at for at in times if at]
    assert len(spoke) == 39 and spoke[-1] - spoke[0] < 1.6
    assert not all(shot.is_new for shot in shots)
    np.testing.assert_array_equal(said(shots)[: len(voice)], voice[:, 0])


def test_a_slow_machine_makes_one_picture_of_the_beat_that_sound_waits_for(session, voice, monkeypatch):
    strides = slow_down(session, monkeypatch, 0.05)

    def script(actor, shots):
        if len(shots) == 6:
            actor.push(voice)
            actor.mark("end", ends=True)
        return "end" in shots[-1].marks

    shots = play(session, script)
    speech = [shot for shot in shots if shot.sound is not None]
    assert [shot.is_new for shot in speech[:3]] == [True, False, False]
    awaited = strides.index(3)
    assert set(strides[:awaited]) == set(strides[awaited + 1 :]) == {1}  # whole beats before and after
    np.testing.assert_array_equal(said(shots)[: len(voice)], voice[:, 0])


def test_silence_that_was_made_ahead_does_not_delay_speech(session, voice):
    pushed, indices = [], []

    def script(actor, shots):
        if len(shots) in (7, 8, 9):  # anywhere in a beat
            actor._cut()
        if len(shots) == 9:
            actor.push(voice[:4_800])
            pushed.append(shots[-1].frame.index)
        indices.append(shots[-1].frame.index)
        return shots[-1].sound is not None

    shots = play(session, script)
    assert shots[-1].frame.index - pushed[0] <= 3
    assert indices == list(range(len(indices)))


def test_a_failure_of_the_networks_is_told(session, monkeypatch):
    monkeypatch.setattr(session, "push", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        play(session, lambda actor, shots: False)


def test_a_rate_without_whole_beats_is_refused():
    with pytest.raises(InputError, match="11025 samples"):
        Actor(None, 11_025)


def test_blocks_of_a_voice_wait_for_the_rest_until_it_ends_or_pauses():
    now = [0.0]
    voice = Voice(10, lambda: now[0])
    voice.push(np.arange(15, dtype=np.int16))
    voice.mark("middle", ends=False)
    assert voice.has(1) and not voice.has(2)
    assert (voice.take()[0] == np.arange(10)).all() and not voice.has(1)
    voice.push(np.arange(2, dtype=np.int16))
    voice.mark("end", ends=True)
    assert voice.has(2)
    block, marks = voice.take()
    assert block.tolist() == [10, 11, 12, 13, 14, 0, 1, 0, 0, 0] and marks == []
    assert voice and voice.take_marks() == ["middle", "end"] and not voice
    voice.push(np.ones(3, np.int16))
    assert not voice.has(1)
    now[0] = 1.0
    assert voice.has(1)
    voice.mark("lost", ends=True)
    assert voice.clear() == ["lost"] and not voice and not voice.has(1)
