import weakref
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.media.speech import Speech
from atldiff.media.video_reader import open_video, read_clip
from atldiff.media.video_writer import MARK, encode_video, write_video

CLICKS = (0.25, 0.5, 0.9)  # seconds


def smooth_frames(number: int = 30, height: int = 64, width: int = 96, channels: int = 3):
    """A colourful slope that drifts, and a grey level that counts the frames in its corner."""
    y, x = np.mgrid[:height, :width]
    for index in range(number):
        slope = np.stack([40 + x + index, 200 - y, 90 + y + x / 2, 255.0 * (x > width / 2)], axis=-1)
        slope[:16, :16, :3] = 20 + 7 * (index % 30)
        yield np.clip(slope[..., :channels], 0, 255).astype(np.uint8)


def clicking(rate: int = 44100, seconds: float = 1.0, channels: int = 1) -> Speech:
    sound = np.random.default_rng(0).normal(0, 1e-4, (round(rate * seconds), channels))
    for click in CLICKS:
        sound[round(click * rate) : round(click * rate) + 1] = 0.8
    return Speech.from_samples(sound.astype(np.float32), rate)


def counted(frames: np.ndarray) -> list[int]:
    """Which frame each decoded frame is, read from its corner."""
    return [round((frame[4:12, 4:12].mean() - 20) / 7) for frame in frames]


@pytest.mark.parametrize("rate", [8000, 16000, 37800, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_and_picture_start_together_and_nothing_is_cut(tmp_path, rate, channels):
    speech = clicking(rate, channels=channels)
    clip = read_clip(write_video(tmp_path / "a.mp4", smooth_frames(), speech))
    assert counted(clip.frames) == list(range(30))
    assert clip.fps == 30
    assert clip.speech.sound.shape[1] == channels
    assert len(clip.speech.sound) / clip.speech.sound_rate == pytest.approx(1, abs=0.001)
    for click in CLICKS:
        near = slice(
            round((click - 0.05) * clip.speech.sound_rate), round((click + 0.05) * clip.speech.sound_rate)
        )
        found = near.start + np.abs(clip.speech.sound[near, 0]).argmax()
        assert abs(found / clip.speech.sound_rate - click) < 0.001


@pytest.mark.parametrize("seconds", [0.73, 1.4, 3.3])
def test_sound_shorter_or_longer_than_the_pictures_is_whole(tmp_path, seconds):
    clip = read_clip(write_video(tmp_path / "a.mp4", smooth_frames(), clicking(seconds=seconds)))
    assert len(clip.frames) == 30
    assert clip.speech.seconds == pytest.approx(seconds, abs=0.001)


def test_colours_survive(tmp_path):
    frames = np.stack(list(smooth_frames(5)))
    error = read_clip(write_video(tmp_path / "a.mp4", frames, None)).frames.astype(float) - frames
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.6
    assert np.sqrt((error**2).mean()) < 3


@pytest.mark.parametrize(("height", "width"), [(63, 97), (64, 97), (63, 96), (2, 2), (17, 1)])
def test_odd_sizes_grow_by_a_repeated_pixel(tmp_path, height, width):
    frames = [np.full((height, width, 3), 100, np.uint8)] * 3
    clip = read_clip(write_video(tmp_path / "a.mp4", frames, None))
    assert clip.frames.shape == (3, height + height % 2, width + width % 2, 3)
    assert np.abs(clip.frames.astype(int) - 100).max() <= 2


def test_what_players_and_browsers_need(tmp_path):
    tags = {"title": "Hello", "seed": 7}
    path = write_video(tmp_path / "a.mp4", smooth_frames(), clicking(), metadata=tags)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.pix_fmt, audio.codec_context.name) == (
            "h264",
            "yuv420p",
            "aac",
        )
        codec = video.codec_context
        assert (codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range) == (1, 1, 1, 1)
        assert video.start_time == audio.start_time == 0
        assert video.average_rate == 30
        assert video.frames == 30
        assert {key: container.metadata[key] for key in tags} == {"title": "Hello", "seed": "7"}


def tags_of(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {key.lower(): value for key, value in container.metadata.items()}


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".mov"])
def test_every_video_says_that_it_is_generated(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    for tags in (None, MARK, {"title": "Hello"}):
        write_video(path, smooth_frames(2), None, metadata=tags)
        assert tags_of(path).items() >= (MARK | (tags or {})).items()
    for _ in encode_video(path, smooth_frames(2), None, metadata={"Comment": "Take two."}):
        pass
    assert tags_of(path)["comment"] == f"{MARK['comment']} Take two."
    assert tags_of(path)["description"] == MARK["description"]


@pytest.mark.parametrize("fps", [29.97, 30000 / 1001, 23.976, 24000 / 1001, Fraction(60000, 1001), 12.5, 30])
@pytest.mark.parametrize("ending", [".mp4", ".webm", ".mov"])
def test_a_clip_is_written_at_the_rate_it_was_read_at(tmp_path, fps, ending):
    first = read_clip(write_video(tmp_path / f"a{ending}", smooth_frames(12), clicking(), fps=fps))
    second = read_clip(write_video(tmp_path / f"b{ending}", first.frames, first.speech, fps=first.fps))
    assert first.fps == pytest.approx(float(fps), rel=1e-3 if ending == ".webm" else 1e-6)
    assert second.fps == pytest.approx(first.fps, rel=1e-3 if ending == ".webm" else 1e-6)
    assert counted(second.frames) == list(range(12))


@pytest.mark.parametrize("fps", [0, -25, float("nan"), float("inf"), 1e-9, 1e9])
def test_a_rate_that_no_video_has(tmp_path, fps):
    with pytest.raises(InputError, match="frames a second"):
        write_video(tmp_path / "a.mp4", smooth_frames(2), None, fps=fps)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["A.MP4", "a.WebM", "a.Mov", "n" * 251 + ".mp4", "ü" * 125 + ".webm", "日本語.mp4"]
)
def test_names_that_a_file_may_have(tmp_path, name):
    path = write_video(tmp_path / name, smooth_frames(2), None)
    beside = {path.with_suffix(".c2pa")} if path.suffix.lower() == ".webm" else set()
    assert {path} | beside == set(tmp_path.iterdir()) and len(read_clip(path).frames) == 2


