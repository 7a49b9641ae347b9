"""A Pipecat agent with a face, on one machine, without an account.

What is typed becomes speech, and a video.

usage: pip install atldiff[pipecat,voices]; python examples/agents/pipecat_agent.py -o out/pipecat.mp4

The agent says a sentence, is interrupted, and says another one. Your agent has a language model before the
voice, and a transport in place of the file: `TransportParams(audio_out_enabled=True, video_out_enabled=True,
video_out_width=512, video_out_height=512)`.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

from atldiff.config import FRAME_RATE
from atldiff.live.agents.pipecat import RATE, PortraitProcessor
from atldiff.live.film import Film
from atldiff.live.session import LiveSession
from atldiff.loading import load_pipeline
from atldiff.media.synthesis import synthesise
from atldiff.options import Options
from atldiff.portrait.portrait import load_portrait

FIRST = "Hello. I am a photo, and I speak while you look at me. I could go on like this for a long time."
SECOND = "Yes? I am listening."
CHUNK = RATE // 50  # samples that the voice gives at a time


class TypedVoice(TTSService):
    """A voice of this machine."""

    def __init__(self, voice: str, **settings: Any) -> None:
        super().__init__(push_start_frame=True, push_stop_frames=True, stop_frame_timeout_s=0.2, **settings)
        self._typed_voice = voice

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        """Speaks a sentence, see `TTSService`."""
        speech = await asyncio.to_thread(synthesise, text, self._typed_voice)
        samples = (speech.sound[:, 0] * 32767).astype(np.int16)
        for start in range(0, len(samples), CHUNK):
            audio = samples[start : start + CHUNK].tobytes()
            yield TTSAudioRawFrame(audio, speech.sound_rate, 1, context_id=context_id)


class FilmSink(FrameProcessor):
    """Writes each picture with its sound, or with silence, into a film."""

    def __init__(self, film: Film, width: int, height: int) -> None:
        super().__init__()
        self._film, self._shape = film, (height, width, 3)
        self._picture: np.ndarray | None = None
        self._sound = np.zeros(0, np.float32)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes one frame, see `FrameProcessor`."""
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputImageRawFrame | EndFrame):
            self._write()
        if isinstance(frame, OutputImageRawFrame):
            self._picture = np.frombuffer(frame.image, np.uint8).reshape(self._shape)
        elif isinstance(frame, TTSAudioRawFrame):
            self._sound = np.frombuffer(frame.audio, np.int16).astype(np.float32) / 32767
        await self.push_frame(frame, direction)

    def _write(self) -> None:
        """Writes the picture that has had its time."""
        if self._picture is not None:
            size = RATE // FRAME_RATE
            self._film.add(self._picture, np.pad(self._sound, (0, size - len(self._sound))))
        self._picture, self._sound = None, self._sound[:0]


async def talk(processor: PortraitProcessor, sink: FilmSink, voice: str) -> None:
    """Runs the agent."""
    worker = PipelineWorker(Pipeline([TypedVoice(voice), processor, sink]), enable_rtvi=False)
    runner = WorkerRunner()
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await worker.queue_frame(TTSSpeakFrame(FIRST))
    await asyncio.sleep(5)
    await worker.queue_frame(InterruptionFrame())
    await asyncio.sleep(1)
    await worker.queue_frames([TTSSpeakFrame(SECOND)])
    await asyncio.sleep(5)
    await worker.queue_frame(EndFrame())
    await running


def main() -> None:
    """Makes the video."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", default="out/pipecat.mp4")
    parser.add_argument("--photo", default=str(Path(__file__).parents[1] / "astronaut.jpg"))
    parser.add_argument("--voice", default="english")
    args = parser.parse_args()
    pipeline, portrait, options = load_pipeline(), load_portrait(args.photo), Options(output="square")
    session = LiveSession(pipeline, portrait, options, mark=False)  # the film marks and signs
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    film = Film(args.out, RATE, pipeline.origin(portrait, options))
    asyncio.run(talk(PortraitProcessor(session), FilmSink(film, *session.size), args.voice))
    print(f"{film.close()}: {film.frames / FRAME_RATE:.1f} s")


if __name__ == "__main__":
    main()
