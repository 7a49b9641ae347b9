"""The portrait in Pipecat's own pipeline, behind which an output transport of Pipecat shows and plays."""

import asyncio

import numpy as np
import pytest

pytest.importorskip("pipecat", reason="pipecat is not installed")

from pipecat.frames.frames import (  # noqa: E402
    EndFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.worker import PipelineWorker  # noqa: E402
from pipecat.processors.frame_processor import FrameProcessor  # noqa: E402
from pipecat.transports.base_output import BaseOutputTransport  # noqa: E402
from pipecat.transports.base_transport import TransportParams  # noqa: E402
from pipecat.workers.runner import WorkerRunner  # noqa: E402

from atldiff.live.agents.pipecat import RATE, PortraitProcessor  # noqa: E402


class Log(FrameProcessor):
    """Keeps what leaves the portrait."""

    def __init__(self, stage):
        super().__init__()
        self.frames, self._stage = [], stage

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        await self.push_frame(frame, direction)
        await self._stage(self.frames)


class Screen(BaseOutputTransport):
    """Pipecat's transport, up to the wire: it plays in real time, and keeps what it wrote."""

    def __init__(self):
        super().__init__(
            TransportParams(
                audio_out_enabled=True,
                audio_out_sample_rate=RATE,
                audio_out_end_silence_secs=0,
                video_out_enabled=True,
                video_out_width=128,
                video_out_height=128,
            )
        )
        self.sound, self.pictures = [], []

    async def start(self, frame):
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        self.sound.append(np.frombuffer(frame.audio, np.int16))
        await asyncio.sleep(len(self.sound[-1]) / RATE)
        return True

    async def write_video_frame(self, frame: OutputImageRawFrame) -> bool:
        self.pictures.append((frame.size, len(self.sound)))
        return True


def run(session, stage) -> tuple[list, Screen]:
    """Runs a pipeline of the portrait and a transport; `stage(worker, frames)` follows what leaves it."""
    held = []

    async def follow(frames):
        await stage(held[0], frames)

    async def whole():
        log, screen = Log(follow), Screen()
        held.append(PipelineWorker(Pipeline([PortraitProcessor(session), log, screen]), enable_rtvi=False))
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(held[0])
        await runner.run()
        return log.frames, screen

    return asyncio.run(asyncio.wait_for(whole(), 90))


def speech(voice, name) -> list:
    blocks = np.split(voice, range(480, len(voice), 480))
    return [
        TTSStartedFrame(context_id=name),
        *(TTSAudioRawFrame(block.tobytes(), RATE, 1, context_id=name) for block in blocks),
        TextFrame(name),
        TTSStoppedFrame(context_id=name),
    ]


def heard(frames) -> np.ndarray:
    sound = [np.frombuffer(frame.audio, np.int16) for frame in frames if isinstance(frame, TTSAudioRawFrame)]
    return np.concatenate([np.zeros(0, np.int16), *sound])


def places(frames, kind) -> list[int]:
    return [place for place, frame in enumerate(frames) if isinstance(frame, kind)]


def test_speech_leaves_with_pictures_and_everything_between_keeps_its_place(session, voice):
    began = []

    async def stage(worker, frames):
        if isinstance(frames[-1], OutputImageRawFrame) and not began:
            began.append(True)
            await worker.queue_frames([*speech(voice, "one"), EndFrame()])

    frames, screen = run(session, stage)
    out = heard(frames)
    np.testing.assert_array_equal(out[: len(voice)], voice[:, 0])
    assert not out[len(voice) :].any()
    sounds, pictures = places(frames, TTSAudioRawFrame), places(frames, OutputImageRawFrame)
    assert {frame.context_id for frame in frames if isinstance(frame, TTSAudioRawFrame)} == {"one"}
    assert {place - 1 for place in sounds} <= set(pictures)  # each sound follows its picture
    ends = [place for kind in (TTSStoppedFrame, EndFrame) for place in places(frames, kind)]
    assert places(frames, TTSStartedFrame)[0] < sounds[0] and max(sounds) < min(ends)
    assert frames[pictures[0]].format == "RGB" and frames[pictures[0]].sync_with_audio
    played = np.concatenate(screen.sound)
    np.testing.assert_array_equal(played[: len(voice)], voice[:, 0])
    assert {size for size, _ in screen.pictures} == {(128, 128)} and len(screen.pictures) > 20


def test_an_interruption_ends_the_speech_and_the_pictures_go_on(session, voice):
    at = {}

    async def stage(worker, frames):
        count = len(frames)
        if isinstance(frames[-1], OutputImageRawFrame) and "one" not in at:
            at["one"] = count
            await worker.queue_frames(speech(voice, "one"))
        elif len(places(frames, TTSAudioRawFrame)) == 12 and "cut" not in at:
            at["cut"] = count
            await worker.queue_frame(InterruptionFrame())
        elif "cut" in at and "two" not in at:
            cut = places(frames, InterruptionFrame)
            if cut and len(places(frames[cut[0] :], OutputImageRawFrame)) > 6:
                at["two"] = count
                await worker.queue_frames([*speech(voice[:4_800], "two"), EndFrame()])

    frames, screen = run(session, stage)
    cut = places(frames, InterruptionFrame)[0]
    assert len(heard(frames[:cut])) < len(voice) * 0.7
    np.testing.assert_array_equal(heard(frames[cut:]), voice[:4_800, 0])
    assert len(places(frames[cut:], OutputImageRawFrame)) > 10
    said = [frame.text for frame in frames if isinstance(frame, TextFrame)]
    assert said == ["two"]  # what was not said is not told
