"""Text to speech: what is said is speech that lips follow, and what cannot be said is told in a sentence."""

import subprocess
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from media import tiny_voice

from atldiff.errors import InputError
from atldiff.media import synthesis, voice_model
from atldiff.media.speech import Speech, load_speech, voice_activity
from atldiff.media.synthesis import VOICES, Voice, installed_voices, must_be_fetched, synthesise, write_sound

ROBOT = "british"  # speaks at once
FETCHED = [voice.name for voice in VOICES if voice.engine == "supertonic"]  # nothing is fetched here
NAMES = [voice.name for voice in VOICES if voice.name not in FETCHED]
HELLO = "Hello, 42 people! Papa."


def sayable(name: str) -> str:
    """The voice's name, where its engine is installed (py-nanotts has no wheel for macOS)."""
    if name not in {voice.name for voice in installed_voices()}:
        pytest.skip(f"the engine of {name} is not installed")
    return name


@pytest.fixture
def folder(monkeypatch, tmp_path) -> Path:
    """The place of the natural voices' model, which is not there yet."""
    monkeypatch.setenv("SUPERTONIC_CACHE_DIR", str(tmp_path / "cache" / "model"))
    return tmp_path / "cache" / "model"


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    """name -> HELLO in that voice, and what it left in the home folder; an engine starts once a voice."""

    @cache
    def say(name: str) -> tuple[Speech, list[Path]]:
        home = tmp_path_factory.mktemp("home")
        with pytest.MonkeyPatch.context() as patch:
            for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "ORT_DISABLE_TELEMETRY"):
                patch.delenv(variable, raising=False)
            patch.setenv("HOME", str(home))
            return synthesise(HELLO, sayable(name)), list(home.iterdir())

    return say


@pytest.mark.parametrize("name", NAMES)
def test_every_voice_speaks_at_a_good_level_between_silences(hello, name):
    speech, _ = hello(name)
    assert 1.0 < speech.seconds < 6.0 and speech.sound.shape[1] == 1
    assert np.abs(speech.sound).max() == pytest.approx(synthesis.PEAK, abs=1e-3)
    assert (np.abs(speech.sound) > 0.99 * synthesis.PEAK).mean() < 0.001  # its tops are not cut off
    active = voice_activity(speech)
    assert active.max() > 0.9 and active[0] < 0.3 and active[-1] < 0.3


def test_the_same_words_sound_the_same_and_other_words_do_not(hello):
    first = hello("english")[0].sound
    again, other = (synthesise(text).sound for text in (HELLO.replace(" ", "  ") + "\n", "Good night."))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or np.abs(first - other).max() > 0.1


