"""A small part of a video: two seconds of the face, as soon as a setting has changed."""

from dataclasses import replace

import numpy as np

from atldiff.animation import Animation
from atldiff.config import FRAME_RATE
from atldiff.landmarks import square_box
from atldiff.media.speech import voice_activity
from atldiff.portrait.photo import crop_square
from atldiff.portrait.portrait import Portrait

SIDE = 256  # pixels
SECONDS = 2.0
EVERY = 2  # every second frame is made
_REACH = 1.4  # side of the picture over the network's crop


def head_box(portrait: Portrait) -> np.ndarray:
    """The square (4,) round the head that the preview shows, pixels of the photo."""
    return square_box((portrait.box[:2] + portrait.box[2:]) / 2, _REACH * float(np.ptp(portrait.box[::2])))


def close_up(animation: Animation) -> Animation:
    """Takes the SECONDS in which most is spoken, at 15 frames a second, and the square round the head.

    The part depends on the recording alone, so two settings show the same words.
    """
    portrait, speech, sequence = animation.portrait, animation.speech, animation.landmarks
    count = min(len(sequence.points), round(SECONDS * FRAME_RATE))
    activity = np.convolve(voice_activity(speech), np.ones(count), "valid")
    start = int(activity.argmax())
    part = slice(start, start + count, EVERY)
    box = head_box(portrait)
    scale = SIDE / float(box[2] - box[0])
    return Animation(
        Portrait(
            crop_square(portrait.image, box, SIDE),
            (portrait.landmarks - box[:2]) * scale,
            (portrait.box - np.tile(box[:2], 2)) * scale,
            fingerprint=portrait.fingerprint,
        ),
        speech.cut(start / FRAME_RATE, (start + count) / FRAME_RATE),
        replace(
            sequence,
            points=(sequence.points[part] - box[:2]) * scale,
            identity=(sequence.identity - box[:2]) * scale,
            fps=sequence.fps // EVERY,
            pose=sequence.pose[part],
        ),
        replace(animation.options, output="photo", background="keep", captions=""),
    )
