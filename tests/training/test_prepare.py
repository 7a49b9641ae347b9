"""A small folder of clips -> training data."""

import csv
import json

import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.media.audio import load_speech
from atldiff.media.video import write_video
from atldiff.portrait.photo import open_photo
from atldiff.training.clips import load_clips
from atldiff.training.prepare import prepare
from atldiff.training.speech_clips import load_speech_clips

FRAMES = 20


def write_table(folder, files):
    columns = ("file", "split", "identity", "kind", "use")
    with open(folder / "clips.csv", "w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(columns)
        writer.writerows([file, "train", "somebody", "speech", "both"] for file in files)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, portrait_path, speech_path):
    """(data, out, index): two good clips of one name in two folders, and three that are of no use."""
    data, out = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("out")
    photo = np.asarray(open_photo(portrait_path))[::2, ::2]
    speech = load_speech(speech_path).cut(0.5, 0.5 + FRAMES / 30)
    for level, shift in ((1, 0), (2, 6)):
        (data / f"happy/level_{level}").mkdir(parents=True)
        shown = [np.roll(photo, shift, axis=1)] * FRAMES
        write_video(data / f"happy/level_{level}/001.mp4", shown, speech)
    (data / "broken.mp4").write_bytes(b"partial download" * 100)
    write_video(data / "empty_room.mp4", [np.full((64, 64, 3), 90, np.uint8)] * FRAMES, None)
    files = ["happy/level_1/001.mp4", "broken.mp4", "empty_room.mp4", "gone.mp4", "happy/level_2/001.mp4"]
    write_table(data, files)
    return data, out, prepare(data, out, workers=1)


def test_equal_names_in_two_folders_are_two_clips(prepared):
    _, out, index = prepared
    assert [entry["stem"] for entry in index] == ["happy/level_1/001", "happy/level_2/001"]
    first, second = load_clips(out, "train")
    moved = second.points.mean(axis=(0, 1)) - first.points.mean(axis=(0, 1))
    assert first.stem != second.stem and np.abs(first.points - second.points).max() > 0.01
    assert np.abs(moved).max() < 5  # the crop follows the face


def test_what_cannot_be_used_is_listed_and_ends_nothing(prepared):
    _, out, index = prepared
    with open(out / "skipped.csv", newline="") as table:
        skipped = {row["file"]: row["skipped"] for row in csv.DictReader(table)}
    assert sorted(skipped) == ["broken.mp4", "empty_room.mp4", "gone.mp4"]
    assert "broken" in skipped["broken.mp4"] and "does not exist" in skipped["gone.mp4"]
    assert "A face is seen in 0 frames" in skipped["empty_room.mp4"]
    assert len(index) == 2


def test_sound_and_pictures_are_kept(prepared):
    _, out, _ = prepared
    clips = load_speech_clips(out, "train")
    assert [len(clip.samples) for clip in clips] == [pytest.approx(FRAMES * 16_000 / 30, abs=1100)] * 2
    frame = load_clips(out, "train")[0].frame(3)
    assert frame.shape == (224, 224, 3) and frame.std() > 20


def test_a_second_run_does_nothing_and_tries_the_skipped_again(prepared, tmp_path):
    data, out, index = prepared
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    assert prepare(data, out, workers=1) == index == json.loads((out / "index.json").read_text())
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    assert not list(out.rglob("*.part"))


def test_two_rows_with_one_name_are_refused(tmp_path):
    write_table(tmp_path, ["a.mp4", "a.mov"])
    with pytest.raises(InputError, match="two clips named a"):
        prepare(tmp_path, tmp_path / "out")
