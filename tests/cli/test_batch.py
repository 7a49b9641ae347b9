"""Many jobs: which files make a pair, which name each video gets, and what is said of the others."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pi_heif
import pytest
import soundfile
from PIL import Image

from atldiff.cli.batch import kind_of, read_jobs
from atldiff.cli.jobs import Job
from atldiff.cli.parser import main
from atldiff.errors import InputError
from atldiff.media.speech import Speech
from atldiff.media.video_writer import write_video
from atldiff.options import DEFAULTS, Options

TONE = (0.3 * np.sin(np.arange(8000) / 5)).astype(np.float32)
SPEECH = Speech.from_samples(TONE)
MATTE = Options(background="matte")


def picture(path: Path, kind: str | None = None) -> Path:
    image = Image.new("RGB", (32, 32), (200, 100, 50))
    if path.suffix.lower() == ".heic":
        pi_heif.from_pillow(image)  # it only reads: the ending tells the kind of this JPEG
        kind = "JPEG"
    image.save(path, kind)
    return path


def sound(path: Path, container: str | None = None, codec: str | None = None) -> Path:
    """A recording: by soundfile, or by a container and codec of PyAV's."""
    if container is None:
        soundfile.write(path, TONE, 16_000, format="WAV")
        return path
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(TONE[None], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def film(path: Path) -> Path:
    """A video that this program makes, with its mark."""
    return write_video(path, [np.zeros((32, 32, 3), np.uint8)] * 3, SPEECH)


def foreign_film(path: Path) -> Path:
    """A video's file that another program makes."""
    return sound(path, "mp4", "aac")


def made(source: Path, out: Path, options: Options = DEFAULTS) -> list[tuple[str, str, str]]:
    """(photo, recording, video) of each job, by their names."""
    return [
        (job.photo.name, job.recording.name, job.output.name) for job in read_jobs(source, out, options).jobs
    ]


def table(folder: Path, text: str) -> Path:
    (folder / "jobs.csv").write_text(text)
    return folder / "jobs.csv"


def test_rows_and_pairs_never_share_a_video(tmp_path):
    rows = "photo,recording\na.jpg,b.wav\na.jpg,b.wav\nx/a.jpg,b.wav\nA.jpg,b.wav\n"
    names = [job.output.name for job in read_jobs(table(tmp_path, rows), tmp_path / "out").jobs]
    assert names == ["a-b.mp4", "a-b-2.mp4", "a-b-3.mp4", "A-b-4.mp4"]
    for path in (picture(tmp_path / "x.jpg"), picture(tmp_path / "x.png")):
        assert path.exists()
    sound(tmp_path / "x.wav")
    expected = [("x.jpg", "x.wav", "x.mp4"), ("x.png", "x.wav", "x-2.mp4")]
    assert made(tmp_path, tmp_path / "out") == expected == made(tmp_path, tmp_path / "out")


def test_automatic_names_keep_clear_of_named_ones_and_of_all_inputs(tmp_path):
    rows = "photo,recording,video\na.jpg,b.wav,\nc.jpg,d.wav,a-b.mp4\ne.jpg,a-b-2.mp4,\n"
    jobs = read_jobs(table(tmp_path, rows), tmp_path).jobs
    assert [job.output.name for job in jobs] == ["a-b-3.mp4", "a-b.mp4", "e-a-b-2.mp4"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a.jpg,b.wav,talk.mp4\nc.jpg,d.wav,Talk.mp4\n", "line 3: jobs.csv, line 2 has the video"),
        ("a.jpg,b.wav,talk\nc.jpg,d.wav,talk.mp4\n", "has the video talk.mp4, too"),
        ("a.jpg,b.wav,d.mp4\nc.jpg,d.mp4,x.mp4\n", "line 2: d.mp4 is also an input"),
    ],
)
def test_a_table_that_names_a_video_twice_or_an_input_is_refused(rows, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_jobs(table(tmp_path, f"photo,recording,video\n{rows}"), tmp_path)


def test_names_with_dots_are_names(tmp_path):
    rows = "photo,recording,video\nmr.smith.jpg,take1.2.wav,\na.jpg,b.wav,mr.smith\na.jpg,b.wav,TALK.Mov\n"
    jobs = read_jobs(table(tmp_path, rows), tmp_path).jobs
    assert [j.output.name for j in jobs] == ["mr.smith-take1.2.mp4", "mr.smith.mp4", "TALK.Mov"]
    picture(tmp_path / "mr.smith.jpg")
    sound(tmp_path / "mr.smith.wav")
    assert made(tmp_path, tmp_path / "out") == [("mr.smith.jpg", "mr.smith.wav", "mr.smith.mp4")]


def test_long_names_are_cut_to_what_a_file_may_have(tmp_path):
    long = "é" * 100
    rows = f"photo,recording\n{long}.jpg,{long}.wav\n{long}.jpg,{long}.wav\n"
    names = [job.output.name for job in read_jobs(table(tmp_path, rows), tmp_path).jobs]
    assert len(set(names)) == 2 and all(len(name.encode()) in (254, 255) for name in names)
    assert names[1].endswith("-2.mp4")


def test_a_matte_gets_a_video_that_holds_it(tmp_path):
    rows = "photo,recording,background,video\na.jpg,b.wav,matte,\na.jpg,c.wav,,talk\n"
    assert [job.output.name for job in read_jobs(table(tmp_path, rows), tmp_path).jobs] == [
        "a-b.webm",
        "talk.mp4",
    ]
    picture(tmp_path / "x.jpg")
    sound(tmp_path / "x.wav")
    assert made(tmp_path, tmp_path / "out", MATTE) == [("x.jpg", "x.wav", "x.webm")]


PHOTOS = [("a.HEIC", None), ("a.avif", "AVIF"), ("a.gif", "GIF"), ("a.JPEG", "JPEG"), ("a.tiff", "TIFF")]
PHOTOS += [("a.jfif", "JPEG"), ("a", "PNG")]
SOUNDS = [("a.wav",), ("a.MOV", "mov", "aac"), ("a.mkv", "matroska", "libopus"), ("a.3gp", "3gp", "aac")]
SOUNDS += [("a.caf", "caf", "pcm_s16le"), ("a.aiff", "aiff", "pcm_s16be"), ("a.wma", "asf", "pcm_s16le")]
SOUNDS += [
    ("a.ac3", "ac3", "ac3"),
    ("a.oga", "ogg", "libopus"),
    ("a.mka", "matroska", "pcm_s16le"),
    ("a.dat",),
]


@pytest.mark.parametrize(("name", "kind"), PHOTOS)
def test_every_kind_of_photo_makes_a_pair(name, kind, tmp_path):
    picture(tmp_path / name, kind)
    sound(tmp_path / "a.wav")
    assert made(tmp_path, tmp_path / "out") == [(name, "a.wav", "a.mp4")]


@pytest.mark.parametrize("file", SOUNDS, ids=lambda file: file[0])
def test_every_kind_of_recording_makes_a_pair(file, tmp_path):
    picture(tmp_path / "a.jpg")
    sound(tmp_path / file[0], *file[1:])
    assert made(tmp_path, tmp_path / "out") == [("a.jpg", file[0], "a.mp4")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.jpg", "photo"), ("a.HEIC", "photo"), ("a.amr", "recording"), ("a.MP4", "recording")]
    + [("a.txt", "other"), ("a", "other")],
)
def test_what_cannot_be_read_is_told_by_its_ending(name, kind, tmp_path):
    for content in (b"", b"nothing that is a picture or a sound"):
        (tmp_path / name).write_bytes(content)
        assert kind_of(tmp_path / name) == kind


def test_a_link_to_nowhere_and_a_pipe_are_no_inputs(tmp_path):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "b.wav")
    assert [kind_of(tmp_path / name) for name in ("a.jpg", "b.wav")] == ["other", "other"]


