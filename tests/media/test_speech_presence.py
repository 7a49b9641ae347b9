"""Speech glides in pitch and changes its sound; what holds its notes, or has none, is no speech."""

import numpy as np
import pytest
import soundfile

from atldiff.config import SAMPLE_RATE
from atldiff.media.speech import Speech, load_speech
from atldiff.media.speech_presence import contains_speech

TIME = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE


def note(hertz: float, harmonics: int = 6) -> np.ndarray:
    return sum(np.sin(2 * np.pi * hertz * k * TIME) / k for k in range(1, harmonics + 1))


def noise(tilt: float = 0.0) -> np.ndarray:
    """Gaussian noise whose amplitude falls as frequency ** -tilt."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(len(TIME)))
    return np.fft.irfft(spectrum * np.maximum(np.fft.rfftfreq(len(TIME), 1 / SAMPLE_RATE), 30) ** -tilt)


def tune() -> np.ndarray:
    """Sixteen notes of a scale, each a quarter of a second long and dying away."""
    hertz = 220 * 2 ** (np.random.default_rng(0).choice([0, 2, 4, 5, 7, 9, 11, 12], 16) / 12)
    phase = 2 * np.pi * np.cumsum(np.repeat(hertz, SAMPLE_RATE // 4)) / SAMPLE_RATE
    return sum(np.sin(k * phase) / k for k in range(1, 7)) * np.exp(-(TIME % 0.25) / 0.2)


SOUNDS = {
    "white noise": noise(),
    "pink noise": noise(0.5),
    "rumble": noise(1.0),
    "noise that swells": noise() * (1.1 + np.sin(2 * np.pi * TIME)),
    "sine": note(440, 1),
    "chord": note(220) + note(277.2) + note(329.6),
    "chord that dies away": (note(220) + note(277.2) + note(329.6)) * np.exp(-TIME),
    "beeps": note(880, 1) * (TIME % 1 < 0.3),
    "hum": note(50, 20) + 0.1 * noise() / noise().std(),
    "tune": tune(),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_without_speech(name):
    sound = 0.1 * SOUNDS[name] / np.abs(SOUNDS[name]).max()
    rustle = 1e-4 * np.random.default_rng(1).standard_normal(len(sound))
    assert not contains_speech((sound + rustle).astype(np.float32))
    (warning,) = load_speech((SAMPLE_RATE, sound + rustle)).warnings
    assert "No speech is heard" in warning


@pytest.mark.parametrize("name", ["hello_world", "busy_line", "italiano", "bilabials", "pause"])
@pytest.mark.parametrize("decibels", [None, 10])
def test_recordings_of_speech(speech_path, name, decibels):
    sound, rate = soundfile.read(speech_path.with_name(f"{name}.flac"))
    if decibels is not None:
        sound = sound + np.random.default_rng(0).normal(0, sound.std() * 10 ** (-decibels / 20), len(sound))
    assert Speech.from_samples(sound, rate).warnings == ()


def test_the_level_does_not_matter(speech_path):
    samples = load_speech(speech_path).samples
    assert contains_speech(0.001 * samples) and contains_speech(samples)


def test_a_sound_too_short_to_tell_is_not_blamed():
    assert Speech.from_samples(np.full(1600, 0.1)).warnings == ()


def test_a_long_recording_is_judged_part_by_part(speech_path):
    samples = load_speech(speech_path).samples
    rustle = 1e-3 * np.random.default_rng(0).standard_normal(150 * SAMPLE_RATE).astype(np.float32)
    assert contains_speech(np.concatenate([rustle, samples, rustle]))
    assert not contains_speech(rustle)
    assert not contains_speech(np.tile(0.1 * tune().astype(np.float32), 8))
