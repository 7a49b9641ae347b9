"""Corpora of small real videos -> training data."""

import csv
import errno
import itertools
import os
import shutil
import subprocess
import sys
import tarfile
import time
import tracemalloc
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from training.fatal_parts import poisoned_part

from atldiff.cli.parser import main
from atldiff.errors import InputError
from atldiff.media.speech import load_speech
from atldiff.media.video_writer import write_video
from atldiff.portrait.photo import open_photo
from atldiff.training.data import prepare as prepare_corpus
from atldiff.training.data.corpora import ClipRecord, read_corpus
from atldiff.training.data.extract import PROTOCOLS, STORED_SIZE, extract
from atldiff.training.data.prepare import make_part, prepare
from atldiff.training.data.shards import find_broken_shards, read_manifest, read_prepared
from atldiff.training.landmarks.clips import load_speech_clips
from atldiff.training.renderer.clips import load_clips
from atldiff.training.renderer.samples import SampleConfig
from atldiff.training.renderer.stream import ClipStream, WindowStream

FRAMES = 16


@pytest.fixture(scope="module")
def photo(portrait_path):
    return np.asarray(open_photo(portrait_path))[::2, ::2]


@pytest.fixture(scope="module")
def speech(speech_path):
    return load_speech(speech_path).cut(0.5, 3.0)


class InProcess:
    """An engine that runs a job when it is waited for, and is killed at a given one."""

    slots = 1

    def __init__(self, killed_at):
        self.known, self.jobs, self.killed_at = [], [], killed_at

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, *job):
        self.known.append(job)
        return len(self.known) - 1

    def wait(self, jobs):
        first = min(jobs)
        if len(self.jobs) == self.killed_at:
            raise KeyboardInterrupt
        self.jobs.append(self.known[first])
        call, *args = self.known[first]
        return [call(*args)], set(jobs) - {first}


@pytest.fixture
def in_process(monkeypatch):
    """Clips are read in this process, as one of its own takes seconds to start."""
    monkeypatch.setattr(prepare_corpus, "open_engine", lambda *_: InProcess(None))