@pytest.mark.parametrize(("name", "words"), [("none", "does not exist"), ("n" * 300, "cannot be read")])
def test_a_source_that_cannot_be_read_is_said(name, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_jobs(tmp_path / name, tmp_path / "out")


def test_one_spelling_of_an_accent_finds_the_other(tmp_path):
    picture(tmp_path / "Ame\u0301lie.jpg")
    sound(tmp_path / "Am\u00e9lie.wav")
    assert len(read_jobs(tmp_path, tmp_path / "out").jobs) == 1


def test_what_has_no_partner_is_named(tmp_path):
    for name in ("a.jpg", "alone.png"):
        picture(tmp_path / name)
    for name in ("a.wav", "lonely.wav"):
        sound(tmp_path / name)
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / ".hidden").write_text("words")
    (tmp_path / "more").mkdir()
    batch = read_jobs(tmp_path, tmp_path / "out")
    assert [job.photo.name for job in batch.jobs] == ["a.jpg"]
    assert batch.notes == (
        "no recording of this name: alone.png",
        "no photo of this name: lonely.wav",
        "neither a photo nor a recording: notes.txt",
        "folders are not searched: more",
    )


def test_a_folder_without_a_pair_says_what_it_holds(tmp_path):
    picture(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="holds no jobs .no recording of this name: a.jpg"):
        read_jobs(tmp_path, tmp_path / "out")


