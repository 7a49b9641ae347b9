"""What the page says, and what its choices stand for."""

import argparse
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from atldiff.web.request import MAX_SECONDS, MAX_UPLOAD

TITLE = "ATL-Diff: make a portrait speak"
TOP = f"""# Make a portrait speak
One photo and one recording in, a talking video out: in sync, and as sharp as the photo.
<p class="limits">Photo up to {MAX_UPLOAD.removesuffix("mb")} MB, speech up to {MAX_SECONDS:g} s. \
Files are deleted after an hour; nothing of yours stays in memory when a video is done.</p>"""
FOOT = """Animate only people who agreed to it, or whom nobody could take the video for; speech needs its \
speaker's consent too. Every video is marked as AI-generated in its metadata."""

# Name: what differs from the defaults, and what it is good for.
PRESETS: dict[str, tuple[dict[str, Any], str]] = {
    "Natural": ({}, "Moves as the voice suggests."),
    "Still": ({"expression": 0.7, "sway": 0.0}, "The head stays where it is; the face speaks."),
    "Lively": (
        {"expression": 1.4, "lips": 1.2, "sway": 1.5, "blinks": 1.2},
        "Larger movements of face and head.",
    ),
    "Quick": ({"steps": 1, "output": "square"}, "One step, 512 pixels: the fastest."),
    "Paper": (
        {"sway": 0.0, "blinks": 0.0, "steps": 8, "output": "crop", "background": "green"},
        "As in the paper: 128 pixels, 8 steps, green screen, no added movement.",
    ),
}
CHOICES = {  # words for the choices of an option
    "output": (("Whole photo", "photo"), ("512 square", "square"), ("128 paper crop", "crop")),
    "background": (("Keep", "keep"), ("Green screen", "green"), ("Transparent", "matte")),
}
GAINS = ("expression", "lips", "sway", "blinks")  # beside the result; the others stand under Advanced
NOTES = {
    "expression": "Brows, cheeks, eyes.",
    "lips": "Lips and chin.",
    "sway": "0 keeps the head still.",
    "blinks": "0 never blinks.",
    "silence": "How far the lips close in pauses.",
    "smoothing": "0 leaves the motion as predicted.",
    "closure": "How far an open mouth closes to speak.",
    "steps": "1 is fastest and smoothest; more are slower, and may be crisper.",
    "seed": "Of blinks, sway and noise; the same seed gives the same video.",
    "output": "The whole photo keeps its own resolution; the square shows the head; the crop is the paper's.",
    "background": "Transparent makes a .webm file and takes longest.",
    "live": "Starts after about three seconds of video; off, it appears when it is whole.",
    "given": "Edited or kept from a preview; the motion's sliders then change nothing.",
}
SHOW_VIDEO = (
    "() => { document.querySelector('#talk').scrollIntoView({behavior: 'smooth', block: 'nearest'}) }"
)
# Theme variables: quiet labels, so that the pictures and the one button stand out.
THEME = {
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "*neutral_950",
    "block_border_width": "1px",
    "block_title_background_fill": "none",
    "block_title_background_fill_dark": "none",
    "block_title_text_color": "*body_text_color",
    "block_title_text_color_dark": "*body_text_color",
    "block_title_padding": "0",
    "block_label_background_fill": "*background_fill_primary",
    "block_label_background_fill_dark": "*background_fill_secondary",
    "block_label_text_color": "*body_text_color_subdued",
    "block_label_text_color_dark": "*body_text_color_subdued",
}
_EXAMPLES = Path(__file__).parent.parent.parent / "examples"
# (portrait, recording) of each example, and recordings with the words on their buttons.
PAIRS = [
    [str(_EXAMPLES / f"{portrait}.jpg"), str(_EXAMPLES / f"{recording}.flac")]
    for portrait, recording in (
        ("drawn", "hello_world"),
        ("mona_lisa", "italiano"),
        ("astronaut", "bilabials"),
    )
]
RECORDINGS = [
    [str(_EXAMPLES / f"{name}.flac")]
    for name in ("hello_world", "busy_line", "italiano", "bilabials", "pause")
]
LINES = ["Hello world", "Please stay on the line", "Arrivederci", "My puppy bumped", "One moment, please"]


def serving_options() -> dict:
    """Reads the command line of `app.py`, and from the environment ATLDIFF_AUTH, the logins
    "name:password,name:password" (without it everybody may use the page).

    Returns:
        Keywords of gradio's `launch`; what is None is left to gradio's environment variables.
    """
    parser = argparse.ArgumentParser(description=TITLE)
    parser.add_argument("--host", help="address to serve at; 0.0.0.0 = every one of this machine")
    parser.add_argument("--port", type=int, help="port; the first free one from 7860 if left out")
    parser.add_argument("--share", action="store_true", help="also make a public link by gradio's relay")
    args = parser.parse_args()
    logins = os.environ.get("ATLDIFF_AUTH", "").split(",")
    auth = [tuple(login.split(":", 1)) for login in logins if ":" in login]
    return {
        "server_name": args.host,
        "server_port": args.port,
        "share": args.share or None,
        "auth": auth or None,
        "max_file_size": MAX_UPLOAD,
        "mcp_server": find_spec("mcp") is not None,
        "run_history": False,  # it would keep portraits in the browser
        "footer_links": ["api", "settings"],
    }