@pytest.mark.parametrize("name", ["n" * 252 + ".mp4", "日" * 84 + ".mp4"])
def test_a_name_that_is_too_long(tmp_path, name):
    frames = smooth_frames(2)
    with pytest.raises(InputError, match="too long"):
        write_video(tmp_path / name, frames, None)
    assert len(list(frames)) == 2 and list(tmp_path.iterdir()) == []


def without_credentials(path: Path) -> bytes:
    """An .mp4's bytes but for those of its box of credentials."""
    content = path.read_bytes()
    begin = content.index(b"uuid\xd8\xfe\xc3\xd6") - 4
    return content[:begin] + content[begin + int.from_bytes(content[begin : begin + 4], "big") :]


def test_the_same_frames_give_the_same_bytes(tmp_path):
    paths = [write_video(tmp_path / name, smooth_frames(), clicking()) for name in ("a.mp4", "b.mp4")]
    first, second = map(without_credentials, paths)  # a signature has a time and chance in it
    assert first == second


def test_frames_are_encoded_as_they_come(tmp_path):
    """Half of a long video is made while no more than a few frames are alive."""
    alive: list[None] = []
    most = 0

    def frames():
        nonlocal most
        for frame in smooth_frames(120):
            watched = frame.copy()  # owns its pixels: the encoder's slices keep it alive and count once
            weakref.finalize(watched, alive.pop)
            alive.append(None)
            most = max(most, len(alive))
            yield watched

    write_video(tmp_path / "a.mp4", frames(), clicking(seconds=4))
    assert most < 40


@pytest.mark.parametrize("ending", [".webm", ".mov"])
def test_transparency_is_kept(tmp_path, ending):
    frames = list(smooth_frames(10, channels=4))
    path = write_video(tmp_path / f"a{ending}", frames, clicking(16000))
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        # FFmpeg's own VP9 decoder drops the alpha that browsers show; libvpx's keeps it.
        decoder = av.CodecContext.create("libvpx-vp9", "r") if ending == ".webm" else video.codec_context
        decoded = [frame for packet in container.demux(video) for frame in decoder.decode(packet)]
    assert len(decoded) == 10
    for frame, expected in zip(decoded, frames, strict=True):
        got = frame.reformat(format="rgba").to_ndarray().astype(int)
        assert np.abs(got[..., 3] - expected[..., 3])[:, [10, 85]].max() < 8
        assert np.abs(got[..., :3] - expected[..., :3])[20:, 60:].mean() < 4
    clip = read_clip(path)
    assert len(clip.frames) == 10
    assert clip.speech.seconds == pytest.approx(1, abs=0.03)