def test_a_folder_may_hold_its_own_videos(tmp_path):
    picture(tmp_path / "x.jpg")
    sound(tmp_path / "x.flac", "flac", "flac")
    first = made(tmp_path, tmp_path)
    film(tmp_path / "x.mp4")
    assert kind_of(tmp_path / "x.mp4") == "own"
    assert made(tmp_path, tmp_path) == first == [("x.jpg", "x.flac", "x.mp4")]
    assert read_jobs(tmp_path, tmp_path).notes == ()
    assert made(tmp_path, tmp_path / "other") == first


def test_a_video_of_somebody_else_is_neither_replaced_nor_silently_left_out(tmp_path):
    picture(tmp_path / "x.jpg")
    sound(tmp_path / "x.flac", "flac", "flac")
    foreign_film(tmp_path / "x.mp4")
    assert made(tmp_path, tmp_path) == [("x.jpg", "x.flac", "x-2.mp4")]
    assert read_jobs(tmp_path, tmp_path).notes == ("another recording of this name is used: x.mp4",)


@pytest.mark.parametrize("write", [film, foreign_film])
def test_a_video_alone_with_a_photo_is_its_recording_and_stays(write, tmp_path):
    picture(tmp_path / "x.jpg")
    write(tmp_path / "x.mp4")
    assert made(tmp_path, tmp_path) == [("x.jpg", "x.mp4", "x-2.mp4")]


def test_batch_prints_its_notes(tmp_path, capsys, monkeypatch):
    """The networks are not asked: a photo without a face ends its job before."""
    for name in ("a.jpg", "alone.png"):
        picture(tmp_path / name)
    sound(tmp_path / "a.wav")
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / "out"), "--quiet"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == "note: no recording of this name: alone.png"
    monkeypatch.setattr("atldiff.cli.generate.Runner.run", lambda self, job: [f"{job.output.name}: made"])
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr().out == "[1/1] a.mp4: made\n"


def rows_of(folder: Path, content: bytes) -> list[Job]:
    (folder / "jobs.csv").write_bytes(content)
    return read_jobs(folder / "jobs.csv", folder / "out").jobs


PLAIN = "photo,recording,lips,video\na.jpg,b.wav,0.5,talk.mp4\nc.jpg,d.wav,,\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.replace(",", ";").replace("0.5", "0,5").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", ", ").encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        b"sep=;\r\n" + PLAIN.replace(",", ";").encode(),
        PLAIN.replace("photo", " Photo").replace("lips", "LIPS ").encode(),
        PLAIN.replace("c.jpg,d.wav,,", "c.jpg,d.wav").encode(),
        PLAIN.replace("\nc", "\n,,,\n\nc").encode(),
        PLAIN.replace("\n", ",,\n").encode(),
        PLAIN.replace("a.jpg", '"a.jpg"').encode(),
    ],
    ids=[
        "plain", "mark", "UTF-16", "UTF-16 and tabs", "semicolons", "tabs", "spaces", "Windows", "sep=",
        "capitals", "short row", "empty rows", "empty columns", "quotes",
    ],
)  # fmt: skip
def test_what_spreadsheets_write_is_read(content, tmp_path):
    first, second = rows_of(tmp_path, content)
    assert (first.photo, first.recording) == (tmp_path / "a.jpg", tmp_path / "b.wav")
    assert (first.options, second.options) == (Options(lips=0.5), Options())
    assert [first.output.name, second.output.name] == ["talk.mp4", "c-d.mp4"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("photo,recording\na.jpg\n", "line 2: there is no recording"),
        ("photo,recording\n,b.wav\n", "line 2: there is no photo"),
        ("photo;recording\na.jpg;b.wav;c.wav\n", "line 2: there are more cells"),
        ("photo,recording,lips\na.jpg,b.wav,many\n", "line 2: lips cannot be many"),
        ("photo,photo,recording\na,b,c\n", "the column photo twice"),
        ("photo,volume,recording\na,b,c\n", "unknown column: volume"),
        ("photo,video\na,b\n", "no column recording"),
        ("photo recording\na b\n", "unknown column: photo recording"),
        ('photo,recording\n"a.jpg,b.wav\n', "there is no recording"),
        ("photo,recording\nm\xfcller.jpg,b.wav\n", "not text in UTF-8"),
        ("\n\n", "holds no jobs"),
    ],
)
def test_a_table_that_cannot_be_read_ends_in_a_sentence(text, words, tmp_path):
    with pytest.raises(InputError, match=words):
        rows_of(tmp_path, text.encode("latin-1"))
