import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import page
import pytest
import soundfile

from atldiff.errors import InputError
from atldiff.media import decoding as room
from atldiff.media.sound import SPEECH_LEVEL
from atldiff.media.speech import SAMPLE_RATE, Speech, load_speech, voice_activity

CLICK = 0.5  # seconds


def ticking(rate: int, seconds: float = 1.0, channels: int = 1) -> np.ndarray:
    """A click at 0.5 s on faint noise, (n, channels)."""
    sound = np.random.default_rng(0).normal(0, 1e-3, (round(rate * seconds), channels))
    sound[round(CLICK * rate)] = 0.9
    return sound.astype(np.float32)


def encode(
    path,
    sound: np.ndarray,
    rate: int,
    codec: str,
    starts: float = 0.0,
    pictures: bool = False,
    options: dict[str, str] | None = None,
) -> None:
    """Writes a sound track, and black pictures from 0 s, as some other program would."""
    layout = "mono" if sound.shape[1] == 1 else "stereo"
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if pictures:
            video = container.add_stream("mpeg4", rate=25)
            video.width = video.height = 32
            for index in range(25):
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
                frame.pts = index
                container.mux(video.encode(frame.reformat(format="yuv420p")))
            container.mux(video.encode(None))
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(starts * rate)
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def click_time(speech: Speech) -> float:
    return float(np.abs(speech.sound).max(axis=1).argmax() / speech.sound_rate)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.wav", "pcm_s16le", 44100),
        ("a.wav", "pcm_u8", 8000),
        ("a.wav", "pcm_f32le", 96000),
        ("a.mp3", "libmp3lame", 44100),
        ("a.m4a", "aac", 32000),
        ("a.flac", "flac", 22050),
        ("a.ogg", "libopus", 48000),
        ("a.opus", "libopus", 48000),
        ("a.webm", "libopus", 48000),
        ("a.mp4", "aac", 44100),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_keeps_time(tmp_path, name, codec, rate, channels):
    path = tmp_path / name
    encode(
        path, ticking(rate, channels=channels), rate, codec, pictures=name.endswith("4") and "m4a" not in name
    )
    speech = load_speech(path)
    assert speech.sound_rate == min(rate, 48000)
    assert speech.sound.dtype == speech.samples.dtype == np.float32
    assert speech.sound.shape[1] == channels
    assert abs(click_time(speech) - CLICK) < 0.001
    assert abs(speech.samples.argmax() / SAMPLE_RATE - CLICK) < 0.001
    assert abs(speech.seconds - 1) < 0.06  # lossy codecs fill their last block
    assert len(speech.sound) / speech.sound_rate == pytest.approx(speech.seconds, abs=0.001)


def test_a_name_says_nothing(tmp_path):
    soundfile.write(tmp_path / "a.flac", ticking(16000), 16000)
    misnamed = (tmp_path / "a.flac").rename(tmp_path / "odd: name%.mp3")
    assert abs(click_time(load_speech(str(misnamed))) - CLICK) < 0.001


def test_sound_of_a_video_stays_on_its_clock(tmp_path):
    encode(tmp_path / "late.mkv", ticking(16000), 16000, "flac", starts=0.4, pictures=True)
    assert click_time(load_speech(tmp_path / "late.mkv")) == pytest.approx(0.4 + CLICK, abs=0.001)
    # Without pictures there is no clock to keep: the recording begins with its first sample.
    encode(tmp_path / "late.mka", ticking(16000), 16000, "flac", starts=0.4)
    assert click_time(load_speech(tmp_path / "late.mka")) == pytest.approx(CLICK, abs=0.001)


class Tape:
    """Stands for a container in `_read_track`, which asks it for these alone."""

    class _Stream:
        rate, start_time, duration, channels, codec_context = 1000, 0, None, 1, object()

    class _Streams:
        video = ()

    def __init__(self) -> None:
        self.streams, self.format, self.duration = self._Streams(), type("Format", (), {"name": "tape"}), None
        self.streams.audio = (self._Stream(),)


