"""A portrait that speaks an agent's voice, and lives while the agent is silent.

- An agent's voice comes in advance, at any pace. It is cut into beats of 0.1 s, three frames each.
- Sound and pictures leave together by a clock: a beat ahead of it in speech, so that no sound is missing.
- Silence is rendered ahead, too. It is dropped when the agent speaks, so that its first sound need not wait.
- Sound waits for pictures in an utterance's first beat alone, of which a slow machine makes one. Later a late
  picture is left out.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atldiff.config import FRAME_RATE, SAMPLE_RATE
from atldiff.errors import InputError
from atldiff.live.agents.voice import Voice
from atldiff.live.hearing import STEP
from atldiff.live.session import LiveFrame, LiveSession
from atldiff.live.threads import limit_to_one_thread
from atldiff.media.sound import resample, to_float

BEATS = 10  # a second
LEAD = 0.1  # seconds by which sound and pictures leave before their time while somebody speaks
_AHEAD = 6  # beats of speech that are rendered before their time, at most


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame that leaves.

    Attributes:
        frame: its picture, and the landmarks in it; its own sound is not that of the agent.
        sound: (n,) int16 of the frame, exactly as the agent gave it; None while it is silent.
        marks: what leaves before it, see `Actor.mark`.
        is_new: False: the picture is late, and this is the last one.
    """

    frame: LiveFrame
    sound: np.ndarray | None
    marks: list[Any]
    is_new: bool = True


@dataclass(eq=False)
class _Beat:
    """Three frames of speech or silence; or, after an interruption, all frames until the lips rest."""

    sound: np.ndarray | None = None
    marks: list[Any] = field(default_factory=list)
    rests_after: LiveFrame | None = None  # the frame at which an interruption came
    first: int | None = None  # its first frame's index, since the session heard it
    frames: dict[int, LiveFrame] = field(default_factory=dict)
    is_first: bool = True  # of an utterance or of a silence: it does not leave without pictures
    is_ready: bool = False
    is_leaving: bool = False
    is_late: bool = False  # a later one is rendered in its place, and the session hears no sound of before
    is_dropped: bool = False

    @property
    def waits(self) -> bool:
        """Whether it is worth rendering; if it leaves already, its pictures would come too late."""
        return not (self.is_ready or self.is_leaving or self.is_late or self.is_dropped)