def test_the_deeper_voice_is_lower(hello):
    def pitch(name: str) -> float:
        """The median over loud stretches of how often a second the sound repeats, 60 to 400 times."""
        stretches = np.lib.stride_tricks.sliding_window_view(hello(name)[0].samples, 2048)[::512]
        power = np.square(stretches).mean(1)
        spectra = np.fft.rfft(stretches[power > 0.1 * power.max()], 4096)
        likeness = np.fft.irfft(np.square(np.abs(spectra)))[:, 16_000 // 400 : 16_000 // 60]
        return float(np.median(16_000 / (likeness.argmax(1) + 16_000 // 400)))

    assert pitch("english-deep") < 0.95 * pitch("english")


def test_a_longer_text_takes_longer_and_what_was_written_is_read_back(tmp_path):
    sayable(ROBOT)
    short, long = synthesise("One.", ROBOT), synthesise("One, two, three, four, five, six.", ROBOT)
    assert long.seconds > 1.5 * short.seconds
    read = load_speech(write_sound(tmp_path / "speech.wav", long))
    np.testing.assert_allclose(read.sound, long.sound, atol=2**-15)
    assert read.sound_rate == long.sound_rate and read.num_frames == long.num_frames


@pytest.mark.parametrize(
    ("text", "word"),
    [("", "no text"), (" \n\t ", "no text"), (None, "no text"), ("😀 …!", "no word"), ("Привет", "'П'"),
     ("今日は", "'今'"), ("a" * 1201, "1201 characters"), ("word " * 230, "longer than 60 s"),
     ("\x00", "no word")],
    ids=lambda value: repr(value)[:12],
)  # fmt: skip
def test_what_cannot_be_said_is_told(text, word):
    with pytest.raises(InputError, match=word) as told:
        synthesise(text)
    assert told.value.remedy


def test_an_unknown_voice_is_told_which_there_are():
    with pytest.raises(InputError, match="english-deep"):
        synthesise("Hello", "Elvis")


def test_a_voice_whose_engine_is_missing_is_told_how_to_install_it(monkeypatch):
    missing = Voice("ghost", "Ghost", "en-US", "no_such_engine", ())
    monkeypatch.setattr(synthesis, "VOICES", (missing,))
    monkeypatch.setitem(synthesis._PACKAGES, "no_such_engine", "no-such-engine")
    assert installed_voices() == ()
    with pytest.raises(InputError, match="pip install no-such-engine"):
        synthesise("Hello", "ghost")


@pytest.mark.parametrize("text", ["9" * 100, "1" * 1200])
def test_an_engine_that_fails_on_a_text_is_told(text):
    with pytest.raises(InputError, match="stumbles|longer"):
        synthesise(text)


@pytest.mark.parametrize("deed", ["import os; os.abort()", "import time; time.sleep(60)", "pass"])
def test_an_engine_that_crashes_hangs_or_is_silent_ends_alone(monkeypatch, tmp_path, deed):
    (tmp_path / "engine_of_this_test.py").write_text(deed)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(synthesis._PROGRAMS, "hibari", ("-m", "engine_of_this_test"))
    monkeypatch.setattr(synthesis, "TIME_LIMIT", 2.0)
    begin = time.monotonic()
    with pytest.raises(InputError, match="stumbles"):
        synthesise("Hello")
    assert time.monotonic() - begin < 30


def test_a_text_is_words_and_never_an_option_or_a_command(monkeypatch, tmp_path):
    """Pico plays files of the machine that its markup names."""
    soundfile.write(tmp_path / "secret.wav", np.full(16_000 * 20, 0.5), 16_000)
    said = synthesise(f"<play file='{tmp_path}/secret.wav'/> Hello", sayable("british"))
    assert np.abs(said.sound[:, 0]).mean() < 0.3
    assert synthesise("--help me", sayable("british")).seconds > 0.5
    assert synthesis._clean_text("a <b>\x07 c") == "a b c"


@pytest.mark.parametrize("name", NAMES)
def test_a_voice_leaves_nothing_in_the_home_folder(hello, name):
    """Onnx Runtime would note there whom it reported about."""
    assert not hello(name)[1]


def test_natural_voices_stand_beside_robots_that_need_no_model():
    labels = {voice.name: voice.label for voice in VOICES}
    natural = {name: labels[name] for name in FETCHED}
    assert labels["deutsch"] == "Deutsch, robot" and natural["deutsch-natural"] == "Deutsch, natural"
    assert set(natural.values()) == {
        f"{each}, natural"
        for each in ("Deutsch", "Español", "Français", "Italiano", "Nederlands", "Polski", "Português")
    }
    assert VOICES[0].name == "english" and len(labels) == len(VOICES)


def test_the_languages_and_the_letters_of_the_natural_voices_are_read(monkeypatch):
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    monkeypatch.delenv("SUPERTONIC_CACHE_DIR", raising=False)
    sayable(FETCHED[0])
    from supertonic.config import AVAILABLE_LANGUAGES, DEFAULT_MODEL, get_model_cache_dir

    assert {voice.language for voice in VOICES if voice.name in FETCHED} <= set(AVAILABLE_LANGUAGES)
    assert voice_model.model_folder() == get_model_cache_dir(DEFAULT_MODEL)
    for words in ("Zażółć gęślą jaźń, ĄĘŁ!", "Não, açúcar à mão.", "Eén ĳs, coördinatie."):
        assert synthesis._clean_text(words) == words


def test_without_the_hub_a_natural_voice_is_told_and_nothing_is_left(monkeypatch, folder):
    """By the package itself, which is told not to look for the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert must_be_fetched(sayable("polski-natural"))
    with pytest.raises(InputError, match="polski-natural could not be fetched.*internet.*another voice"):
        synthesise("Dzień dobry.", "polski-natural")
    assert not list(folder.parent.iterdir())


def test_a_model_in_its_folder_speaks(monkeypatch, tmp_path, folder):
    """By the package itself, with networks that answer noise; the same text is the same noise."""
    tiny_voice.make_model(folder)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    assert not must_be_fetched(sayable("polski-natural"))
    speech = synthesise("--help: Zażółć gęślą jaźń!", "polski-natural")
    assert sorted(tmp_path.rglob("*")) == before
    edge = round(synthesis.EDGE * tiny_voice.RATE)
    assert speech.sound_rate == tiny_voice.RATE and not speech.sound[:edge].any()
    noise = speech.sound[edge:-edge, 0]
    latents = np.random.RandomState(0).randn(tiny_voice.CHUNK, len(noise) // tiny_voice.CHUNK)
    expected = np.tanh(latents).ravel()
    np.testing.assert_allclose(noise, expected * synthesis.PEAK / np.abs(expected).max(), atol=1e-3)


def test_a_model_is_fetched_once_with_more_time_by_one_visitor_and_stored_whole(monkeypatch, folder):
    runs = []

    def engine(program, *, timeout, env, **_):
        """The package's commands, without their processes."""
        runs.append(("download" in program, timeout))
        if "download" in program:
            assert not folder.exists() and must_be_fetched(sayable("deutsch-natural"))
            with pytest.raises(InputError, match="on its way.*the voice deutsch"):
                synthesise("Hallo", "deutsch-natural")
            tiny_voice.make_model(Path(env["SUPERTONIC_CACHE_DIR"]))
        else:
            assert env["SUPERTONIC_CACHE_DIR"] == str(folder) and env["HF_HUB_OFFLINE"] == "1"
            soundfile.write(program[program.index("-o") + 1], np.full(4000, 0.1), 44_100)

    sayable("deutsch")
    monkeypatch.setattr(subprocess, "run", engine)
    for _ in range(2):
        assert synthesise("Guten Tag", sayable("deutsch-natural")).sound_rate == 44_100
    usual = (False, synthesis.TIME_LIMIT)
    assert runs == [(True, voice_model.FETCH_LIMIT), usual, usual]
    assert voice_model.FETCH_LIMIT > 10 * synthesis.TIME_LIMIT
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("end", ["hangs", "is stopped"])
def test_a_fetch_that_does_not_end_leaves_nothing(monkeypatch, folder, end):
    def engine(program, *, timeout, env, **_):
        tiny_voice.make_model(Path(env["SUPERTONIC_CACHE_DIR"]).with_name(".model.tmp"))
        raise subprocess.TimeoutExpired(program, timeout) if end == "hangs" else KeyboardInterrupt

    sayable("deutsch-natural")
    monkeypatch.setattr(subprocess, "run", engine)
    with pytest.raises(InputError if end == "hangs" else KeyboardInterrupt):
        synthesise("Guten Tag", "deutsch-natural")
    assert not list(folder.parent.iterdir())


def test_files_of_others_in_the_models_folder_stay(monkeypatch, folder):
    folder.mkdir(parents=True)
    (folder / "thesis.txt").touch()
    monkeypatch.setattr(voice_model, "_download", tiny_voice.make_model)
    with pytest.raises(InputError, match="could not be stored.*SUPERTONIC_CACHE_DIR"):
        synthesise("Guten Tag", sayable("deutsch-natural"))
    assert list(folder.parent.iterdir()) == [folder] and (folder / "thesis.txt").exists()


def test_a_text_that_cannot_be_said_fetches_nothing(folder):
    with pytest.raises(InputError, match="no text"):
        synthesise(" ", sayable("deutsch-natural"))
    assert not folder.parent.exists()
