"""What is done with rendered frames: captions, the badge, and the forms that a caller may choose."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from atldiff.diffusers_base import BaseOutput
from atldiff.errors import InputError
from atldiff.media.captions import add_captions, time_captions
from atldiff.media.speech import Speech
from atldiff.options import Options
from atldiff.provenance.label import add_badges, label_is_forced
from atldiff.sequence import LandmarkSequence

OUTPUT_TYPES = ("np", "pt", "pil")


@dataclass
class ATLDiffPipelineOutput(BaseOutput):
    """The result of `ATLDiffPipeline.__call__`.

    Attributes:
        frames: (F, H, W, C) uint8, or another form by `output_type`.
        landmarks: the video's landmarks.
        fps: 30 frames a second.
    """

    frames: np.ndarray | torch.Tensor | list
    landmarks: LandmarkSequence
    fps: int


def add_text(
    frames: Iterator[np.ndarray], options: Options, speech: Speech | None, count: int
) -> Iterator[np.ndarray]:
    """Draws the captions and the badge that the options, or the operator, ask for.

    Args:
        frames: (H, W, 3 or 4) uint8 each.
        options: the choices for the video.
        speech: times the captions; None spreads them evenly.
        count: number of frames.

    Raises:
        InputError: the captions cannot be drawn. The call raises it, not the first frame.
    """
    captions = time_captions(options.captions, speech, count)
    if captions:
        frames = add_captions(frames, captions)
    if options.badge or label_is_forced():
        frames = add_badges(frames, options.badge_text, options.badge_corner, options.badge_size)
    return frames


def check_call(generator: object, callback: object, output_type: object) -> None:
    """Checks the arguments that `ATLDiffPipeline.__call__` needs after the rendering.

    Raises:
        InputError: an argument has another type or value.
    """
    if output_type not in OUTPUT_TYPES:
        raise InputError(f"There is no output type {output_type!r}", "Choose np, pt or pil")
    if generator is not None and not isinstance(generator, (int, np.integer, torch.Generator)):
        problem = f"generator cannot be of type {type(generator).__name__}"
        raise InputError(problem, "Give a torch.Generator, or a whole number as the seed")
    if callback is not None and not callable(callback):
        problem = f"callback_on_step_end cannot be of type {type(callback).__name__}"
        raise InputError(problem, "Give a function, or leave it out")


def convert_frames(frames: np.ndarray, output_type: str) -> np.ndarray | torch.Tensor | list:
    """Converts frames (F, H, W, C) uint8 to one of OUTPUT_TYPES.

    Returns:
        "np": the frames; "pt": (F, C, H, W) float32 in [0, 1]; "pil": a list of Pillow images.
    """
    if output_type == "pil":
        return [Image.fromarray(frame) for frame in frames]
    if output_type == "pt":
        return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    return frames
