"""When somebody speaks in a recording."""

import numpy as np

from atldiff.media.speech import Speech, load_speech, voice_activity


def spoken(speech: Speech) -> np.ndarray:
    return voice_activity(speech) > 0.5


def test_voice_activity_follows_the_words():
    rng = np.random.default_rng(0)
    voice = np.repeat([0, 1, 0, 1, 0], [8000, 16000, 16000, 8000, 8000]) * rng.normal(0, 0.1, 56000)
    speech = Speech.from_samples(voice + rng.normal(0, 1e-4, 56000))
    activity = voice_activity(speech)
    assert activity.shape == (speech.num_frames,) == (105,)
    assert activity.dtype == np.float32
    assert activity.min() >= 0
    assert activity.max() <= 1
    expected = np.repeat([0, 1, 0, 1, 0], [15, 30, 30, 15, 15]).astype(bool)
    assert (spoken(speech) == expected).mean() > 0.95
    assert np.abs(np.diff(activity)).max() < 0.5  # no frame in which the lips would snap


def test_a_frame_is_heard_at_the_moment_it_shows():
    """Frame f shows f / 30 s: a burst that is symmetric about frame 30 raises equal neighbours equally."""
    rng = np.random.default_rng(0)
    voice = np.zeros(32_000)
    voice[16_000 - 4_000 : 16_000 + 4_000] = 0.1 * np.sign(rng.normal(size=8_000))
    activity = voice_activity(Speech.from_samples(voice))
    np.testing.assert_allclose(activity[30 - 12 : 30], activity[30 + 12 : 30 : -1], atol=0.05)
    assert activity[30] == activity.max()


def test_voice_activity_adapts_to_noise_and_level(speech_path):
    clean = load_speech(speech_path)
    sound = clean.sound[:, 0]
    noise = np.random.default_rng(0).normal(0, sound.std() * 10 ** (-20 / 20), len(sound))
    noisy = Speech.from_samples(sound + noise, clean.sound_rate)
    assert (spoken(noisy) == spoken(clean)).mean() > 0.85
    quiet = Speech.from_samples(0.05 * (sound + noise), clean.sound_rate)
    assert (spoken(quiet) == spoken(noisy)).all()


def test_short_stops_inside_a_word_stay_speech():
    rng = np.random.default_rng(0)
    word = np.repeat([0, 1, 0, 1, 0], [16000, 4000, 1600, 4000, 16000]) * rng.normal(0, 0.1, 41600)
    inside = voice_activity(Speech.from_samples(word + rng.normal(0, 1e-4, 41600)))[33:45]
    assert inside.min() > 0.5
