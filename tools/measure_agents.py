"""Measures a portrait that speaks an agent's voice on this machine, without any transport.

usage: python tools/measure_agents.py [--utterances 10] [--photo examples/astronaut.jpg] [--idle]

- An utterance comes at once, at a random moment of silence. The program prints how long its first picture
  takes, how many pictures of speech are late, and how late the sound is.
- `--idle` puts sleeps of 75 ms a beat in place of the networks, as on a free machine.
"""

import argparse
import asyncio
import os
import platform
import time
from contextlib import aclosing

import numpy as np
import torch

from atldiff.config import FRAME_RATE
from atldiff.live.agents.actor import Actor
from atldiff.live.session import LiveSession
from atldiff.loading import load_pipeline
from atldiff.media.speech import load_speech
from atldiff.options import Options
from atldiff.portrait.portrait import load_portrait

SLEEPS = 0.035, 0.04  # seconds of a beat: landmarks and warp, and the network
QUIET = 0.7, 1.3  # seconds between two utterances
RATE = 16_000


def put_to_sleep(session: LiveSession) -> None:
    """Puts sleeps in place of the networks."""
    motion, pictures = session._motion, session._pictures

    def predict(heard, frames):  # noqa: ANN001, ANN202
        return motion.rest[None].repeat(frames, 0), None

    def render(moved, parts):  # noqa: ANN001, ANN202
        time.sleep(SLEEPS[1])
        return [session.photo.copy() for _ in moved.points]

    motion._predict = predict
    pictures.warp = lambda moved: time.sleep(SLEEPS[0])
    pictures.render = render


def time_beats(session: LiveSession) -> list[list[float]]:
    """Notes the CPU milliseconds of each beat: of its landmarks, warp, and network."""
    motion, pictures = session._motion, session._pictures
    times: list[list[float]] = [[], [], []]

    def timed(function, own):  # noqa: ANN001, ANN202
        """The function, with its thread's CPU milliseconds noted."""

        def run(*values):  # noqa: ANN002, ANN202
            """Calls the function."""
            begin = time.thread_time()
            result = function(*values)
            result = list(result) if hasattr(result, "__next__") else result
            own.append(1000 * (time.thread_time() - begin))
            return result

        return run

    motion.move, pictures.warp = timed(motion.move, times[0]), timed(pictures.warp, times[1])
    pictures.render = timed(pictures.render, times[2])
    return times


async def talk(session: LiveSession, voice: np.ndarray, utterances: int) -> tuple[list, list]:
    """Speaks; gives times of pushing and of the first picture, each frame's lateness, and if it is new."""
    actor, rng = Actor(session, RATE), np.random.default_rng(0)
    waits, spoken, pushed, due, at = [], [], None, 0.0, time.perf_counter() + 1
    async with aclosing(actor.shots()) as shots:
        async for shot in shots:
            now = time.perf_counter()
            if shot.sound is not None:
                if pushed is not None:
                    waits.append((pushed, now))
                    pushed, due = None, now
                spoken.append((now - due, shot.is_new))
                due += 1 / FRAME_RATE
            if "end" in shot.marks:
                at = now + rng.uniform(*QUIET)
                if len(waits) == utterances:
                    return waits, spoken
            if now > at:
                await asyncio.sleep(rng.uniform(0, 0.03))
                pushed, at = time.perf_counter(), np.inf
                actor.push(voice)
                actor.mark("end", ends=True)
    raise AssertionError("shots never end")


def main() -> None:
    """Runs one measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=10)
    parser.add_argument("--photo", default="examples/astronaut.jpg")
    parser.add_argument("--idle", action="store_true", help="sleeps in place of the networks")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = load_pipeline()
    session = LiveSession(pipeline, load_portrait(args.photo), Options(output="square"))
    if args.idle:
        put_to_sleep(session)
    times = time_beats(session)
    voice = (load_speech("examples/hello_world.flac").samples[:24_000, None] * 32767).astype(np.int16)
    waits, spoken = asyncio.run(talk(session, voice, args.utterances))
    first = 1000 * np.array([shown - pushed for pushed, shown in waits])
    behind = 1000 * np.array([lateness for lateness, _ in spoken])
    late = np.mean([not is_new for _, is_new in spoken])
    lines = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{pipeline.unet.dtype}, load {os.getloadavg()[0]:.1f}",
        "first sound to first moving picture": f"{np.median(first):.0f} ms (most: {first.max():.0f})",
        "pictures of speech that are late": f"{late:.0%}",
        "sound that leaves after its time, most": f"{max(0.0, behind.max()):.0f} ms",
        "CPU of three frames: landmarks, warp, network": " + ".join(
            f"{np.median(each):.0f}" for each in times
        )
        + " ms",
    }
    for name, value in lines.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
