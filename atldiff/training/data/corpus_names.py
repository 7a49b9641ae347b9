"""Grammars of the file names of published talking-head corpora: speaker, sentence, emotion.

- Each function takes the parts of a clip's path below the corpus's folder, without ending.
- It returns fields of a `ClipRecord`, or None for a name outside the grammar.
- Emotions have the names of the starter's recogniser where it has them.
"""

import re

# CREMA-D, https://github.com/CheyneyComputerScience/CREMA-D
CREMA_D_EXAMPLE = "VideoFlash/1001_DFA_ANG_XX.flv"
CREMA_D_SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
CREMA_D_EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
CREMA_D_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "", "X": ""}

# MEAD, https://wywu.github.io/projects/MEAD/MEAD.html: eight emotions, three levels, seven views
MEAD_EXAMPLE = "M003/video/front/happy/level_2/001.mp4"
MEAD_EMOTIONS = {
    "angry": "angry",
    "contempt": "contempt",
    "disgusted": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprised": "surprised",
}

# RAVDESS, https://zenodo.org/records/1188976
RAVDESS_EXAMPLE = "Actor_01/01-01-03-02-01-01-01.mp4"
RAVDESS_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
RAVDESS_SENTENCES = ("Kids are talking by the door", "Dogs are sitting by the door")

# GRID, https://zenodo.org/records/3625687
GRID_EXAMPLE = "s1/bbaf2n.mpg"
GRID_WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},  # no w: it has three syllables
    dict(
        zip(
            "z123456789",
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
            strict=True,
        )
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


def parse_crema_d(parts: tuple[str, ...]) -> dict | None:
    """.../1001_DFA_ANG_XX: actor, sentence, emotion, level."""
    match = re.fullmatch(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(XX?|LO|MD|HI)", parts[-1])
    if match is None or match[2] not in CREMA_D_SENTENCES or match[3] not in CREMA_D_EMOTIONS:
        return None
    return {
        "identity": match[1],
        "sentence": CREMA_D_SENTENCES[match[2]],
        "emotion": CREMA_D_EMOTIONS[match[3]],
        "level": CREMA_D_LEVELS[match[4]],
    }


def parse_mead(parts: tuple[str, ...]) -> dict | None:
    """M003/video/front/happy/level_2/001: actor, view, emotion, level, take (another sentence each)."""
    if len(parts) != 6 or parts[1] != "video" or parts[3] not in MEAD_EMOTIONS:
        return None
    actor, _, view, emotion, level, take = parts
    if not re.fullmatch(r"[MW]\d{3}", actor) or not re.fullmatch(r"level_[123]", level):
        return None
    details = {"view": view, "take": take, "sex": "male" if actor.startswith("M") else "female"}
    return {
        "identity": actor,
        "emotion": MEAD_EMOTIONS[emotion],
        "level": level.removeprefix("level_"),
        "details": details,
    }


def parse_ravdess(parts: tuple[str, ...]) -> dict | None:
    """.../01-01-03-02-01-01-01: modality, channel, emotion, intensity, sentence, take, actor."""
    match = re.fullmatch(r"0([123])-0([12])-0([1-8])-0([12])-0([12])-0([12])-(\d\d)", parts[-1])
    if match is None:
        return None
    modality, channel, emotion, intensity, sentence, take, actor = match.groups()
    details = {
        "modality": ("audio-video", "video", "audio")[int(modality) - 1],
        "channel": ("speech", "song")[int(channel) - 1],
        "take": take,
        "sex": "male" if int(actor) % 2 else "female",
    }
    return {
        "identity": actor,
        "sentence": RAVDESS_SENTENCES[int(sentence) - 1],
        "emotion": RAVDESS_EMOTIONS[int(emotion) - 1],
        "level": ("normal", "strong")[int(intensity) - 1],
        "details": details,
    }


def parse_grid(parts: tuple[str, ...]) -> dict | None:
    """s1/.../bbaf2n: command, colour, preposition, letter, digit, adverb."""
    speaker = next((part for part in parts[:-1] if re.fullmatch(r"s\d{1,2}", part)), None)
    letters = parts[-1]
    if speaker is None or len(letters) != len(GRID_WORDS):
        return None
    words = [known.get(letter, "") for known, letter in zip(GRID_WORDS, letters, strict=True)]
    return {"identity": speaker, "sentence": " ".join(words), "emotion": "neutral"} if all(words) else None