def play(monkeypatch, *parts) -> np.ndarray:
    """`_read_track` of (seconds, number of samples) pieces; the k-th piece holds the value k + 1."""
    pieces = ((time, np.full((length, 1), k + 1.0)) for k, (time, length) in enumerate(parts))
    monkeypatch.setattr(room, "_decode_frames", lambda *_: pieces)
    sound, rate = room._read_track(Tape(), 0, 0.0, 600.0)
    assert rate == 1000
    return sound[:, 0]


def test_gaps_become_silence_and_jitter_does_not(monkeypatch):
    gap = play(monkeypatch, (0, 100), (0.3, 100))
    np.testing.assert_array_equal(gap, np.repeat([1, 0, 2], [100, 200, 100]))
    jitter = play(monkeypatch, (0, 100), (0.103, 100), (0.198, 100))
    np.testing.assert_array_equal(jitter, np.repeat([1, 2, 3], 100))
    overlap = play(monkeypatch, (0, 100), (0, 200))
    np.testing.assert_array_equal(overlap, np.repeat([1, 2], 100))
    before = play(monkeypatch, (-0.07, 50), (-0.02, 50))
    np.testing.assert_array_equal(before, np.repeat([2], 30))
    reset_clock = play(monkeypatch, (0, 100), (9000, 100))
    np.testing.assert_array_equal(reset_clock, np.repeat([1, 2], 100))


def test_a_long_file_is_not_read_to_its_end(monkeypatch):
    read = []

    def endless(*_):
        while True:
            read.append(len(read))
            yield read[-1] * 0.1, np.zeros((100, 1), np.float32)

    monkeypatch.setattr(room, "_decode_frames", endless)
    with pytest.raises(InputError, match="longer than 2 s"):
        room._read_track(Tape(), 0, None, 2)
    assert len(read) < 25


def test_integer_and_float_arrays_mean_the_same():
    sound = np.round(np.random.default_rng(0).uniform(-100, 100, 8000)).astype(np.int8)
    expected = load_speech((16000, sound.astype(np.float32) / 128)).sound
    same = [sound, sound.astype(np.int16) * 2**8, sound.astype(np.int32) * 2**24]
    unsigned = [
        (sound.astype(np.int16) + 128).astype(np.uint8),
        (sound.astype(np.int32) * 2**8 + 2**15).astype(np.uint16),
    ]
    for samples in same + unsigned:
        np.testing.assert_allclose(load_speech((16000, samples)).sound, expected, atol=1e-7)


@pytest.mark.parametrize("shape", [(8000, 1), (8000, 2), (2, 8000), (8000, 6)])
def test_array_shapes(shape):
    speech = load_speech((16000, np.random.default_rng(0).uniform(-0.5, 0.5, shape)))
    assert speech.samples.shape == (8000,)
    assert speech.sound.shape == (8000, 1 if shape == (8000, 6) else min(2, min(shape)))


def test_floats_beyond_one_are_scaled_not_clipped(tmp_path):
    sound = ticking(16000)[:, 0]
    np.testing.assert_allclose(load_speech((16000, 3 * sound)).sound.max(), 1)
    soundfile.write(tmp_path / "loud.wav", 3 * sound, 16000, subtype="FLOAT")
    np.testing.assert_allclose(load_speech(tmp_path / "loud.wav").sound[:, 0], sound / 0.9, atol=1e-6)


@pytest.mark.parametrize(("name", "codec"), [("a.aac", "aac"), ("a.mp3", "libmp3lame"), ("a.flac", "flac")])
def test_a_length_that_is_guessed_from_a_quiet_beginning_is_not_believed(tmp_path, name, codec):
    """Silence takes few bits a second: a length that is guessed from its packets is far too long."""
    sound = np.concatenate(
        [np.zeros((4 * 16000, 1)), np.random.default_rng(0).normal(0, 0.2, (4 * 16000, 1))]
    )
    encode(tmp_path / name, sound.astype(np.float32), 16000, codec, options={"write_xing": "0"})
    assert load_speech(tmp_path / name, max_seconds=8.5).seconds == pytest.approx(8, abs=0.2)
    with pytest.raises(InputError, match="longer than 7 s"):
        load_speech(tmp_path / name, max_seconds=7)


