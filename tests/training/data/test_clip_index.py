"""The index of a corpus: constant memory, splits and shards that stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from atldiff.errors import InputError
from atldiff.training.data.clip_index import ClipIndex
from atldiff.training.data.corpora import ClipRecord, Skipped

ROOT = Path("/corpus")


def made_up(count, people=91):
    for number in range(count):
        key = f"VideoFlash/{1001 + number % people}_{number:06d}"
        yield ClipRecord(
            key, ROOT / f"{key}.flv", str(1001 + number % people), sentence="Don't forget a jacket"
        )


MEASURE = """
import resource, sys
from pathlib import Path
from test_clip_index import ROOT, made_up
from atldiff.training.data.clip_index import ClipIndex

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
with ClipIndex(Path(sys.argv[1])) as index:
    index.plan(made_up(20_000), ROOT, "speakers", 64)
    assert sum(len(clips) for _, clips in index.unfinished()) == 20_000
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """Planning 20,000 clips and walking through them takes 6 MB; their records alone would take over 20."""
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[3])])
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "index.sqlite")]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
        timeout=250,
    )
    assert int(done.stdout) < 12_000, done.stdout  # kB


def test_shards_hold_clips_from_all_over_the_corpus(tmp_path):
    with ClipIndex(tmp_path / "index.sqlite") as index:
        index.plan(made_up(1000), ROOT, "speakers", 64)
        shards = dict(index.unfinished())
    assert len(shards["train-000000"]) == 64
    assert len({clip.identity for clip in shards["train-000000"]}) > 30
    by_split = {name: {clip.identity for clip in clips} for name, clips in shards.items()}
    train = set().union(*(people for name, people in by_split.items() if name.startswith("train")))
    rest = set().union(*(people for name, people in by_split.items() if not name.startswith("train")))
    assert train and rest and not train & rest


def test_clips_that_come_later_get_shards_of_their_own(tmp_path):
    with ClipIndex(tmp_path / "index.sqlite") as index:
        index.plan(made_up(500), ROOT, "clips", 64)
        before = {clip.key: shard for shard, clips in index.unfinished() for clip in clips}
        index.plan(made_up(600), ROOT, "clips", 64)
        after = {clip.key: shard for shard, clips in index.unfinished() for clip in clips}
    assert len(after) == 600 and all(after[key] == shard for key, shard in before.items())
    assert not set(before.values()) & {after[key] for key in after.keys() - before.keys()}


def test_two_files_of_one_name_are_one_clip_and_one_that_is_listed(tmp_path):
    clips = [ClipRecord("a", ROOT / f"a.{ending}", "a") for ending in ("mov", "mp4")]
    with ClipIndex(tmp_path / "index.sqlite") as index:
        index.plan([*clips, Skipped("b.mp4", "is empty")], ROOT, "speakers", 64)
        assert list(index.skipped()) == [("a.mp4", "its name a is that of a.mov"), ("b.mp4", "is empty")]
        assert index.count("new") == 1


def test_two_runs_at_once_are_refused(tmp_path):
    with ClipIndex(tmp_path / "index.sqlite") as index:
        index.plan(made_up(10), ROOT, "clips", 64)
        with pytest.raises(InputError, match="is locked"), ClipIndex(tmp_path / "index.sqlite"):
            pass
