"""Texts of the page, its presets and its examples."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from atldiff.media.voice_model import MEGABYTES
from atldiff.options import ASPECTS, MOTION
from atldiff.provenance.label import CORNERS, TEXTS, label_is_forced
from atldiff.web.jobs.request import MAX_SECONDS, MAX_UPLOAD
from atldiff.web.public import EXAMPLES as FOLDER
from atldiff.web.public import MODEL_CARD

TITLE = "ATL-Diff: make a portrait speak"
PAPER = "https://arxiv.org/abs/2507.12804"
CODE = "https://huggingface.co/spaces/{}/tree/main"  # of a Space, by its name
TOP = """# Make a portrait speak
One photo and one recording in, a talking video out: in sync, and as sharp as the photo."""
PRIVACY = f"""Photo up to {MAX_UPLOAD.removesuffix("mb")} MB, speech up to {MAX_SECONDS:g} s. Both are sent \
to this server. It makes the video, and deletes all three within 75 minutes. It keeps no copy, and no \
network learns from them. The video carries its settings and the SHA-256 sums of photo and recording."""
FOOT = """Animate only people who agreed to it, and people who are drawn or painted; use only a voice whose \
owner agreed. Every video says in its metadata that it is AI-generated, is signed, and carries an \
unseen mark. In the EU, whoever shows such a video as if it were real must also say so visibly: \
the *AI badge* under Advanced does.

