"""Large arrays on disk, and the memory that a process keeps."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np

from atldiff import memory
from atldiff.media.speech import Speech
from atldiff.memory import give_back, map_to_disk, release_pages


def mapped_mib() -> float:
    """Resident memory of this process that maps files, MiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("RssFile"))


def test_large_arrays_lie_on_disk_and_leave_memory():
    values = np.random.default_rng(0).normal(size=(5_000_000, 2)).astype(np.float32)
    before = mapped_mib()
    array = map_to_disk(values)
    np.testing.assert_array_equal(array, values)
    assert array.dtype == values.dtype and array.flags.writeable
    assert mapped_mib() > before + 30
    release_pages(array[10:, :1])  # of a view all is forgotten
    assert mapped_mib() < before + 5
    array[7] = 3, 4
    give_back(array)
    np.testing.assert_array_equal(array[6:9], [values[6], (3, 4), values[8]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array))[8:], values[8:])


def test_small_arrays_and_full_disks_change_nothing(monkeypatch):
    small, large = np.ones(1000, np.float32), np.ones(2_000_000, np.float32)
    assert map_to_disk(small) is small
    release_pages(small)

    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memory.tempfile, "TemporaryFile", full)
    assert map_to_disk(large) is large


def test_a_long_recording_takes_no_memory():
    tone = np.sin(np.arange(90 * 48_000) * 0.05).astype(np.float32)
    before = mapped_mib()
    speech = Speech.from_samples(np.stack([tone, tone], 1), 48_000)
    assert mapped_mib() < before + 5
    np.testing.assert_array_equal(speech.sound[:, 1], tone)
    assert speech.seconds == 90


def test_kept_memory_serves_the_next_tensor_without_asking_the_system():
    """Counts the pages that the system gives a process for the same large tensor, many times."""
    program = """
import resource, torch
from atldiff.memory import keep_memory

def pages(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.ones(12_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for prepare in (int, keep_memory):
    prepare()
    pages(30)  # the first tensors find the place
    print(pages(20))
"""
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    given_back, kept = map(int, done.stdout.split())
    assert kept < 0.2 * given_back
