"""Typed text -> Speech, by small engines with voices in their packages.

Each engine runs as a process with a time limit, because some texts crash or hang it.
"""

import os
import subprocess
import sys
import tempfile
import unicodedata
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile

from atldiff.errors import InputError
from atldiff.media.sound import resample
from atldiff.media.speech import Speech

MAX_SECONDS = 60.0
MAX_LETTERS = 1200  # more than MAX_SECONDS of speech; a longer text starts no engine
PEAK = 0.8  # of the sound, the same as in the recordings of examples/
EDGE = 0.15  # seconds of silence at both ends, so that the lips begin and end closed
TIME_LIMIT = 30.0  # seconds for an engine, many times the usual


@dataclass(frozen=True)
class Voice:
    """One voice.

    Attributes:
        name: the argument of `synthesise`.
        label: text on the page.
        language: BCP 47 tag.
        engine: name of the package.
        options: the engine's command line, before the text.
        depth: playing speed of the engine's sound; below 1 the voice is lower.
    """

    name: str
    label: str
    language: str
    engine: str
    options: tuple[str, ...]
    depth: float = 1.0


def _pico(name: str, label: str, language: str) -> Voice:
    return Voice(name, f"{label}, robot", language, "py_nanotts", ("--voice", language, "--volume", "0.4"))


# hibari is distilled from Kokoro-82M; py_nanotts is SVOX Pico of 2009. Both are under Apache-2.0.
_HEART = ("--voice", "heart", "--seed", "0")
VOICES = (
    Voice("english", "English", "en-US", "hibari", _HEART),
    Voice("english-deep", "English, deeper", "en-US", "hibari", (*_HEART, "--speed", "1.2"), depth=0.84),
    _pico("english-robot", "English", "en-US"),
    _pico("british", "English (GB)", "en-GB"),
    _pico("deutsch", "Deutsch", "de-DE"),
    _pico("espanol", "Español", "es-ES"),
    _pico("francais", "Français", "fr-FR"),
    _pico("italiano", "Italiano", "it-IT"),
)
_MODULES = {"hibari": "hibari.cli", "py_nanotts": "py_nanotts"}
_PACKAGES = {"hibari": "hibari-tts", "py_nanotts": "py-nanotts"}
_NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1"}  # otherwise hibari's ONNX Runtime reports to Microsoft


def installed_voices() -> tuple[Voice, ...]:
    """Lists the voices with an installed engine; imports no engine."""
    return tuple(voice for voice in VOICES if find_spec(voice.engine))


def synthesise(text: str, voice: str = "english", max_seconds: float = MAX_SECONDS) -> Speech:
    """Speaks a text with a computer's voice; the same text and voice give the same sound.

    Args:
        text: at most 1200 characters, in Latin letters.
        voice: name of one of `VOICES`.
        max_seconds: the longest speech accepted.

    Returns:
        Speech with a mono sound of 16 kHz (py_nanotts) or 24 kHz (hibari), peak 0.8.

    Raises:
        InputError: the voice is unknown or not installed; the text is empty, too long or unspeakable.
    """
    speaker = next((v for v in VOICES if v.name == voice), None)
    if speaker is None:
        raise InputError(f"There is no voice {voice}", f"Choose one of {', '.join(v.name for v in VOICES)}")
    if not find_spec(speaker.engine):
        remedy = f"Install it: pip install {_PACKAGES[speaker.engine]}"
        raise InputError(f"The voice {voice} is not installed", remedy)
    sound, rate = _run_engine(_clean_text(text), speaker)
    if len(sound) + 2 * EDGE * rate > max_seconds * rate:
        raise _too_long_error(max_seconds)
    peak = float(np.abs(sound).max(initial=0.0))
    if peak < 0.01:
        raise InputError("The voice finds nothing to say in this text", "Write words")
    edge = round(EDGE * rate)
    return Speech.from_samples(np.pad(sound * (PEAK / peak), edge), rate)


def write_sound(path: str | Path, speech: Speech) -> Path:
    """Writes the original sound to a .wav or .flac of 16 bits; returns the path."""
    soundfile.write(path, speech.sound, speech.sound_rate, subtype="PCM_16")
    return Path(path)


def _clean_text(text: str) -> str:
    """Puts the text on one line and removes the engines' control characters.

    Raises:
        InputError: the text is empty, too long, without a word, or has letters that no voice reads.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("There is no text yet", "Write what the portrait is to say")
    if len(text) > MAX_LETTERS:
        raise InputError(
            f"The text has {len(text)} characters", f"Shorten it to {MAX_LETTERS}, about a minute of speech"
        )
    # Pico reads <play file="..."/> as a command.
    letters = [" " if unicodedata.category(c)[0] == "C" or c in "<>" else c for c in text]
    words = " ".join(unicodedata.normalize("NFC", "".join(letters)).split())
    foreign = next((c for c in words if c.isalpha() and not _is_latin(c)), None)
    if foreign:
        raise InputError(f"No voice here can read '{foreign}'", "Write it in Latin letters")
    if not any(c.isalnum() for c in words):
        raise InputError("The text has no word in it", "Write what the portrait is to say")
    return words


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("LATIN", "FEMININE", "MASCULINE", "MICRO"))  # also ª º µ


def _run_engine(words: str, voice: Voice) -> tuple[np.ndarray, int]:
    """Runs the voice's engine: sound (n,) float32 and its rate."""
    with tempfile.TemporaryDirectory(prefix="voice-") as folder:
        path = Path(folder) / "speech.wav"
        program = [sys.executable, "-P", "-m", _MODULES[voice.engine], *voice.options, "-o", str(path)]
        program += ["--", words]
        try:
            settings = os.environ | _NO_TELEMETRY
            subprocess.run(program, capture_output=True, check=True, timeout=TIME_LIMIT, env=settings)
            sound, rate = soundfile.read(path, dtype="float32")
        except (subprocess.SubprocessError, soundfile.SoundFileError) as error:
            remedy = "Write numbers and symbols out in words, or choose another voice"
            raise InputError("The voice stumbles over this text", remedy) from error
    return resample(sound, round(rate * voice.depth), rate), rate


def _too_long_error(max_seconds: float) -> InputError:
    return InputError(f"The text takes longer than {max_seconds:g} s to say", "Shorten it")
