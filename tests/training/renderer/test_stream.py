"""Shards -> clips in a shuffled order that can be taken up anywhere."""

import itertools
import json

import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.training.data.shards import MANIFEST, read_shard, write_shard
from atldiff.training.renderer.clips import MIN_FRAMES, StoredClip
from atldiff.training.renderer.stream import ClipStream

SIZES = (7, 5, 6, 6)  # clips of the shards


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """24 clips of a face that does not move, without a picture that is looked at."""
    folder, shards, names = tmp_path_factory.mktemp("shards"), [], itertools.count()
    face = np.random.default_rng(0).uniform(0.3, 0.7, (68, 2)).astype(np.float32)
    face[[36, 45, 30]] = (0.3, 0.4), (0.7, 0.4), (0.5, 0.5)  # looks ahead
    for number, size in enumerate(SIZES):
        samples = []
        for name in itertools.islice(names, size):
            entry = {"stem": f"clips/{name:02d}", "identity": "a", "split": "train", "use": "both"}
            arrays = {"landmarks": np.repeat(face[None], MIN_FRAMES, axis=0), "ok": np.ones(MIN_FRAMES, bool)}
            arrays |= {"jpeg": np.zeros(0, np.uint8), "offsets": np.zeros(MIN_FRAMES + 1, int)}
            samples.append((entry, arrays | {"samples": np.zeros(0, np.float32)}))
        write_shard(folder / f"train-{number:06d}.tar", samples)
        shards.append({"name": f"train-{number:06d}", "split": "train", "samples": size})
    (folder / MANIFEST).write_text(json.dumps({"shards": shards}))
    return folder


def stems(stream, count=None):
    return [clip.stem for clip in itertools.islice(stream, count)]


def test_every_clip_comes_once_an_epoch_in_an_order_of_the_seed(data):
    first, again = stems(ClipStream(data, "train", epochs=1)), stems(ClipStream(data, "train", epochs=1))
    other = stems(ClipStream(data, "train", seed=1, epochs=1))
    assert first == again and sorted(first) == sorted(other) == [f"clips/{n:02d}" for n in range(24)]
    assert first != other and first != sorted(first)
    two = stems(ClipStream(data, "train", epochs=2))
    assert two[:24] == first and two[24:] != first and sorted(two[24:]) == sorted(first)


@pytest.mark.parametrize("stop", [0, 1, 7, 11, 24, 30])
def test_it_is_taken_up_exactly_where_it_was_left(data, stop):
    whole = stems(ClipStream(data, "train", seed=3), 60)
    stream = ClipStream(data, "train", seed=3)
    had = stems(stream, stop)
    fresh = ClipStream(data, "train", seed=3)
    fresh.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    assert had + stems(fresh, 60 - stop) == whole


def test_taking_up_reads_one_shard_only(data, monkeypatch):
    opened = []

    def counted(path, places):
        opened.append(path.name)
        return read_shard(path, places)

    monkeypatch.setattr("atldiff.training.renderer.stream.read_shard", counted)
    stream = ClipStream(data, "train")
    stream.load_state_dict({"seed": 0, "epoch": 5, "clip": 20})
    assert isinstance(next(iter(stream)), StoredClip) and len(opened) == 1


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_processes_share_the_clips_out(data, processes):
    parts = [
        stems(ClipStream(data, "train", epochs=1, rank=r, world_size=processes)) for r in range(processes)
    ]
    assert sorted(sum(parts, [])) == [f"clips/{n:02d}" for n in range(24)]


def test_workers_of_a_loader_go_on_where_they_were(data):
    loaders = pytest.importorskip("torchdata.stateful_dataloader")

    def loader():
        stream = ClipStream(data, "train", seed=2)
        return loaders.StatefulDataLoader(stream, batch_size=None, num_workers=2)

    whole = stems(loader(), 30)
    first = loader()
    had = stems(first, 13)
    fresh = loader()
    fresh.load_state_dict(first.state_dict())
    assert had + stems(fresh, 17) == whole


def test_a_clip_may_come_more_than_once_while_its_shard_is_open(data):
    names = stems(ClipStream(data, "train", epochs=1, repeats=3))
    assert len(names) == 72 and all(names.count(name) == 3 for name in names)
    assert len(set(names[: max(SIZES)])) >= min(SIZES)  # not the same one thrice in a row


def test_a_split_without_clips_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="no clips of the split 'val'"):
        ClipStream(data, "val")
    with pytest.raises(InputError, match="Run `python -m atldiff prepare` first"):
        ClipStream(tmp_path, "train")


def test_a_broken_shard_is_named(data, tmp_path):
    copy = tmp_path / "train-000000.tar"
    copy.write_bytes((data / "train-000000.tar").read_bytes()[:5000])
    with pytest.raises(InputError, match="train-000000.tar cannot be read"):
        list(read_shard(copy))