"""
OURS = """Says whether a file was made here and is unchanged since. The mark in the pictures survives most \
editing. Its key is public, so a file that carries it need not come from here."""
SHOWN = "A ready example. Animate makes it anew, with your settings. Or bring your own photo and voice."
SOUND = "Tap for sound"
SPEAKER = "A computer speaks."
FETCHED_ONCE = f"""{SPEAKER} A natural voice is fetched at its first use: {MEGABYTES} MB, some minutes. Its \
licence, Open RAIL-M, forbids misuse."""
FETCHING = f"The voice is being fetched, once: {MEGABYTES} MB. This takes some minutes."
SIDECAR = "Credentials"
SAME = "Same settings again"
REMEMBER = "Remember this visit on this device"
REMEMBERED = (
    "A reload brings photo, recording, settings and videos back while the server has them. "
    "Your browser stores their names."
)
STOPPED = (
    "The page was left while a video was being made, so it was not finished. Press Animate for a new one."
)
FILES_GONE = "The server no longer has all of your files. Give photo and recording once more."
NOW, WAS, BACK = "How it moves", "The setting before", "The setting now"
BESIDE, ALONE = "Side by side", "One alone"
CANCELLED = "Cancelled. Nothing was kept."
GONE = "This video was deleted after an hour. Use its settings to make it again."
# Name: (differences from the defaults, description).
PRESETS: dict[str, tuple[dict[str, Any], str]] = {
    "Natural": ({}, "Moves as the voice suggests."),
    "Still": ({"expression": 0.7, "sway": 0.0}, "The head stays where it is; the face speaks."),
    "Lively": (
        {"expression": 1.4, "lips": 1.2, "sway": 1.5, "blinks": 1.2},
        "Larger movements of face and head.",
    ),
    "As in the paper": (
        dict.fromkeys(("sway", "blinks", "feeling", "liveliness"), 0.0)
        | {"steps": 8, "output": "crop", "background": "green"},
        "128 pixels, 8 steps, green screen, no added movement.",
    ),
}
GIVEN = "The motion is that of {}, not of the recording."
DRIVEN = "Head, brows and blinks are those of {}."
TURNED = "The head turns by {}."
BY_HAND = "Turn the head by hand"
DRAG = "Hold the face and drag it while the voice plays. Let go to end."
RELEASE = "Use the recording's motion"
FORCED = "This server puts it on every video."
CUSTOM = "Custom"  # the preset's name after a change by hand
PRESET_OPTIONS = (*MOTION, "steps", "output", "background")  # the options of a preset
# What the server has installed is offered.
_RUNTIME = (("MediaPipe Tasks", "mediapipe-tasks"),) if find_spec("mediapipe") else ()
CHOICES = {  # option: (label, choice) of each choice
    "output": (
        ("Whole photo", "photo"),
        *((shape, shape) for shape in ASPECTS),
        ("512 square", "square"),
        ("128 face only", "crop"),
    ),
    "background": (
        ("The photo’s", "keep"),
        ("Green screen", "green"),
        ("Transparent", "matte"),
        ("White", "#ffffff"),
        ("Grey", "#808080"),
        ("Blue", "#1e5fb4"),
    ),
    "badge_text": tuple((text, text) for text in TEXTS),
    "badge_corner": tuple((corner.capitalize(), corner) for corner in CORNERS),
    "detector": (("MediaPipe", "mediapipe"), *_RUNTIME, ("face-alignment", "face-alignment")),
}
GAINS = (
    "expression",
    "feeling",
    "lips",
    "sway",
    "blinks",
)  # beside the result; the others stand under Advanced
NOTES = {
    "expression": "Brows, cheeks, eyes.",
    "feeling": "Of a named emotion; one that is heard shows half as much.",
    "lips": "Lips and chin.",
    "sway": "0 keeps the head still.",
    "blinks": "0 never blinks.",
    "silence": "How far the lips close in pauses.",
    "smoothing": "0 leaves the motion as predicted.",
    "closure": "How far an open mouth closes to speak.",
    "liveliness": "Brows and glances with the voice; 0 keeps the eyes on the viewer.",
    "steps": "1 is fastest and smoothest; more are slower, and may be crisper.",
    "seed": "Of blinks, head, teeth and noise; the same seed gives the same video.",
    "output": "1:1 to 16:9 are parts of the photo about the head; 512 the head, 128 the face.",
    "background": "Or write a colour, such as #ffcc00. Transparent makes a .webm, its credentials beside it.",
    "backdrop": "Its middle part stands behind the person.",
    "zoom": "1 shows the whole photo.",
    "badge": "Says in a corner of the picture that AI made it.",
    "badge_text": "What it says.",
    "badge_corner": "Where it stands.",
    "badge_size": "1 is a sixteenth of the picture's shorter side.",
    "captions": "Burnt in below the face, in time with the voice.",
    "detector": "face-alignment is the paper’s, and slower.",
    "dialogue": "Both speak in turn. Without a second photo the other face of the portrait answers.",
    "driven": "Its head, brows and blinks move the portrait; its mouth and its sound do not.",
    "turned": "Yaw, pitch and roll in degrees on each line, 30 a second. Turning by hand fills it.",
    "given": "Edited or kept from a preview; the motion's sliders then change nothing.",
}


@dataclass(frozen=True)
class Example:
    """An example: its name, portrait, recording and ready video."""

    name: str
    portrait: Path
    recording: Path
    video: Path

    @property
    def ready(self) -> str | None:
        """The path of the ready video; None without one, and where every video must bear the label."""
        return str(self.video) if self.video.is_file() and not label_is_forced() else None


def _example(name: str, portrait: str, recording: str) -> Example:
    video = FOLDER / "videos" / f"{portrait}.mp4"  # tools/make_videos.py makes it
    return Example(name, FOLDER / f"{portrait}.jpg", FOLDER / f"{recording}.flac", video)


EXAMPLES = (
    _example("An astronaut", "astronaut", "hello_world"),
    _example("Mona Lisa", "mona_lisa", "pause"),
    _example("A man, drawn", "drawn_man", "bilabials"),
)
RECORDINGS = {  # text of the button: recording
    "Hello world": FOLDER / "hello_world.flac",
    "Please stay on the line": FOLDER / "busy_line.flac",
    "Arrivederci": FOLDER / "italiano.flac",
    "My puppy bumped": FOLDER / "bilabials.flac",
    "One moment, please": FOLDER / "pause.flac",
}


def preset_values(name: str, usual: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a preset's options, with the usual value of those that it does not name."""
    changes = PRESETS[name][0]
    return {option: changes.get(option, usual[option]) for option in PRESET_OPTIONS}


def preset_of(values: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """The name of the preset that has these values, or CUSTOM."""
    own = {option: values[option] for option in PRESET_OPTIONS}
    return next((name for name in PRESETS if preset_values(name, usual) == own), CUSTOM)


def links() -> str:
    """Links to paper, licences and model card and, on a Space, to the code it runs."""
    space = os.environ.get("SPACE_ID")
    code = [f"[Code]({CODE.format(space)})"] if space else []
    papers = (
        "[Licence](about/licence.txt)",
        "[Licence of the weights](about/weights-licence.txt)",
        "[Model card](about/model-card.txt)",
    )
    return " · ".join([f"[Paper]({PAPER})", *code, *papers])


def model_card() -> str:
    """The card of the embedded weights in Markdown, without its YAML header."""
    return re.sub(r"\A---\n.*?\n---\n\s*", "", MODEL_CARD.read_text(encoding="utf-8"), flags=re.DOTALL)