def stubborn_frames():
    yield from smooth_frames(5)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "frames", "error"),
    [
        ("a.mp4", stubborn_frames, KeyboardInterrupt),
        ("a.webm", stubborn_frames, KeyboardInterrupt),
        ("a.mp4", list, InputError),
        ("a.avi", smooth_frames, InputError),
        ("a", smooth_frames, InputError),
        ("a.mp4", lambda: smooth_frames(channels=4), InputError),
        ("no/such/folder/a.mp4", smooth_frames, InputError),
        ("taken.mp4", smooth_frames, InputError),
        ("file/a.mp4", smooth_frames, InputError),
    ],
)
def test_a_failed_video_leaves_nothing(tmp_path, name, frames, error):
    (tmp_path / "taken.mp4").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error):
        write_video(tmp_path / name, frames(), clicking())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failed_video_leaves_the_old_one(tmp_path):
    path = write_video(tmp_path / "a.mp4", smooth_frames(), None)
    old = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_video(path, stubborn_frames(), None)
    assert path.read_bytes() == old


def test_no_frame_is_made_for_a_path_that_cannot_be_written(tmp_path):
    made = count()
    with pytest.raises(InputError, match="does not exist"):
        write_video(tmp_path / "no" / "a.mp4", (next(made) for _ in smooth_frames()), None)
    assert next(made) == 0


def test_a_clip_can_be_read_in_part(tmp_path):
    path = write_video(tmp_path / "a.mp4", smooth_frames(), clicking())
    clip = read_clip(path, max_frames=12)
    assert counted(clip.frames) == list(range(12))
    assert clip.speech.seconds == pytest.approx(0.4, abs=0.001)
    assert len(read_clip(path, max_frames=99).frames) == 30


def timed_video(path: Path, times: tuple[int, ...]) -> Path:
    """A video whose frame i is shown at times[i] milliseconds, with a click at 500 milliseconds."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"bf": "0"})
        video.width, video.height, video.codec_context.time_base = 96, 64, Fraction(1, 1000)
        audio = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for time, frame in zip(times, smooth_frames(len(times)), strict=True):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        sound = np.zeros((1, 16000), np.int16)
        sound[0, 8000] = 20000
        block = av.AudioFrame.from_ndarray(sound, "s16", "mono")
        block.sample_rate, block.pts = 16000, 0
        container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return path


def test_a_held_frame_is_repeated(tmp_path):
    times = (0, 100, 200, 500, 600)
    clip = read_clip(timed_video(tmp_path / "a.mkv", times))
    places = [round(time * clip.fps / 1000) for time in times]
    expected = [max(i for i, place in enumerate(places) if place <= n) for n in range(len(clip.frames))]
    assert len(expected) == places[-1] + 1
    assert counted(clip.frames) == expected


def test_sound_is_put_on_the_pictures_clock(tmp_path):
    clip = read_clip(timed_video(tmp_path / "a.mkv", (200, 300, 400, 500, 600)))
    click = np.abs(clip.speech.sound[:, 0]).argmax() / clip.speech.sound_rate
    assert click == pytest.approx(0.5 - 0.2, abs=0.001)


def test_a_video_without_sound(tmp_path):
    assert read_clip(write_video(tmp_path / "mute.mp4", smooth_frames(), None)).speech is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "does not exist"), (b"", "0 bytes"), (b"text" * 99, "broken or not a video")],
)
def test_files_that_are_no_video(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_clip(tmp_path / "a.mp4")


def test_a_recording_is_no_video(speech_path):
    with pytest.raises(InputError, match="no pictures"):
        read_clip(speech_path)


def test_frames_that_are_read_one_by_one_are_those_that_are_read_at_once(tmp_path):
    path = timed_video(tmp_path / "a.mkv", (200, 300, 400, 500, 600))
    with open_video(path) as video:
        frames = np.stack(list(video.frames))
        assert video.begin == pytest.approx(0.2)
    assert (frames == read_clip(path).frames).all() and video.fps == read_clip(path).fps
