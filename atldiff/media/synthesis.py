"""Typed text -> Speech, by small engines. The natural voices beside English fetch their model once.

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
from atldiff.media.voice_model import FOLDER, SETTINGS, fetch_model, has_model, model_folder

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


def _natural(name: str, label: str, language: str) -> Voice:
    options = ("tts", "--voice", "F1", "--lang", language)
    return Voice(f"{name}-natural", f"{label}, natural", language, "supertonic", options)


# hibari is distilled from Kokoro-82M; py_nanotts is SVOX Pico of 2009. Both are under Apache-2.0.
# supertonic is under MIT, its model under BigScience Open RAIL-M.
_HEART = ("--voice", "heart", "--seed", "0")
VOICES = (
    Voice("english", "English", "en-US", "hibari", _HEART),
    Voice("english-deep", "English, deeper", "en-US", "hibari", (*_HEART, "--speed", "1.2"), depth=0.84),
    _pico("english-robot", "English", "en-US"),
    _pico("british", "English (GB)", "en-GB"),
    _pico("deutsch", "Deutsch", "de-DE"),
    _natural("deutsch", "Deutsch", "de"),
    _pico("espanol", "Español", "es-ES"),
    _natural("espanol", "Español", "es"),
    _pico("francais", "Français", "fr-FR"),
    _natural("francais", "Français", "fr"),
    _pico("italiano", "Italiano", "it-IT"),
    _natural("italiano", "Italiano", "it"),
    _natural("nederlands", "Nederlands", "nl"),
    _natural("polski", "Polski", "pl"),
    _natural("portugues", "Português", "pt"),
)
# supertonic begins each sound with noise, and has no option for its seed.
_SEEDED = "import numpy, runpy; numpy.random.seed(0); runpy.run_module('supertonic.cli', run_name='__main__')"
_PROGRAMS = {
    "hibari": ("-m", "hibari.cli"),
    "py_nanotts": ("-m", "py_nanotts"),
    "supertonic": ("-c", _SEEDED),
}
_PACKAGES = {"hibari": "hibari-tts", "py_nanotts": "py-nanotts", "supertonic": "supertonic"}


def installed_voices() -> tuple[Voice, ...]:
    """Lists the voices with an installed engine; imports no engine."""
    return tuple(voice for voice in VOICES if find_spec(voice.engine))


def must_be_fetched(voice: str) -> bool:
    """Whether a voice's next text waits for its model, which takes minutes; see `fetch_model`."""
    engines = {each.name: each.engine for each in installed_voices()}
    return engines.get(voice) == "supertonic" and not has_model()


def synthesise(text: str, voice: str = "english", max_seconds: float = MAX_SECONDS) -> Speech:
    """Speaks a text with a computer's voice; the same text and voice give the same sound.

    Args:
        text: at most 1200 characters, in Latin letters.
        voice: name of one of `VOICES`.
        max_seconds: the longest speech accepted.

    Returns:
        Speech with a mono sound of 16 kHz (py_nanotts), 24 kHz (hibari) or 44.1 kHz (supertonic), peak 0.8.

    Raises:
        InputError: the voice is unknown or not installed, or its model cannot be fetched; the text is empty,
            too long or unspeakable.
    """
    speaker = next((v for v in VOICES if v.name == voice), None)
    if speaker is None:
        raise InputError(f"There is no voice {voice}", f"Choose one of {', '.join(v.name for v in VOICES)}")
    if not find_spec(speaker.engine):
        remedy = f"Install it: pip install {_PACKAGES[speaker.engine]}"
        raise InputError(f"The voice {voice} is not installed", remedy)
    words = _clean_text(text)
    if must_be_fetched(voice):
        fetch_model(voice, f"choose {_name_another(speaker)}")
    sound, rate = _run_engine(words, speaker)
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


def _name_another(voice: Voice) -> str:
    """Names a voice of the same language that lies in its package, if one is installed."""
    robot = voice.name.removesuffix("-natural")
    installed = {each.name for each in installed_voices()}
    return f"the voice {robot}" if robot in installed else "another voice"


def _run_engine(words: str, voice: Voice) -> tuple[np.ndarray, int]:
    """Runs the voice's engine: sound (n,) float32 and its rate."""
    with tempfile.TemporaryDirectory(prefix="voice-") as folder:
        path = Path(folder) / "speech.wav"
        program = [sys.executable, "-P", *_PROGRAMS[voice.engine], *voice.options, "-o", str(path)]
        program += ["--", words]
        try:
            settings = os.environ | SETTINGS | {FOLDER: str(model_folder()), "HF_HUB_OFFLINE": "1"}
            subprocess.run(program, capture_output=True, check=True, timeout=TIME_LIMIT, env=settings)
            sound, rate = soundfile.read(path, dtype="float32")
        except (subprocess.SubprocessError, soundfile.SoundFileError) as error:
            remedy = "Write numbers and symbols out in words, or choose another voice"
            raise InputError("The voice stumbles over this text", remedy) from error
    return resample(sound, round(rate * voice.depth), rate), rate


def _too_long_error(max_seconds: float) -> InputError:
    return InputError(f"The text takes longer than {max_seconds:g} s to say", "Shorten it")
