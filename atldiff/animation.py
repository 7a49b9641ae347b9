"""A request's way: photo and recording -> portrait and speech -> landmarks, ready to render.

Page, command line and `ATLDiffPipeline.__call__` share it. They differ in where the networks run.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from atldiff.errors import InputError
from atldiff.media.speech import MAX_SECONDS, Speech, load_speech
from atldiff.options import ASPECTS, DEFAULTS, Options
from atldiff.portrait.matting import lay_over
from atldiff.portrait.photo import open_photo
from atldiff.portrait.portrait import Portrait, load_portrait
from atldiff.sequence import HEAD_PARTS, LandmarkSequence
from atldiff.speech.motion.driving_video import read_driving_video
from atldiff.speech.motion.pose_file import poses_from_csv

ImageSource = str | Path | np.ndarray | Image.Image | Portrait  # what `load_portrait` reads
AudioSource = str | Path | tuple[int, np.ndarray] | Speech  # what `load_speech` reads


@dataclass(frozen=True, eq=False)
class Animation:
    """The input of rendering: a portrait, its speech and its motion. It can be sent to a worker process.

    Attributes:
        portrait: the photo and its face.
        speech: the recording.
        landmarks: one set a frame, in pixels of the portrait's image.
        options: the choices for the video.
    """

    portrait: Portrait
    speech: Speech
    landmarks: LandmarkSequence
    options: Options


def read_inputs(
    image: ImageSource,
    audio: AudioSource,
    options: Options = DEFAULTS,
    max_seconds: float = MAX_SECONDS,
    backdrop: str | Path | None = None,
) -> tuple[Portrait, Speech]:
    """Reads and checks both inputs; cuts the person out if the background is replaced.

    Args:
        image: the photo, see `load_portrait`.
        audio: the recording, see `load_speech`.
        options: the choices for the video.
        max_seconds: the longest recording accepted, see `load_speech`.
        backdrop: a picture to lay behind the person; its middle part is used, and the option `background`
            must be "keep".

    Raises:
        InputError: the photo, the recording or the backdrop cannot be used, or there are two backgrounds.
    """
    speech = load_speech(audio, max_seconds)
    portrait = read_portrait(image, options, backdrop is not None)
    if backdrop is None:
        return portrait, speech
    if options.background != "keep":
        raise InputError(
            f"The background is {options.background}, and a picture is given", "Give one of both"
        )
    assert portrait.alpha is not None
    height, width = portrait.image.shape[:2]
    behind = ImageOps.fit(Image.fromarray(open_photo(backdrop)), (width, height), Image.Resampling.LANCZOS)
    return replace(portrait, image=lay_over(portrait.image, portrait.alpha, np.asarray(behind))), speech


def read_portrait(image: ImageSource, options: Options, matte: bool = False) -> Portrait:
    """Reads the photo as the options want it; cuts the person out for another background, or a `matte`.

    Raises:
        InputError: the photo cannot be used.
    """
    framing = options.zoom, ASPECTS.get(options.output)
    return load_portrait(
        image, options.face, options.detector, matte or options.background != "keep", *framing
    )


def animate(
    image: ImageSource,
    audio: AudioSource,
    options: Options,
    predict: Callable[[Portrait, Speech, Options], LandmarkSequence],
    landmark_file: str | Path | None = None,
    poses: str | Path | None = None,
    driving_video: str | Path | None = None,
    **reading: Any,
) -> Animation:
    """Reads both inputs and predicts the face's motion.

    Args:
        image: the photo, see `load_portrait`.
        audio: the recording, see `load_speech`.
        options: the choices for the video.
        predict: `ATLDiffPipeline.landmarks`, wherever it runs.
        landmark_file: motion to use instead. It is moved to the portrait's face and cut to the speech.
        poses: a table of the head's angles to use instead, see `poses_from_csv`. It is cut to the speech, or
            its last line is held.
        driving_video: a video whose head, brows and blinks to use instead, see `read_driving_video`.
        reading: keywords of `read_inputs`.

    Raises:
        InputError: photo, recording or one of the files cannot be used.
    """
    sequence = None if landmark_file is None else LandmarkSequence.load(landmark_file)
    angles = None if poses is None else poses_from_csv(poses)
    portrait, speech = read_inputs(image, audio, options, **reading)
    driving = None if driving_video is None else read_driving_video(driving_video, speech.seconds)
    if sequence is None:
        own = options if driving is None else replace(options, blinks=0.0, sway=0.0, liveliness=0.0)
        sequence = predict(portrait, speech, own)
    else:
        sequence = sequence.resampled(speech.num_frames).on_face(portrait.landmarks)
    if driving is not None:
        sequence = driving.drive(sequence, options)
    if angles is not None:
        index, pose = np.minimum(np.arange(len(sequence.points)), len(angles) - 1), sequence.pose.copy()
        pose[:, :HEAD_PARTS] = angles[index]
        sequence = replace(sequence, pose=pose)
    return Animation(portrait, speech, sequence, options)
