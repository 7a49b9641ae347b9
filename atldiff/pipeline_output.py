"""The result of `ATLDiffPipeline.__call__`, in the forms that a caller may choose."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from atldiff.diffusers_base import BaseOutput
from atldiff.errors import InputError
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
