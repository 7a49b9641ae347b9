"""The API's published functions; their arguments, defaults and ranges come from `Options`."""

import inspect
from collections.abc import Callable
from typing import Any

from atldiff.options import MOTION, OPTIONS, help_text
from atldiff.web.jobs.request import MAX_SECONDS, MAX_UPLOAD

_UPLOAD = MAX_UPLOAD.removesuffix("mb")
FILES = {
    "portrait": f"A photo of one person from the front: JPEG, PNG, WebP or HEIC, at most {_UPLOAD} MB.",
    "speech": f"A recording of speech: WAV, MP3, M4A, FLAC or OGG, up to {MAX_SECONDS:g} s and {_UPLOAD} MB.",
    "landmarks": "A landmark file (.npz or .json) of this API, used instead of the predicted motion.",
    "driving_video": f"A video of a face, whose head, brows and blinks are used; at most {_UPLOAD} MB.",
    "backdrop": f"A picture to lay behind the person, with the background keep; at most {_UPLOAD} MB.",
    "answer": "A recording in which a second person answers; the two then speak in turn.",
    "second": "A photo of the one who answers; left out = another face of the portrait.",
    "poses": "A table (.csv) of the head's yaw, pitch and roll in degrees, 30 lines a second.",
    "file_format": "The format of the landmark file: npz or json.",
    "file": f"A video, photo or other file that may be ours; at most {_UPLOAD} MB.",
    "credentials": "The .c2pa file that was beside a .webm.",
}
# Paths of our own files from the page's address, for the examples of the API's description.
EXAMPLE_FILES = {
    "portrait": "examples/astronaut.jpg",
    "speech": "examples/hello_world.flac",
    "file": "examples/videos/astronaut.mp4",
}
NEEDED = ("portrait", "speech", "file")
_MEDIA = ("portrait", "speech", "landmarks", "driving_video", "backdrop", "answer", "second", "poses")
FILE_ARGUMENTS = (*_MEDIA, "file", "credentials")
_ABOUT_MOTION = ("seed", "file_format", "detector", "driving_video", "poses")
PREVIEW = ("portrait", "speech", "face", "emotion", *MOTION, *_ABOUT_MOTION)
ANIMATE = ("portrait", "speech", *OPTIONS, *_MEDIA[2:])
CHECK = ("portrait", "face", "detector")
VERIFY = ("file", "credentials")
ENDPOINTS = {  # name: arguments in order
    "animate": ANIMATE,
    "landmarks": PREVIEW,
    "check_portrait": CHECK,
    "verify": VERIFY,
}
ANIMATE_TEXT = """Make a video in which the person of a photo says what is heard in a recording.

With an answer, a second person speaks in turn.

Use it only with the consent of the person shown. The file says that it is AI-generated, and is signed.
A file is given as a data URL (data:image/jpeg;base64,...) or as a public http(s) address; gradio's own client
uploads it. Addresses of this machine (localhost) are refused.

Args:
{arguments}

Returns:
    The video: H.264 and AAC in .mp4 at 30 frames a second, or .webm for the background matte.
    A .webm's Content Credentials have its address, with the ending .c2pa."""
LANDMARKS_TEXT = """Predict how a face moves with a recording, without making the video: to look at or edit.

Args:
{arguments}

Returns:
    The landmark file, and a video of the moving landmarks (at most 10 s). The file has 68 points a frame
    in pixels of the photo, at 30 frames a second; animate takes it as its argument "landmarks"."""
CHECK_TEXT = """Find the faces of a photo and say what would make its video worse.

Args:
{arguments}

Returns:
    A dictionary, and the photo with faces, crop and landmarks drawn. The dictionary has size (width,
    height), faces (x0, y0, x1, y1 each, the largest first), face (the number of the chosen one), crop,
    the 68 landmarks and warnings; all in pixels of the upright photo."""
VERIFY_TEXT = """Say whether a video was made here and is unchanged: its credentials, watermark and tags.

Args:
{arguments}

Returns:
    A dictionary with a status (0 = ours and unchanged; 1 = a mark alone, changed, or an unknown key;
    2 = nothing of ours), a sentence, and what credentials, mark and tags say."""


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
    lines = [f"    {name}: {describe_argument(name)}" for name in names]
    text, _, returned = description.format(arguments="\n".join(lines)).partition("Returns:\n")
    # gradio joins the lines after "Returns:" by commas.
    published.__doc__ = f"{text}Returns:\n    {' '.join(returned.split())}"
    return run


def describe_argument(name: str) -> str:
    """The meaning of an argument in one sentence."""
    if name in FILES:
        return FILES[name]
    words = help_text(name)
    return f"{words[0].upper()}{words[1:]}."


def describe_parameters(info: dict[str, Any], address: str) -> None:
    """Completes gradio's description of the endpoints: our sentences, and our own files as examples.

    Args:
        info: what `gr.Blocks.get_api_info` returns; changed in place.
        address: of the page, for the examples' addresses.
    """
    for endpoint in info["named_endpoints"].values():
        for parameter in endpoint["parameters"]:
            name = parameter["parameter_name"]
            parameter["label"] = name
            parameter["python_type"]["description"] = describe_argument(name)
            if name in NEEDED:  # the page's first example is no default
                parameter |= {"parameter_has_default": False, "parameter_default": None}
            if name == "background":
                parameter["type"] = {"type": "string"}  # a colour is none of the page's choices
                parameter["python_type"]["type"] = "str"
            if name in EXAMPLE_FILES:
                url = f"{address.rstrip('/')}/{EXAMPLE_FILES[name]}"
                file = {"path": url, "url": url, "orig_name": url.rpartition("/")[2]}
                parameter["example_input"] = file | {"meta": {"_type": "gradio.FileData"}}
            elif name in FILE_ARGUMENTS:
                parameter["example_input"] = None
