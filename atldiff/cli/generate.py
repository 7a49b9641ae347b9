"""Runs the jobs of `generate` and `batch`."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from atldiff.animation import Animation, animate
from atldiff.cli.jobs import Job, check_files, reserve_files
from atldiff.config import FRAME_RATE, MAX_SECONDS
from atldiff.loading import load_pipeline
from atldiff.media.speech import Speech
from atldiff.media.video_writer import write_video
from atldiff.options import Options
from atldiff.portrait.drawing import draw_landmarks
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.warp.turn import turn_landmarks
from atldiff.sequence import LandmarkSequence
from atldiff.system import interrupt_on_sigterm

if TYPE_CHECKING:
    from atldiff.pipeline import ATLDiffPipeline


@dataclass(frozen=True)
class Settings:
    """The settings of this machine; each job's `Options` describe its video.

    Attributes:
        max_seconds: the longest recording accepted.
        weights: folder or hub id; None = the embedded starter.
        device: a torch device.
        dtype: of the U-Net; None = the fastest one of the device.
        quiet: show no progress bar.
    """

    max_seconds: float = MAX_SECONDS
    weights: str | None = None
    device: str = "cpu"
    dtype: torch.dtype | None = None
    quiet: bool = False


class Runner:
    """Runs jobs. It loads the networks once, for the first job that needs them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def pipeline(self) -> "ATLDiffPipeline":
        """The networks, on their device and in their dtype."""
        return load_pipeline(self.settings.weights, self.settings.device, self.settings.dtype)

    def run(self, job: Job) -> list[str]:
        """Makes a job's video and landmark files.

        Returns:
            One sentence for each file.

        Raises:
            InputError: a mistake of the user's. No file is left behind.
        """
        begin, settings = time.perf_counter(), self.settings
        check_files(job)
        files = reserve_files(list(job.outputs))
        with interrupt_on_sigterm(), files, progress_bar(settings.quiet) as bar:

            def predict(portrait: Portrait, speech: Speech, options: Options) -> LandmarkSequence:
                bar.set_description("landmarks")
                return self.pipeline.landmarks(portrait, speech, options)

            bar.set_description("reading")
            animation = animate(
                job.photo,
                job.recording,
                job.options,
                predict,
                job.landmark_file,
                job.poses,
                job.driving_video,
                max_seconds=settings.max_seconds,
                backdrop=job.backdrop,
            )
            for warning in (*animation.portrait.warnings, *animation.speech.warnings):
                tqdm.write(f"note: {warning}", file=sys.stderr)
            for path in job.landmarks:
                save_landmarks(path, animation)
            size = self._render(job.output, animation, bar) if job.output else None
        took = time.perf_counter() - begin
        lines = [f"{path}: landmarks of {len(animation.landmarks.points)} frames" for path in job.landmarks]
        if job.output:
            seconds = animation.speech.num_frames / FRAME_RATE
            lines.append(f"{job.output}: {seconds:.1f} s of video at {size}, made in {took:.1f} s")
        return lines

    def _render(self, output: Path, animation: Animation, bar: tqdm) -> str:
        """Renders and encodes; returns the picture's size in words."""
        sizes: list = []
        bar.set_description("rendering")
        bar.reset(total=len(animation.landmarks.points))

        made_from = animation.portrait, animation.landmarks, animation.options
        frames = self.pipeline.render(*made_from, speech=animation.speech)

        def count_frames() -> Iterator[np.ndarray]:
            """Yields the frames and moves the bar."""
            for frame in frames:
                sizes[:] = [f"{frame.shape[1]}x{frame.shape[0]}"]
                yield frame
                bar.update()

        write_video(output, count_frames(), animation.speech, origin=frames.origin)
        return sizes[0]


def save_landmarks(path: Path, animation: Animation) -> None:
    """Saves landmarks as .npz or .json, or draws them on the photo as .mp4."""
    if path.suffix.lower() != ".mp4":
        animation.landmarks.save(path)
        return
    image, points = animation.portrait.image, turn_landmarks(animation.portrait, animation.landmarks)
    write_video(path, (draw_landmarks(image, frame) for frame in points), animation.speech)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[tqdm]:
    """A bar with the stage and the number of frames; hidden if stderr is no terminal."""
    with tqdm(unit=" frames", disable=True if quiet else None, leave=False) as bar:
        yield bar
