"""Makes the recordings of examples/: `python tools/make_recordings.py SOUNDS`.

SOUNDS holds Debian's packages asterisk-core-sounds-en-g722 and asterisk-core-sounds-it-g722. Fetch each by
`apt-get download NAME`, unpack it by `dpkg-deb -x NAME*.deb SOUNDS`. The program flite speaks the other ones.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import soundfile

from atldiff.config import SAMPLE_RATE

EXAMPLES = Path(__file__).parents[1] / "examples"
ALLISON, CARLO = "usr/share/asterisk/sounds/en_US_f_Allison", "usr/share/asterisk/sounds/it_IT_m_Carlo"
PROMPTS = {
    "hello_world.flac": (ALLISON, ["hello-world", "tt-weasels"]),
    "busy_line.flac": (ALLISON, ["queue-periodic-announce", "queue-thankyou"]),
    "italiano.flac": (CARLO, ["demo-thanks"]),
}
SYNTHESISED = {
    "bilabials.flac": ("rms", ["My puppy bumped the blue baby buggy, but mama moved by."]),
    "pause.flac": ("slt", ["One moment, please.", "Thank you. I have found it, and it opens on Monday."]),
}


def read(path: Path) -> np.ndarray:
    """Reads a file's sound: (n,) float at 16 kHz."""
    with av.open(str(path)) as container:
        parts = [f.to_ndarray().reshape(-1) for f in container.decode(audio=0)]
        assert container.streams.audio[0].rate == SAMPLE_RATE, path
    sound = np.concatenate(parts)
    return sound / 32768.0 if sound.dtype == np.int16 else sound


def speak(voice: str, sentence: str) -> np.ndarray:
    """Speaks a sentence in one of flite's voices: (n,) float at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", sentence, "-o", str(path)], check=True)
        return read(path)


def join(parts: list[np.ndarray], pause: float) -> np.ndarray:
    """Joins parts with `pause` seconds of silence, and 0.15 s at both ends: (n,) float32, peak 0.8."""
    gap, edge = np.zeros(round(pause * SAMPLE_RATE)), np.zeros(round(0.15 * SAMPLE_RATE))
    spaced = [piece for part in parts for piece in (gap, part)][1:]
    sound = np.concatenate([edge, *spaced, edge])
    return (0.8 * sound / np.abs(sound).max()).astype(np.float32)


def main() -> None:
    """Writes all recordings of the tables above beside this file."""
    sounds = Path(sys.argv[1])
    for name, (folder, prompts) in PROMPTS.items():
        parts = [read(sounds / folder / f"{prompt}.g722") for prompt in prompts]
        soundfile.write(EXAMPLES / name, join(parts, pause=0.25), SAMPLE_RATE, subtype="PCM_16")
    for name, (voice, sentences) in SYNTHESISED.items():
        parts = [speak(voice, sentence) for sentence in sentences]
        soundfile.write(EXAMPLES / name, join(parts, pause=1.2), SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