def tracks(path, *sounds: np.ndarray) -> None:
    """Writes several mono sound tracks of 16 kHz into one file."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("aac", rate=16000, layout="mono") for _ in sounds]
        for stream, sound in zip(streams, sounds, strict=True):
            frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), "fltp", "mono")
            frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), 0
            container.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_of_several_tracks_the_first_with_speech_is_taken(tmp_path, speech_path, name):
    voice = soundfile.read(speech_path, dtype="float32")[0][:32000]
    silence, tone = np.zeros(32000), 0.1 * np.sin(np.arange(32000) / 6)
    for sounds, wanted in (((silence, voice), voice), ((tone, voice), voice), ((voice, tone), voice)):
        tracks(tmp_path / name, *sounds)
        heard = load_speech(tmp_path / name).sound[:, 0]
        assert np.corrcoef(heard[:32000], wanted)[0, 1] > 0.95
    tracks(tmp_path / name, silence, tone)
    assert load_speech(tmp_path / name).sound.std() > 0.05


def test_a_track_of_an_unknown_codec_is_passed_over(tmp_path, speech_path):
    voice = soundfile.read(speech_path, dtype="float32")[0][:32000]
    tracks(tmp_path / "a.mp4", voice, voice)
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(content.replace(b"mp4a", b"apac", 1).replace(b"esds", b"free", 1))
    assert load_speech(tmp_path / "a.mp4").seconds == pytest.approx(2, abs=0.1)
    (tmp_path / "a.mp4").write_bytes(content.replace(b"mp4a", b"apac").replace(b"esds", b"free"))
    with pytest.raises(InputError, match="No sound can be read"):
        load_speech(tmp_path / "a.mp4")


def test_a_kind_that_ffmpeg_does_not_read(tmp_path):
    soundfile.write(tmp_path / "a.nist", ticking(16000), 16000, format="NIST")
    assert abs(click_time(load_speech(tmp_path / "a.nist")) - CLICK) < 0.001
    with pytest.raises(InputError, match="longer than 0.5 s"):
        load_speech(tmp_path / "a.nist", max_seconds=0.5)


GARBAGE = {
    "text": b"this is no recording\n" * 50,
    "short": b"hello",
    "photo": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 20,
    "header": b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"words " * 500,
    "sync": b"\xff\xfb\x90\x64" + b"words " * 500,
}


def test_garbage_gets_one_sentence_and_nothing_on_stderr(tmp_path):
    """Descriptor 2 itself is watched: C libraries write past Python's sys.stderr."""
    for ending in ("mp3", "ogg", "m4a", "wav", "flac", "aac", "raw"):
        for name, content in GARBAGE.items():
            (tmp_path / f"{name}.{ending}").write_bytes(content)
    code = (
        "import sys\nfrom pathlib import Path\nfrom atldiff.errors import InputError\n"
        "from atldiff.media.speech import load_speech\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        load_speech(path)\n"
        "    except InputError as error:\n        print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 7 * len(GARBAGE)


def test_networks_hear_the_same_whatever_the_level_and_offset(speech_path):
    quiet, rate = soundfile.read(speech_path)
    expected = load_speech(speech_path).samples
    for gain, offset in ((0.02, 0), (1, 0), (0.1, 0.05)):
        heard = load_speech((rate, gain * quiet + offset)).samples
        np.testing.assert_allclose(heard, expected, atol=2e-3)
    loud = expected[np.abs(expected) > SPEECH_LEVEL]
    assert len(loud) > 0.03 * len(expected)
    assert np.abs(expected).max() <= 1


def test_the_video_carries_the_recording_as_it_came(speech_path):
    sound, rate = soundfile.read(speech_path, dtype="float32")
    speech = load_speech(speech_path)
    assert speech.sound_rate == rate
    np.testing.assert_allclose(speech.sound[:, 0], sound, atol=1e-6)


def test_silence_at_the_ends_is_kept():
    sound = np.concatenate([np.zeros(8000), ticking(16000)[:, 0], np.zeros(4000)])
    speech = load_speech((16000, sound))
    assert len(speech.samples) == 28000
    assert click_time(speech) == pytest.approx(1.0, abs=0.001)


def test_opposite_channels_do_not_cancel():
    sound = ticking(16000)
    speech = load_speech((16000, np.hstack([sound, -0.9 * sound])))
    assert np.abs(speech.samples).max() > 0.5


@pytest.mark.parametrize(
    ("samples", "frames"), [(1600, 3), (16000, 30), (16267, 31), (16266, 30), (77777, 146)]
)
def test_frames_are_the_rounded_length(samples, frames):
    assert Speech.from_samples(np.zeros(samples)).num_frames == frames


def test_a_speech_passes_through(speech_path):
    speech = load_speech(speech_path)
    assert load_speech(speech) is speech
    with pytest.raises(InputError, match="longer than 2 s"):
        load_speech(speech, max_seconds=2)


def test_cuts_join_to_the_whole(speech_path):
    speech = load_speech(speech_path)
    parts = [speech.cut(a, b) for a, b in ((0, 1.1), (1.1, 3), (3, speech.seconds))]
    np.testing.assert_array_equal(np.concatenate([part.samples for part in parts]), speech.samples)
    np.testing.assert_array_equal(np.concatenate([part.sound for part in parts]), speech.sound)
    beyond = speech.cut(speech.seconds - 0.5, speech.seconds + 0.5)
    assert len(beyond.sound) == speech.sound_rate
    assert not speech.cut(100, 101).sound.any()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.wav", None, "does not exist"),
        ("empty.wav", b"", "0 bytes"),
        ("text.mp3", b"this is not a recording\n" * 50, "not a recording"),
        ("photo.wav", b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 20, "not a recording|No sound"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "not a recording"),
        ("broken.wav", b"RIFF\x24\x08\x00\x00WAVEfmt ", "not a recording|No sound|no sound"),
    ],
)
def test_files_that_are_no_recording(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        load_speech(tmp_path / name)


def test_a_real_photo_and_a_folder_are_no_recording(tmp_path, portrait_path):
    renamed = tmp_path / "photo.wav"
    renamed.write_bytes(portrait_path.read_bytes())
    with pytest.raises(InputError, match="not a recording"):
        load_speech(renamed)
    with pytest.raises(InputError, match="is a folder"):
        load_speech(tmp_path)
    with pytest.raises(InputError, match="not a recording"):
        load_speech(None)


def test_a_video_without_sound(tmp_path):
    with pytest.raises(InputError, match="no sound track"):
        load_speech(page.silent_film(tmp_path / "mute.mp4"))


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(tmp_path):
    encode(tmp_path / "whole.mp3", ticking(44100), 44100, "libmp3lame")
    content = (tmp_path / "whole.mp3").read_bytes()
    (tmp_path / "half.mp3").write_bytes(content[: int(0.7 * len(content))])
    speech = load_speech(tmp_path / "half.mp3")
    assert 0.6 < speech.seconds < 0.8
    assert abs(click_time(speech) - CLICK) < 0.001


@pytest.mark.parametrize(
    ("sound", "sentence"),
    [
        (np.zeros(0), "shorter than"),
        (np.ones(1000), "shorter than"),
        (np.zeros(16000), "silent"),
        (np.full(16000, 0.3), "silent"),
        (np.random.default_rng(0).normal(0, 2e-4, 16000), "silent"),
        (np.where(np.arange(16000) == 5000, np.nan, 0.1), "not numbers"),
        (np.where(np.arange(16000) == 5000, np.inf, 0.1), "not numbers"),
        (np.ones(16000 * 3), "longer than 2 s"),
        (np.zeros((4, 4, 4)), "not a recording"),
        (np.array(["a"]), "not a recording"),
    ],
)
def test_sound_that_cannot_be_used(sound, sentence):
    with pytest.raises(InputError, match=sentence):
        load_speech((16000, sound), max_seconds=2)


def test_a_float_file_with_nan(tmp_path):
    sound = ticking(16000)
    sound[300] = np.nan
    soundfile.write(tmp_path / "nan.wav", sound, 16000, subtype="FLOAT")
    with pytest.raises(InputError, match="not numbers"):
        load_speech(tmp_path / "nan.wav")


def test_noise_and_clicks_alone_are_not_speech():
    noise = np.random.default_rng(0).normal(0, 0.1, 48000)
    assert voice_activity(Speech.from_samples(noise)).max() <= 0.5
    assert voice_activity(Speech.from_samples(np.zeros(48000))).max() <= 0.5
    assert voice_activity(Speech.from_samples(ticking(16000, 3))).max() <= 0.5