class Actor:
    """Plays one portrait in an event loop. Networks run in a thread of its own.

    Args:
        session: the portrait.
        rate: samples a second of the voice, a multiple of 10.

    Raises:
        InputError: the rate is no such number.
    """

    def __init__(self, session: LiveSession, rate: int) -> None:
        if rate % BEATS or rate < 4_000:
            raise InputError(f"A voice cannot have {rate} samples a second", "Choose 24000, or 16000")
        self.session, self.rate = session, rate
        self._loop = asyncio.get_running_loop()
        self._voice = Voice(rate // BEATS, self._loop.time)
        self._pool = ThreadPoolExecutor(1, "actor", limit_to_one_thread)
        self._changed = asyncio.Event()
        self._beats: deque[_Beat] = deque()  # that have not begun to leave
        self._current = _Beat(is_ready=True)
        self._dropped: list[_Beat] = []
        self._silence = np.zeros(rate // BEATS, np.int16)
        self._before = self._silence  # the last beat that the session heard
        self._working: asyncio.Task[None]
        self._shown: LiveFrame | None = None
        self._due, self._left = 0.0, 0  # when the next frame should be seen, and how many its beat has left
        self._took = 0.0  # seconds that the last beat took

    def push(self, samples: np.ndarray) -> None:
        """Takes what the agent says next: (n, channels) int16."""
        self._voice.push(samples.mean(axis=1).astype(np.int16))
        self._cut()

    def mark(self, thing: Any, ends: bool = False) -> bool:
        """Lets a thing leave after the sound that is on its way.

        Args:
            thing: any.
            ends: the utterance is over.

        Returns:
            False if no sound is on its way: then it should leave at once, and is not kept.
        """
        if not self._voice and not self._speech() and not any(beat.marks for beat in self._beats):
            return False
        self._voice.mark(thing, ends)
        self._cut()
        return True

    def interrupt(self) -> list[Any]:
        """Says no more: the sound that has not left is dropped, and the lips come to rest within 5 frames.

        Returns:
            The marks that did not leave.
        """
        speech, beats = self._speech(), (self._current, *self._beats)
        marks = [thing for beat in beats for thing in beat.marks] + self._voice.clear()
        for beat in beats:
            beat.marks, beat.is_dropped = [], beat.is_dropped or bool(speech)
        if speech:
            self._dropped += beats
            self._beats.clear()
            if self._shown is not None:
                self._dropped = []  # the session goes back by itself
                self._beats.append(_Beat(rests_after=self._shown))
            self._due = self._loop.time()
            self._changed.set()
        return marks

    async def shots(self) -> AsyncGenerator[Shot, None]:
        """Yields each frame when it should leave, for ever; a caller that waits makes later ones late."""
        self._working = asyncio.create_task(self._work())
        try:
            while True:
                self._cut()
                self._current = self._beats.popleft()
                self._changed.set()
                async for shot in self._play(self._current):
                    yield shot
        finally:
            self._working.cancel()
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _play(self, beat: _Beat) -> AsyncIterator[Shot]:
        """Yields a beat's frames at their time."""
        self._left = STEP
        while not beat.is_ready and beat.is_first and not beat.is_dropped:
            is_due = beat.sound is None and self._time_left(beat) <= 0
            if beat.marks and is_due and self._shown is not None:  # they wait for sound alone
                yield Shot(self._shown, None, self._take_marks(beat), is_new=False)
            await self._wait(1 / FRAME_RATE if beat.marks else None)
        count = STEP if beat.rests_after is None else max(beat.frames) - beat.rests_after.index
        for number in range(count):
            while not beat.is_dropped and (left := self._time_left(beat)) > 0:
                await self._wait(left)
            if beat.is_dropped:
                return
            if beat.sound is None or beat.is_first and number == 0:
                self._due = max(self._due, self._loop.time())
            self._due += 1 / FRAME_RATE
            self._left = count - number - 1
            yield self._shoot(beat, number)

    def _time_left(self, beat: _Beat) -> float:
        """Seconds until the next frame leaves: early with its picture, and in time without."""
        lead = LEAD if beat.sound is not None and beat.is_ready else 0.0
        return self._due - lead - self._loop.time()

    def _shoot(self, beat: _Beat, number: int) -> Shot:
        frame = beat.frames.get((beat.first or 0) + number)
        self._shown = frame or self._shown
        assert self._shown is not None, "the first frame leaves with its picture"
        sound = None
        if beat.sound is not None:
            size = len(beat.sound)
            sound = beat.sound[number * size // STEP : (number + 1) * size // STEP]
        beat.is_leaving = True
        return Shot(self._shown, sound, self._take_marks(beat), frame is not None)

    def _take_marks(self, beat: _Beat) -> list[Any]:
        marks, beat.marks = beat.marks, []
        return marks

    def _speech(self) -> list[_Beat]:
        """The beats of speech that have not left, or are leaving."""
        beats = (self._current, *self._beats)
        return [beat for beat in beats if beat.sound is not None and not beat.is_dropped]

    def _cut(self) -> None:
        """Cuts the voice into beats, or lets silence follow."""
        speech = self._speech()
        while self._voice.has(1 if speech else 2) and len(speech) <= _AHEAD:
            marks = self._drop_silence()
            sound, further = self._voice.take()
            speech.append(_Beat(sound, marks + further, is_first=not speech))
            self._beats.append(speech[-1])
        if not self._beats:
            self._beats.append(_Beat(marks=self._voice.take_marks()))
        self._changed.set()

    def _drop_silence(self) -> list[Any]:
        """Drops silence that has not begun to leave; gives its marks."""
        marks = []
        for beat in (self._current, *self._beats):
            has_begun = beat is self._current and beat.is_ready
            if beat.sound is None and beat.rests_after is None and not beat.is_dropped and not has_begun:
                beat.is_dropped = True
                self._dropped.append(beat)
                marks += beat.marks
        self._beats = deque(beat for beat in self._beats if not beat.is_dropped)
        return marks

    async def _wait(self, seconds: float | None) -> None:
        """Waits until something changes; raises the error of the networks."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        if self._working.done():
            self._working.result()

    async def _work(self) -> None:
        """Renders one beat after the other."""
        try:
            while True:
                beats = [beat for beat in (self._current, *self._beats) if beat.waits]
                if not beats:
                    await self._wait(None)
                    continue
                place, begin = self._choose(beats), self._loop.time()
                head, followers = beats[place], beats[place + 1 : place + 2]
                for beat in beats[:place]:
                    beat.is_late = True
                is_awaited = head.is_first and head.sound is not None
                self.session.stride = STEP if is_awaited and self._took > 1 / BEATS else 1
                await self._loop.run_in_executor(self._pool, self._render, head, followers)
                self._took = self._loop.time() - begin
                head.is_ready = True
                self._changed.set()
        finally:
            self._changed.set()

    def _choose(self, beats: list[_Beat]) -> int:
        """The place of the first beat whose pictures will be there in time."""
        now, left = self._loop.time(), 0 if beats[0] is self._current else self._left
        due = self._due if self._current.is_leaving else max(self._due, now)
        until = now + self._took - due - left / FRAME_RATE
        in_time = (place for place, beat in enumerate(beats) if beat.is_first or place / BEATS >= until)
        return next(in_time, len(beats) - 1)

    def _render(self, head: _Beat, followers: list[_Beat]) -> None:
        """Renders a beat, in the actor's thread; `followers` holds the next one, if it is known."""
        session = self.session
        if head.rests_after is not None:
            session.interrupt(head.rests_after)
            head.first = head.rests_after.index + 1
            head.frames = {frame.index: frame for frame in session.frames()}
            self._before = self._silence
            return
        lost = [beat.first for beat in self._dropped if beat.first is not None]
        self._dropped = []
        if lost:
            session.rewind(min(lost))
        goes_on = head.sound is not None and any(beat.sound is not None for beat in followers)
        sounds = [self._silence if beat.sound is None else beat.sound for beat in (head, *followers, _Beat())]
        for number, beat in enumerate([head, *followers] if goes_on else [head]):
            if beat.first is None:
                beat.first = session.position
                session.push(self._hear(sounds[number], sounds[number + 1]), SAMPLE_RATE)
        if not goes_on:
            session.flush()
        while not head.is_dropped and (frame := session.pull(head.first or 0)) is not None:
            head.frames[frame.index] = frame

    def _hear(self, sound: np.ndarray, following: np.ndarray) -> np.ndarray:
        """A beat at 16 kHz, converted between its neighbours."""
        parts, size = [self._before, sound, following], SAMPLE_RATE // BEATS
        self._before = sound
        return resample(to_float(np.concatenate(parts)), self.rate, SAMPLE_RATE)[size : 2 * size]
