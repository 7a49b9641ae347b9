"""Windows of frames: which ones there are, and how rendering runs ahead of whoever takes the frames."""

import subprocess
import sys
import threading
from collections.abc import Generator

import pytest

from atldiff.config import FIRST_WINDOWS, WINDOW
from atldiff.rendering.prefetch import prefetch
from atldiff.rendering.renderer import window_spans


@pytest.mark.parametrize("overlap", [0, 4, min(FIRST_WINDOWS) - 1])
@pytest.mark.parametrize("total", [1, 7, 29, 30, 31, 35, 60, 123])
def test_every_frame_is_finished_once_and_each_window_begins_with_the_overlap(total, overlap):
    done = 0
    for start, stop, ready in window_spans(total, overlap):
        assert start == done and 0 < ready <= stop - start <= WINDOW
        assert stop == total or stop - start - ready == overlap
        done += ready
    assert done == total


@pytest.mark.parametrize("overlap", [-1, min(FIRST_WINDOWS), 16])
def test_an_overlap_as_long_as_a_window_is_refused(overlap):
    with pytest.raises(AssertionError, match=str(overlap)):
        list(window_spans(30, overlap))


def test_the_first_windows_are_short():
    lengths = [stop - start for start, stop, _ in window_spans(300, overlap=4)]
    assert tuple(lengths[:3]) == (*FIRST_WINDOWS, WINDOW)


class Source:
    """Counts what it was asked for; knows whether it was closed."""

    def __init__(self, error_at: int = 99) -> None:
        self.made, self.error_at, self.closed = 0, error_at, False
        self.asked = threading.Semaphore(0)

    def items(self) -> Generator[int, None, None]:
        try:
            for index in range(5):
                if index == self.error_at:
                    raise KeyError(index)
                self.made += 1
                self.asked.release()
                yield index
        finally:
            self.closed = True


def working() -> bool:
    return any(thread.name.startswith("prefetch") for thread in threading.enumerate())


def test_items_are_the_same_and_no_more_than_one_is_made_ahead():
    source = Source()
    ahead = prefetch(source.items())
    for index in range(5):
        assert next(ahead) == index
        assert source.asked.acquire(timeout=5) and source.made <= index + 2
    assert list(ahead) == [] and source.closed and not working()


def test_what_the_work_raises_is_raised_where_it_is_used():
    source = Source(error_at=2)
    ahead = prefetch(source.items())
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(KeyError):
        next(ahead)
    assert source.closed and not working()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_closing_ends_the_work_and_its_thread(taken):
    source = Source()
    ahead = prefetch(source.items())
    for _ in range(taken):
        next(ahead)
    ahead.close()
    assert (source.closed or taken == 0) and source.made <= taken + 1 and not working()


ABANDONED = """
import torch
from atldiff.rendering.prefetch import prefetch

def windows():
    pictures, kernels = torch.randn(1, 64, 128, 128), torch.randn(64, 64, 3, 3)
    while True:
        yield torch.nn.functional.conv2d(pictures, kernels)

ahead = prefetch(windows())
next(ahead)
"""


def test_a_program_may_end_in_the_middle_of_a_video():
    ended = [subprocess.run([sys.executable, "-c", ABANDONED], capture_output=True) for _ in range(2)]
    assert [(run.returncode, run.stderr) for run in ended] == [(0, b"")] * 2
