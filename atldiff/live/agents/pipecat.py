"""Pipecat: a processor behind the speech synthesis that adds the speaking portrait's pictures.

It needs `pip install atldiff[pipecat]`.
"""

import asyncio
from contextlib import aclosing
from typing import Any

import numpy as np
from pipecat.audio.utils import create_stream_resampler
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    StartFrame,
    StopFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from atldiff.live.agents.actor import Actor, Shot
from atldiff.live.session import LiveSession

RATE = 24_000  # samples a second of the voice that leaves


class PortraitProcessor(FrameProcessor):
    """Takes an agent's speech; gives the same speech in real time, each 1/30 s of it behind its picture.

    What came between the speech leaves at its place. While the agent is silent, only pictures leave. An
    `InterruptionFrame` drops the speech and rests the lips.

    Args:
        session: the portrait.
        rate: samples a second of the speech that leaves, a multiple of 10.
        sync_with_audio: the transport shows a picture after the sound before it. It then needs
            `video_out_is_live=False`.
    """

    def __init__(
        self, session: LiveSession, rate: int = RATE, sync_with_audio: bool = True, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._session, self._rate, self._syncs = session, rate, sync_with_audio
        self._resampler = create_stream_resampler()
        self._actor: Actor | None = None
        self._playing: asyncio.Task | None = None
        self._context: str | None = None  # of the speech that came last
        self._leaving: str | None = None  # of the speech that leaves
        self._turn, self._order = 0, asyncio.Lock()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes one frame, see `FrameProcessor`."""
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            await self.push_frame(frame, direction)
            self._actor = Actor(self._session, self._rate)
            self._playing = self.create_task(self._play(self._actor))
        elif self._actor is None or direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, TTSAudioRawFrame):
            await self._take(frame, self._actor)
        elif isinstance(frame, InterruptionFrame):
            await self._interrupt(frame, self._actor)
        elif isinstance(frame, SystemFrame):
            await self.push_frame(frame, direction)
        elif not self._actor.mark(frame, isinstance(frame, TTSStoppedFrame | EndFrame | StopFrame)):
            await self._pass(frame)

    async def cleanup(self) -> None:
        """Ends the pictures, see `FrameProcessor`."""
        await super().cleanup()
        await self._stop()

    async def _take(self, frame: TTSAudioRawFrame, actor: Actor) -> None:
        if frame.context_id != self._context:
            self._context = frame.context_id
            if not actor.mark(_Context(frame.context_id)):
                self._leaving = frame.context_id
        sound = await self._resampler.resample(frame.audio, frame.sample_rate, self._rate)
        actor.push(np.frombuffer(sound, np.int16).reshape(-1, frame.num_channels))

    async def _interrupt(self, interruption: InterruptionFrame, actor: Actor) -> None:
        self._turn += 1
        kept = [mark for mark in actor.interrupt() if isinstance(mark, Frame) and not mark.interruptible]
        async with self._order:
            for _ in range(3):  # it overtakes frames that the next processor has not looked at
                await asyncio.sleep(0)
            await self.push_frame(interruption)
        for frame in kept:
            await self._pass(frame)

    async def _play(self, actor: Actor) -> None:
        async with aclosing(actor.shots()) as shots:
            async for shot in shots:
                for mark in shot.marks:
                    if isinstance(mark, _Context):
                        self._leaving = mark.name
                    else:
                        await self.push_frame(mark)
                        if isinstance(mark, EndFrame | StopFrame):
                            return
                await self._show(shot)

    async def _show(self, shot: Shot) -> None:
        """Pushes a frame's picture and its sound."""
        turn = self._turn
        async with self._order:
            if turn != self._turn:
                return
            picture = OutputImageRawFrame(shot.frame.image.tobytes(), self._session.size, "RGB")
            picture.sync_with_audio = self._syncs
            await self.push_frame(picture)
            if shot.sound is not None:
                sound = TTSAudioRawFrame(shot.sound.tobytes(), self._rate, 1, context_id=self._leaving)
                await self.push_frame(sound)

    async def _pass(self, frame: Frame) -> None:
        """Pushes a frame at once; the last one ends the pictures."""
        if isinstance(frame, EndFrame | StopFrame):
            await self._stop()
        await self.push_frame(frame)

    async def _stop(self) -> None:
        if self._playing is not None:
            playing, self._playing = self._playing, None
            await self.cancel_task(playing)


class _Context:
    """The speech that follows belongs to another context."""

    def __init__(self, name: str | None) -> None:
        self.name = name
