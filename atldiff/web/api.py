"""The API's published functions; their arguments, defaults and ranges come from `Options`."""

import inspect
from collections.abc import Callable
from typing import Any

from atldiff.options import MOTION, OPTIONS, help_text
from atldiff.web.jobs.request import MAX_SECONDS, MAX_UPLOAD

_UPLOAD = MAX_UPLOAD.removesuffix("mb")
FILES = {
    "portrait": f"photo of one person from the front (JPEG, PNG, WebP or HEIC, at most {_UPLOAD} MB).",
    "speech": f"recording of speech (WAV, MP3, M4A, FLAC, OGG, at most {MAX_SECONDS:g} s and {_UPLOAD} MB).",
    "landmarks": "landmark file (.npz or .json) of this API to render instead of the predicted motion.",
    "driving_video": f"video of a face whose head, brows and blinks to use (at most {_UPLOAD} MB).",
    "file_format": "npz or json.",
    "file": f"video, photo or other file that may be ours (at most {_UPLOAD} MB).",
}
NEEDED = ("portrait", "speech", "file")
FILE_ARGUMENTS = ("portrait", "speech", "landmarks", "driving_video", "file")
_ABOUT_MOTION = ("seed", "file_format", "detector", "driving_video")
PREVIEW = ("portrait", "speech", "face", "emotion", *MOTION, *_ABOUT_MOTION)
ANIMATE = ("portrait", "speech", *OPTIONS, "landmarks", "driving_video")
CHECK = ("portrait", "face", "detector")
VERIFY = ("file",)
ENDPOINTS = {  # name: arguments in order
    "animate": ANIMATE,
    "landmarks": PREVIEW,
    "check_portrait": CHECK,
    "verify": VERIFY,
}
ANIMATE_TEXT = """Make a video in which the person of a photo says what is heard in a recording.

Use it only with the consent of the person shown. The file says that it is AI-generated, and is signed.
A file is given as a data URL (data:image/jpeg;base64,...) or as a public http(s) address; gradio's own client
uploads it. Addresses of this machine (localhost) are refused.

Args:
{arguments}

Returns:
    The video: H.264 and AAC in .mp4 at 30 frames a second, or .webm for the background matte."""
LANDMARKS_TEXT = """Predict how a face moves with a recording, without making the video: to look at or edit.

Args:
{arguments}

Returns:
    The landmark file (68 points a frame in pixels of the photo, 30 frames a second), which the argument
    landmarks of animate takes, and a video of the moving landmarks (at most 10 seconds)."""
CHECK_TEXT = """Find the faces of a photo and say what would make its video worse.

Args:
{arguments}

Returns:
    size (width, height), faces (x0, y0, x1, y1 each, the largest first), face, crop and the 68 landmarks,
    in pixels of the upright photo, and warnings; and the photo with all of them drawn."""
VERIFY_TEXT = """Say whether a video was made here and is unchanged: its credentials, watermark and tags.

Args:
{arguments}

Returns:
    status (0 = ours and unchanged, 1 = a mark alone, changed, or an unknown key, 2 = nothing of ours),
    a sentence, and what credentials, mark and tags say."""


def publish(run: Callable, names: tuple[str, ...], description: str, *more: inspect.Parameter) -> Callable:
    """Gives a function of positional values the API's signature and description; returns the function.

    Args:
        run: the function.
        names: names of the values, in order. Options have a default.
        description: the description, with the placeholder `{arguments}`.
        more: parameters that are not published.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter(name, kind)
        if name in NEEDED
        else inspect.Parameter(name, kind, default=OPTIONS[name].default if name in OPTIONS else None)
        for name in names
    ]
    published: Any = run
    published.__signature__ = inspect.Signature([*parameters, *more])
    lines = [f"    {name}: {FILES[name] if name in FILES else help_text(name) + '.'}" for name in names]
    published.__doc__ = description.format(arguments="\n".join(lines))
    return run
