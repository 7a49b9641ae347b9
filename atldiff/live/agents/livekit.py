"""LiveKit Agents: a video generator for `AvatarRunner`.

It needs `pip install atldiff[livekit]`.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.live.agents.actor import Actor
from atldiff.live.session import LiveSession

RATE = 24_000  # samples a second of the agent's voice


class PortraitGenerator(VideoGenerator):
    """Takes an agent's speech; gives it back in real time with the speaking portrait's pictures.

    While the agent is silent, only pictures leave. `clear_buffer` drops the speech and rests the lips.

    Args:
        session: the portrait.
        rate: samples a second of the speech, a multiple of 10.

    Attributes:
        options: for `AvatarRunner`; the voice has one channel.
    """

    def __init__(self, session: LiveSession, rate: int = RATE) -> None:
        self.options = AvatarOptions(*session.size, FRAME_RATE, rate, 1)
        self._actor, self._turn = Actor(session, rate), 0
        self._queue: rtc.AVSynchronizer | None = None

    def follow(self, queue: rtc.AVSynchronizer) -> None:
        """Lets an interruption also empty the runner's queue, `AvatarRunner.av_sync`: 0.1 s less is said."""
        self._queue = queue

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Takes what the agent says next, see `VideoGenerator`.

        Raises:
            InputError: the sound has another rate.
        """
        if isinstance(frame, AudioSegmentEnd):
            self._actor.mark(frame, ends=True)
            return
        if frame.sample_rate != self._actor.rate:
            problem = f"This portrait hears {self._actor.rate} samples a second, not {frame.sample_rate}"
            raise InputError(problem, f"Give the audio output sample_rate={self._actor.rate}")
        self._actor.push(np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels))

    async def clear_buffer(self) -> None:
        """Drops what is not said yet, see `VideoGenerator`."""
        self._turn += 1
        self._actor.interrupt()
        if self._queue is not None:
            await self._queue.clear_queue()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Yields pictures, the sound of each, and the end of each utterance."""
        async with aclosing(self._actor.shots()) as shots:
            async for shot in shots:
                turn, picture = self._turn, shot.frame.image.tobytes()
                for mark in shot.marks:
                    yield mark
                yield rtc.VideoFrame(*self._actor.session.size, rtc.VideoBufferType.RGB24, picture)
                if shot.sound is not None and turn == self._turn:
                    yield rtc.AudioFrame(shot.sound.tobytes(), self._actor.rate, 1, len(shot.sound))
