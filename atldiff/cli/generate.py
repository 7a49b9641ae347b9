"""From jobs to files: what `generate` and `batch` do with the pipeline."""

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
from atldiff.cli.jobs import Job, check_files, writable
from atldiff.config import FRAME_RATE
from atldiff.loading import load_pipeline
from atldiff.media.speech import Speech
from atldiff.media.video_writer import write_video
from atldiff.options import Options
from atldiff.portrait.drawing import draw_landmarks
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.warp.turn import turned_landmarks
from atldiff.sequence import LandmarkSequence

if TYPE_CHECKING:
    from atldiff.pipeline import ATLDiffPipeline


@dataclass(frozen=True)
class Settings:
    """How this machine makes videos; what is to be seen in them stands in each job's `Options`.

    Attributes:
        max_seconds: the longest recording accepted.
        weights: folder or hub id, None = embedded.
        device: a torch device.  dtype: of the U-Net, None = the one its device computes fastest.
        quiet: no progress bar.
    """

    max_seconds: float = 600.0
    weights: str | None = None
    device: str = "cpu"
    dtype: torch.dtype | None = None
    quiet: bool = False


class Runner:
    """Runs jobs; the networks are loaded once, when the first job needs them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def pipeline(self) -> "ATLDiffPipeline":
        """The networks, on their device and in their dtype."""
        return load_pipeline(self.settings.weights, self.settings.device, self.settings.dtype)

    def run(self, job: Job) -> list[str]:
        """Makes one video and the landmark files asked for.

        Returns:
            One sentence for each file written.

        Raises:
            InputError: anything the user can mend; no file is left behind.
        """
        begin, settings = time.perf_counter(), self.settings
        check_files(job)
        with writable(list(job.outputs)), progress_bar(settings.quiet) as bar:

            def predict(portrait: Portrait, speech: Speech, options: Options) -> LandmarkSequence:
                bar.set_description("landmarks")
                return self.pipeline.landmarks(portrait, speech, options)

            bar.set_description("reading")
            animation = animate(
                job.photo,
                job.recording,
                job.options,
                predict,
                job.given,
                job.poses,
                max_seconds=settings.max_seconds,
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

        def counted() -> Iterator[np.ndarray]:
            """The frames, each of which moves the bar."""
            for frame in self.pipeline.render(animation.portrait, animation.landmarks, animation.options):
                sizes[:] = [f"{frame.shape[1]}x{frame.shape[0]}"]
                yield frame
                bar.update()

        write_video(output, counted(), animation.speech)
        return sizes[0]


def save_landmarks(path: Path, animation: Animation) -> None:
    """Saves landmarks as .npz or .json, or draws them on the photo as .mp4."""
    if path.suffix.lower() != ".mp4":
        animation.landmarks.save(path)
        return
    image, points = animation.portrait.image, turned_landmarks(animation.portrait, animation.landmarks)
    write_video(path, (draw_landmarks(image, frame) for frame in points), animation.speech)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[tqdm]:
    """A bar that counts frames and names the stage at work; none where stderr is no terminal."""
    with tqdm(unit=" frames", disable=True if quiet else None, leave=False) as bar:
        yield bar