def moving(photo, frames, shift=0):
    return [np.roll(photo, shift + frame // 4, axis=1) for frame in range(frames)]


def encode(path, codec, pictures, **options):
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 256, 256, "yuv420p", 2_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def data(tmp_path_factory, photo, speech):
    """Four good clips of three people, two of them of one name, and four files that are of no use."""
    root = tmp_path_factory.mktemp("corpus")
    sound = speech.cut(0, FRAMES / 30)
    for shift, name in enumerate(("anna/happy/001", "anna/sad/001", "ben/001", "carl/001")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(root / f"{name}.mp4", moving(photo, FRAMES, 3 * shift), sound)
    (root / "ben/broken.mp4").write_bytes(b"partial download" * 100)
    (root / "ben/zero.mp4").write_bytes(b"")
    (root / "ben/002.mp4.part").write_bytes(b"half")
    write_video(root / "ben/room.mp4", [np.full((64, 64, 3), 90, np.uint8)] * FRAMES, None)
    return root


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("out")
    prepare(data, out, workers=1, shard_clips=1)
    return out


def everything(out):
    return {entry["stem"]: (entry, a) for s in ("train", "val", "test") for entry, a in read_prepared(out, s)}


def state(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != "index.sqlite"}


def test_equal_names_in_two_folders_are_two_clips(prepared):
    clips = everything(prepared)
    assert set(clips) == {"anna/happy/001", "anna/sad/001", "ben/001", "carl/001"}
    pictures = [arrays["jpeg"].tobytes() for _, arrays in clips.values()]
    assert len(set(pictures)) == 4


def test_what_cannot_be_used_is_listed_and_ends_nothing(prepared):
    with open(prepared / "skipped.csv", newline="") as table:
        skipped = {row["file"]: row["reason"] for row in csv.DictReader(table)}
    assert sorted(skipped) == ["ben/002.mp4.part", "ben/broken.mp4", "ben/room.mp4", "ben/zero.mp4"]
    assert "broken" in skipped["ben/broken.mp4"] and "empty" in skipped["ben/zero.mp4"]
    assert "A face is seen in 0 frames" in skipped["ben/room.mp4"]
    assert read_manifest(prepared)["skipped"] == 4


@pytest.mark.usefixtures("in_process")
def test_a_clip_that_breaks_off_is_left_out_until_it_is_whole(tmp_path, photo):
    root, out = tmp_path / "corpus", tmp_path / "out"
    root.mkdir()
    write_video(root / "whole.mp4", moving(photo, FRAMES), None)
    encode(tmp_path / "long.mp4", "mpeg4", moving(photo, 30), movflags="faststart")
    content = (tmp_path / "long.mp4").read_bytes()
    (root / "half.mp4").write_bytes(content[: 6 * len(content) // 10])
    assert prepare(root, out, workers=1)["skipped"] == 1
    assert "half.mp4 breaks off after" in (out / "skipped.csv").read_text()
    (root / "half.mp4").write_bytes(content)
    assert prepare(root, out, workers=1)["skipped"] == 0 and set(everything(out)) == {"whole", "half"}


def test_a_folder_without_videos_is_refused(tmp_path, capsys):
    assert main(["prepare", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "There is no video in" in capsys.readouterr().err


def test_nobody_is_in_two_splits(prepared):
    people = {split: {entry["identity"] for entry, _ in read_prepared(prepared, split)} for split in
              ("train", "val", "test")}  # fmt: skip
    assert sorted(who for group in people.values() for who in group) == ["anna", "ben", "carl"]
    assert all(len(group) == 1 for group in people.values())


def test_clips_load_as_before(prepared):
    clips = [clip for split in ("train", "val", "test") for clip in load_clips(prepared, split)]
    assert len(clips) == 4
    for clip in clips:
        frame = clip.frame(3)
        assert frame.shape == (STORED_SIZE, STORED_SIZE, 3) and frame.std() > 20
        assert clip.usable.all() and clip.points.shape == (FRAMES, 68, 2)
        middle = (clip.points.min(axis=(0, 1)) + clip.points.max(axis=(0, 1))) / 2
        assert np.abs(middle / STORED_SIZE - 0.5).max() < 0.1  # the crop lies round the face
    heard = [clip for split in ("train", "val", "test") for clip in load_speech_clips(prepared, split)]
    assert [len(clip.samples) for clip in heard] == [pytest.approx(FRAMES * 16_000 / 30, abs=1100)] * 4


def test_samples_of_the_renderer_come_from_the_shards_and_are_taken_up_exactly(prepared):
    split = next(iter(read_manifest(prepared)["splits"]))

    def samples():
        return WindowStream(ClipStream(prepared, split, seed=4, repeats=3), SampleConfig(frames=2))

    whole = list(itertools.islice(samples(), 6))
    assert whole[0]["identity"].shape == (3, 128, 128) and whole[0]["views"][0]["target"].shape[1] == 2
    stream = samples()
    first = list(itertools.islice(stream, 4))
    fresh = samples()
    fresh.load_state_dict(stream.state_dict())
    again = first + list(itertools.islice(fresh, 2))
    for a, b in zip(whole, again, strict=True):
        assert torch.equal(a["identity"], b["identity"])
        assert torch.equal(a["views"][1]["prior"], b["views"][1]["prior"])


@pytest.mark.usefixtures("in_process")
def test_manifest_tells_the_shards_and_finds_a_damaged_one(data, prepared, tmp_path, capsys):
    manifest = read_manifest(prepared)
    assert sum(total["clips"] for total in manifest["splits"].values()) == 4
    assert manifest["speakers"] == {"train": 1, "val": 1, "test": 1} and manifest["unfinished"] == 0
    assert find_broken_shards(prepared) == []
    copy = shutil.copytree(prepared, tmp_path / "copy")
    shard = copy / "train-000000.tar"
    shard.write_bytes(shard.read_bytes()[:-2000] + b"x" * 2000)
    assert find_broken_shards(copy) == ["train-000000"]
    command = ["prepare", "--data", str(data), "--workers", "1", "--check", "--out"]
    assert main([*command, str(prepared)]) == 0
    assert main([*command, str(copy)]) == 2 and "train-000000" in capsys.readouterr().err
    shard.unlink()
    prepare(data, copy, workers=1, shard_clips=1)
    assert find_broken_shards(copy) == [] and read_manifest(copy) == manifest


def test_a_broken_manifest_is_said_and_written_anew(data, prepared, tmp_path):
    out = shutil.copytree(prepared, tmp_path / "out")
    (out / "manifest.json").write_text('{"shards')
    with pytest.raises(InputError, match="manifest.json is broken: Run"):
        load_clips(out, "train")
    assert prepare(data, out, workers=1, shard_clips=1) == read_manifest(prepared)


def test_a_second_run_changes_nothing(data, prepared):
    before = state(prepared)
    prepare(data, prepared, workers=1, shard_clips=1)
    assert state(prepared) == before


def test_a_ray_cluster_of_two_processes_writes_the_same_shards(
    data, prepared, tmp_path, ray_engine, monkeypatch
):
    monkeypatch.setattr(prepare_corpus, "open_engine", lambda *_: nullcontext(ray_engine))
    manifest = prepare(data, tmp_path, engine="ray", workers=2, shard_clips=1)
    assert manifest == read_manifest(prepared)


@pytest.mark.usefixtures("in_process")
def test_growing_corpus_adds_shards_and_tries_what_has_changed(data, prepared, tmp_path, photo):
    root, out = shutil.copytree(data, tmp_path / "data"), shutil.copytree(prepared, tmp_path / "out")
    before = state(out)
    write_video(root / "ben/broken.mp4", moving(photo, FRAMES), None)
    write_video(root / "anna/new.mp4", moving(photo, FRAMES, 9), None)
    manifest = prepare(root, out, workers=1, shard_clips=1)
    clips = everything(out)
    assert len(clips) == 6 and clips["ben/broken"][0]["kind"] == "silent" and manifest["skipped"] == 3
    people = {entry["identity"]: entry["split"] for entry, _ in clips.values()}
    assert all(entry["split"] == people[entry["identity"]] for entry, _ in clips.values())
    after = state(out)
    assert all(after[name] == content for name, content in before.items() if name.endswith(".tar"))


def test_a_clip_at_which_the_process_dies_is_left_out(data, tmp_path, monkeypatch):
    """Decoders crash on some broken files: every other clip is prepared all the same."""
    monkeypatch.setattr(prepare_corpus, "make_part", poisoned_part)
    manifest = prepare(data, tmp_path, workers=1, shard_clips=2)
    assert set(everything(tmp_path)) == {"anna/happy/001", "anna/sad/001", "carl/001"}
    assert manifest["unfinished"] == 0 and manifest["skipped"] == 5
    assert sum(manifest["speakers"].values()) == 2  # nobody of whom there is no clip
    assert 'ben/001.mp4,"the process that read it died, 3 times"' in (tmp_path / "skipped.csv").read_text()


KILLED = """
import os, sys, time
from pathlib import Path
from training.fatal_parts import endless_part
from atldiff.training.data.engines import open_engine

if __name__ == "__main__":
    part = Path(sys.argv[1])
    with open_engine("local", 1) as engine:
        engine.submit(endless_part, part)
        while not part.with_suffix(".tries").exists():
            time.sleep(0.1)
        os.kill(os.getpid(), 9)
"""


def test_a_run_that_is_killed_does_not_count_against_its_clip(tmp_path):
    """Else a clip that is begun in three runs that are killed is left out."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "long.tar")]
    assert subprocess.run(command, env=environment, timeout=100).returncode == -9
    until = time.monotonic() + 30
    while (tmp_path / "long.tries").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("killed_at", [0, 3])
def test_a_run_that_breaks_off_keeps_what_is_done(data, tmp_path, monkeypatch, killed_at):
    engines = [InProcess(killed_at), InProcess(None)]
    opened = iter(engines)
    monkeypatch.setattr(prepare_corpus, "open_engine", lambda *_: next(opened))
    with pytest.raises(KeyboardInterrupt):
        prepare(data, tmp_path, shard_clips=3)
    assert read_manifest(tmp_path)["unfinished"] > 0
    manifest = prepare(data, tmp_path, shard_clips=3)
    assert manifest["unfinished"] == 0 and len(everything(tmp_path)) == 4
    done = [job[1].key for engine in engines for job in engine.jobs if job[0] is make_part]
    assert len(done) == len(set(done)) == 6  # no clip was done twice
    assert not (tmp_path / "parts").exists()


def test_other_settings_for_the_same_output_are_refused(data, prepared):
    with pytest.raises(InputError, match="begun with size = 224"):
        prepare(data, prepared, config=PROTOCOLS["paper"])
    with pytest.raises(InputError, match='begun with split = "speakers"'):
        prepare(data, prepared, split="clips")


@pytest.mark.usefixtures("in_process")
def test_a_full_disk_stops_with_a_sentence(data, monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="No space left.*Make room"):
        patch.setattr("webdataset.TarWriter.write", full)
        prepare(data, tmp_path)
    assert prepare(data, tmp_path)["unfinished"] == 0 and len(everything(tmp_path)) == 4


@pytest.mark.usefixtures("in_process")
def test_paper_protocol(tmp_path, photo, speech):
    """MEAD's layout at 25 fps: one-second pieces at 30 fps of 128 pixels on green, with their own sound."""
    video = tmp_path / "M003/video/front/happy/level_2/001.mp4"
    sound = tmp_path / "M003/audio/happy/level_2/001.wav"
    for path in (video, sound):
        path.parent.mkdir(parents=True)
    write_video(video, moving(photo, 60), None, fps=25)
    soundfile.write(sound, speech.sound, speech.sound_rate)
    manifest = prepare(tmp_path, tmp_path / "out", config=PROTOCOLS["paper"], workers=1)
    assert manifest["splits"]["train"] == {"shards": 1, "clips": 1, "samples": 2} | {
        "bytes": (tmp_path / "out/train-000000.tar").stat().st_size
    }
    clips = everything(tmp_path / "out")
    assert [key[-3:] for key in clips] == ["000", "001"]
    for entry, arrays in clips.values():
        assert (entry["identity"], entry["emotion"], entry["level"]) == ("M003", "happy", "2")
        assert len(arrays["landmarks"]) == len(arrays["landmarks30"]) == len(arrays["offsets"]) - 1 == 30
        assert len(arrays["samples"]) == 16_000 and entry["size"] == 141
    for clip in load_clips(tmp_path / "out", "train"):
        corner = clip.frame(10)[:3, :3].reshape(-1, 3).astype(int)
        assert (corner[:, 1] - corner[:, [0, 2]].max(axis=1)).min() > 150  # green
    with tarfile.open(tmp_path / "out/train-000000.tar") as tar:
        assert len(tar.getnames()) == 4


@pytest.mark.parametrize(
    ("name", "codec", "audio"),
    [
        ("VideoFlash/1001_DFA_ANG_XX.flv", "flv", "AudioWAV/1001_DFA_ANG_XX.wav"),
        ("s1/bbaf2n.mpg", "mpeg1video", ""),
    ],
)
def test_formats_of_crema_d_and_grid(tmp_path, photo, speech, name, codec, audio):
    """Sorenson video with the sound beside it; MPEG-1 without sound."""
    for path in filter(None, (name, audio)):
        (tmp_path / path).parent.mkdir(parents=True)
    encode(tmp_path / name, codec, moving(photo, 40))
    if audio:
        soundfile.write(tmp_path / audio, speech.sound, speech.sound_rate)
    [clip] = read_corpus(tmp_path)
    [(entry, arrays)] = extract(clip)
    assert arrays["ok"].all() and len(arrays["ok"]) == pytest.approx(40, abs=1)
    assert entry["kind"] == ("speech" if audio else "silent") and entry["sentence"] == clip.sentence != ""
    assert bool(len(arrays["samples"])) == bool(audio)


def test_pictures_and_landmarks_keep_time_when_the_frame_rate_changes(tmp_path, photo):
    """The face moves a pixel a frame at 25 fps: at 30 fps each landmark lies where its picture shows it."""
    frames = [np.roll(photo, frame, axis=1) for frame in range(50)]
    clip = ClipRecord("a", write_video(tmp_path / "a.mp4", frames, None, fps=25), "a")
    [(_, arrays)] = extract(clip, replace(PROTOCOLS["paper"], seconds=None, green_screen=False))
    width = arrays["box"][2] - arrays["box"][0]
    moved = (arrays["landmarks"][:, 30, 0] - arrays["landmarks"][0, 30, 0]) * width
    assert len(moved) == 60
    assert np.abs(moved - np.round(np.arange(60) / 30 * 25)).max() < 2.5


def test_long_videos_do_not_fill_the_memory(tmp_path, photo):
    """Decoded, the 60 frames by which the second clip is longer would take 12 MB."""
    peaks = []
    for frames in (12, 72):
        path = write_video(tmp_path / f"{frames}.mp4", (photo for _ in range(frames)), None)
        tracemalloc.start()
        extract(ClipRecord("a", path, "a"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 3.75e6  # JPEGs of 25 kB
