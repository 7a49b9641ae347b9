"""From jobs to files: what `generate` and `batch` do with the pipeline."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from atldiff.cli.jobs import Job, check_outputs, writable
from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.media.audio import Speech, load_speech
from atldiff.media.video import write_video
from atldiff.portrait.face import Portrait, load_portrait
from atldiff.rendering.drawing import draw_landmarks
from atldiff.sequence import LandmarkSequence
from atldiff.speech.motion import Motion

if TYPE_CHECKING:
    from atldiff.pipeline import ATLDiffPipeline


@dataclass(frozen=True)
class Settings:
    """How a video is made; the fields are the options of `generate`.

    Attributes:
        face: which face of the photo, 0 = the largest.  detector: "mediapipe" or "face-alignment".
        emotion: a name the weights know, None = as heard.  steps: of DDIM, None = the weights' own.
        output: "photo", "square" or "crop".  background: "keep", "green" or "matte".
        max_seconds: the longest recording accepted.  weights: folder or hub id, None = embedded.
        device: a torch device.  dtype: of the U-Net, None = the one its device computes fastest.
        quiet: no progress bar.
    """

    face: int = 0
    detector: str = "mediapipe"
    emotion: str | None = None
    steps: int | None = None
    seed: int = 0
    output: str = "photo"
    background: str = "keep"
    motion: Motion = Motion()
    max_seconds: float = 600.0
    weights: str | None = None
    device: str = "cpu"
    dtype: str | None = None
    quiet: bool = False


class Studio:
    """Runs jobs with one set of settings; the networks are loaded once, when the first job needs them."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self._pipeline = settings, None

    @property
    def pipeline(self) -> "ATLDiffPipeline":
        """The networks, on their device and in their dtype."""
        if self._pipeline is None:
            self._pipeline = load_pipeline(self.settings.weights, self.settings.device, self.settings.dtype)
        return self._pipeline

    def run(self, job: Job) -> list[str]:
        """Makes one video and the landmark files asked for.

        Returns:
            One sentence for each file written.

        Raises:
            InputError: anything the user can mend; no file is left behind.
        """
        begin, settings = time.perf_counter(), self.settings
        written = [*job.landmarks, *([job.output] if job.output else [])]
        check_outputs(job, settings.background)
        with writable(written), stages(settings.quiet) as bar:
            bar.set_description("reading")
            speech = load_speech(job.recording, max_seconds=settings.max_seconds)
            portrait = self._portrait(job)
            bar.set_description("listening")
            sequence = self._landmarks(job, portrait, speech)
            for path in job.landmarks:
                save_landmarks(path, portrait, sequence, speech)
            size = self._render(job.output, portrait, sequence, speech, bar) if job.output else None
        took = time.perf_counter() - begin
        lines = [f"{path}: landmarks of {len(sequence.points)} frames" for path in job.landmarks]
        if job.output:
            seconds = speech.num_frames / FRAME_RATE
            lines.append(f"{job.output}: {seconds:.1f} s of video at {size}, made in {took:.1f} s")
        return lines

    def _portrait(self, job: Job) -> Portrait:
        matte = self.settings.background != "keep"
        portrait = load_portrait(job.photo, self.settings.face, self.settings.detector, matte)
        for warning in portrait.warnings:
            tqdm.write(f"note: {warning}", file=sys.stderr)
        return portrait

    def _landmarks(self, job: Job, portrait: Portrait, speech: Speech) -> LandmarkSequence:
        if job.given is not None:
            given = LandmarkSequence.load(job.given).resampled(speech.num_frames)
            return given.on_face(portrait.landmarks)
        settings = self.settings
        return self.pipeline.landmarks(portrait, speech, settings.motion, settings.emotion, settings.seed)

    def _render(
        self, output: Path, portrait: Portrait, sequence: LandmarkSequence, speech: Speech, bar: tqdm
    ) -> str:
        """Renders and encodes; returns the picture's size in words."""
        settings, sizes = self.settings, []
        bar.set_description("rendering")
        bar.reset(total=len(sequence.points))
        frames = self.pipeline.render(
            portrait, sequence, settings.steps, settings.seed, settings.output, settings.background
        )

        def counted() -> Iterator[np.ndarray]:
            for frame in frames:
                sizes[:] = [f"{frame.shape[1]}x{frame.shape[0]}"]
                yield frame
                bar.update()

        write_video(output, counted(), speech)
        return sizes[0]


def load_pipeline(
    weights: str | None = None, device: str = "cpu", dtype: torch.dtype | None = None
) -> "ATLDiffPipeline":
    """Reads the networks and puts them to work on a device.

    Raises:
        InputError: there is no pipeline of that name, or no such device.
    """
    from diffusers.utils import logging

    from atldiff.pipeline import ATLDiffPipeline  # takes seconds: only once the inputs were found to be good

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    pipeline = ATLDiffPipeline.from_pretrained(weights)
    try:
        pipeline.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device {device!r} cannot be used", "Choose cpu, or leave it out") from error
    if dtype is None:
        return pipeline.use_fast_dtype()
    pipeline.unet.to(dtype=dtype)
    return pipeline


def save_landmarks(path: Path, portrait: Portrait, sequence: LandmarkSequence, speech: Speech) -> None:
    """Saves landmarks as .npz or .json, or draws them on the photo as .mp4."""
    if path.suffix != ".mp4":
        sequence.save(path)
        return
    write_video(path, (draw_landmarks(portrait.image, points) for points in sequence.points), speech)


@contextmanager
def stages(quiet: bool) -> Iterator[tqdm]:
    """A progress bar that counts frames and names the stage at work; none where stderr is no terminal."""
    with tqdm(unit=" frames", disable=True if quiet else None, leave=False) as bar:
        yield bar
