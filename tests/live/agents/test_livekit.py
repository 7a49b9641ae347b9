"""The portrait in LiveKit's own AvatarRunner with its own queue and tracks; only the room is not real."""

import asyncio
import time

import numpy as np
import pytest

pytest.importorskip("livekit.agents", reason="livekit-agents is not installed")

from livekit import rtc  # noqa: E402
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarRunner, QueueAudioOutput  # noqa: E402

from atldiff import InputError  # noqa: E402
from atldiff.live.agents.livekit import RATE, PortraitGenerator  # noqa: E402


class Room(rtc.EventEmitter):
    """A room on this machine: it takes tracks, and listens to them."""

    def __init__(self):
        super().__init__()
        self.local_participant, self.tracks = self, []
        self.sound, self.pictures, self._streams, self._tasks = [], [], [], []

    def isconnected(self):
        return True

    async def publish_track(self, track, options):
        listen = self._listen if track.kind == rtc.TrackKind.KIND_AUDIO else self._look
        self._tasks.append(asyncio.create_task(listen(track)))
        return self

    async def wait_for_subscription(self):
        await asyncio.sleep(0.05)

    async def _listen(self, track):
        self._streams.append(rtc.AudioStream.from_track(track=track, sample_rate=RATE, num_channels=1))
        async for event in self._streams[-1]:
            self.sound.append((time.monotonic(), np.abs(np.frombuffer(event.frame.data, np.int16)).max()))

    async def _look(self, track):
        self._streams.append(rtc.VideoStream.from_track(track=track, format=rtc.VideoBufferType.RGB24))
        async for event in self._streams[-1]:
            self.pictures.append((time.monotonic(), event.frame.width, event.frame.height))

    async def aclose(self):
        for stream in self._streams:
            await stream.aclose()

    def loud(self) -> list[float]:
        return [at for at, peak in self.sound if peak > 300]


class Agent:
    """What an AgentSession does with its audio output."""

    def __init__(self, session):
        self.room, self.output = Room(), QueueAudioOutput(sample_rate=RATE)
        self.generator = PortraitGenerator(session)
        self.runner = AvatarRunner(
            self.room, audio_recv=self.output, video_gen=self.generator, options=self.generator.options
        )
        self.generator.follow(self.runner.av_sync)

    async def __aenter__(self):
        await self.runner.start()
        while not self.room.pictures:
            await asyncio.sleep(0.02)
        return self

    async def __aexit__(self, *_):
        await self.room.aclose()
        await self.runner.aclose()

    async def say(self, voice):
        for block in np.split(voice, range(480, len(voice), 480)):
            await self.output.capture_frame(rtc.AudioFrame(block.tobytes(), RATE, 1, len(block)))
        self.output.flush()


def test_a_runner_plays_the_speech_with_pictures_and_tells_the_agent_its_end(session, voice):
    async def run():
        async with Agent(session) as agent:
            await agent.say(voice)
            heard = await asyncio.wait_for(agent.output.wait_for_playout(), 30)
            await asyncio.sleep(0.3)
            return agent, heard

    agent, heard = asyncio.run(asyncio.wait_for(run(), 90))
    assert not heard.interrupted and heard.playback_position == pytest.approx(1.3, abs=0.01)
    loud = agent.room.loud()
    assert 0.8 < loud[-1] - loud[0] < 2.5
    inside = [at for at, *_ in agent.room.pictures if loud[0] < at < loud[-1]]
    assert len(inside) > 12
    assert {picture[1:] for picture in agent.room.pictures} == {session.size}


def test_an_interruption_silences_the_track_and_the_agent_learns_how_far_it_came(session, voice):
    async def run():
        async with Agent(session) as agent:
            await agent.say(voice)
            while not agent.room.loud():
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.4)
            agent.output.clear_buffer()
            cut = time.monotonic()
            heard = await asyncio.wait_for(agent.output.wait_for_playout(), 30)
            shown = len(agent.room.pictures)
            while len(agent.room.pictures) < shown + 12:  # the lips rest, the face lives
                await asyncio.sleep(0.02)
            loud = [at - cut for at in agent.room.loud()]
            await agent.say(voice[:4_800])
            again = await asyncio.wait_for(agent.output.wait_for_playout(), 30)
            return heard, loud, again

    heard, loud, again = asyncio.run(asyncio.wait_for(run(), 90))
    assert heard.interrupted and 0.2 < heard.playback_position < 1.25
    assert loud[-1] < 0.25
    assert not again.interrupted and again.playback_position == pytest.approx(0.2, abs=0.01)


def test_another_rate_is_refused_and_stereo_is_mixed(session, voice):
    async def run():
        generator = PortraitGenerator(session)
        with pytest.raises(InputError, match="sample_rate=24000"):
            await generator.push_audio(rtc.AudioFrame(bytes(320), 16_000, 1, 160))
        stereo = np.repeat(voice[:4_800], 2, axis=1)
        await generator.push_audio(rtc.AudioFrame(stereo.tobytes(), RATE, 2, 4_800))
        await generator.push_audio(AudioSegmentEnd())
        sound = []
        async for frame in generator:
            sound += [np.frombuffer(frame.data, np.int16)] if isinstance(frame, rtc.AudioFrame) else []
            if isinstance(frame, AudioSegmentEnd):
                break
        return np.concatenate(sound)

    np.testing.assert_array_equal(asyncio.run(asyncio.wait_for(run(), 60)), voice[:4_800, 0])
