"""A LiveKit agent with a face, on one machine, without an account.

What is typed becomes speech, and a video.

usage: pip install atldiff[livekit,voices]; python examples/agents/livekit_agent.py -o out/livekit.mp4

The agent says a sentence, is interrupted, and says another one. Everything is LiveKit's own but the room.
Give `AvatarRunner` your `rtc.Room`, and a `DataStreamAudioReceiver` if the agent runs elsewhere.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.avatar import AvatarRunner, QueueAudioOutput

from atldiff.config import FRAME_RATE
from atldiff.live.agents.livekit import RATE, PortraitGenerator
from atldiff.live.film import Film
from atldiff.live.session import LiveSession
from atldiff.loading import load_pipeline
from atldiff.media.speech import Speech
from atldiff.media.synthesis import synthesise
from atldiff.options import Options
from atldiff.portrait.portrait import load_portrait

FIRST = "Hello. I am a photo, and I speak while you look at me. I could go on like this for a long time."
SECOND = "Yes? I am listening."


class Theatre(rtc.EventEmitter):
    """In place of a room: it films the tracks that are published."""

    def __init__(self, film: Film, width: int, height: int) -> None:
        super().__init__()
        self.local_participant = self
        self._film, self._shape = film, (height, width, 3)
        self._picture: np.ndarray | None = None
        self._tasks: list[asyncio.Task] = []

    def isconnected(self) -> bool:
        """Whether tracks can be published."""
        return True

    async def publish_track(self, track: Any, options: Any) -> "Theatre":
        """Films a track; this is its publication, too."""
        listen = self._hear if track.kind == rtc.TrackKind.KIND_AUDIO else self._see
        self._tasks.append(asyncio.create_task(listen(track)))
        return self

    async def wait_for_subscription(self) -> None:
        """Waits until somebody sees the track."""

    async def aclose(self) -> None:
        """Films no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _see(self, track: rtc.LocalVideoTrack) -> None:
        stream = rtc.VideoStream.from_track(track=track, format=rtc.VideoBufferType.RGB24)
        try:
            async for event in stream:
                self._picture = np.frombuffer(event.frame.data, np.uint8).reshape(self._shape)
        finally:
            await stream.aclose()

    async def _hear(self, track: rtc.LocalAudioTrack) -> None:
        """Each thirtieth of a second of sound is a frame."""
        stream = rtc.AudioStream.from_track(track=track, sample_rate=RATE, num_channels=1)
        sound, size = np.zeros(0, np.float32), RATE // FRAME_RATE
        try:
            async for event in stream:
                new = np.frombuffer(event.frame.data, np.int16).astype(np.float32) / 32767
                sound = np.concatenate([sound, new])
                while len(sound) >= size:
                    self._film.add(self._picture, sound[:size])
                    sound = sound[size:]
        finally:
            await stream.aclose()


async def stream(speech: Speech) -> AsyncIterator[rtc.AudioFrame]:
    """A speech as a synthesis service sends it."""
    samples = (speech.sound[:, 0] * 32767).astype(np.int16)
    for start in range(0, len(samples), RATE // 50):
        part = samples[start : start + RATE // 50]
        yield rtc.AudioFrame(part.tobytes(), speech.sound_rate, 1, len(part))


async def talk(portrait: LiveSession, film: Film, speeches: list[Speech]) -> None:
    """Runs the agent."""
    theatre, output = Theatre(film, *portrait.size), QueueAudioOutput(sample_rate=RATE)
    generator = PortraitGenerator(portrait, RATE)
    runner = AvatarRunner(theatre, audio_recv=output, video_gen=generator, options=generator.options)
    generator.follow(runner.av_sync)
    await runner.start()
    session: AgentSession = AgentSession()
    session.output.audio = output
    await session.start(agent=Agent(instructions=""))
    await asyncio.sleep(1)
    session.say(FIRST, audio=stream(speeches[0]))
    await asyncio.sleep(4)
    await session.interrupt()
    await asyncio.sleep(1)
    await session.say(SECOND, audio=stream(speeches[1])).wait_for_playout()
    await asyncio.sleep(1)
    await session.aclose()
    await theatre.aclose()
    await runner.aclose()


def main() -> None:
    """Makes the video."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", default="out/livekit.mp4")
    parser.add_argument("--photo", default=str(Path(__file__).parents[1] / "astronaut.jpg"))
    parser.add_argument("--voice", default="english", choices=["english", "english-deep"])  # of 24 kHz
    args = parser.parse_args()
    pipeline, portrait, options = load_pipeline(), load_portrait(args.photo), Options(output="square")
    session = LiveSession(pipeline, portrait, options, mark=False)  # the film marks and signs
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    film = Film(args.out, RATE, pipeline.origin(portrait, options))
    asyncio.run(talk(session, film, [synthesise(text, args.voice) for text in (FIRST, SECOND)]))
    print(f"{film.close()}: {film.frames / FRAME_RATE:.1f} s")


if __name__ == "__main__":
    main()
