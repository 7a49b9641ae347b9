"""What a server holds between its jobs."""

import ctypes
import threading
from pathlib import Path

import pytest

from atldiff import memory
from atldiff.web.jobs.idle_memory import IdleTimer


def held() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.skipif(not memory._GLIBC, reason="another C library keeps memory in its own way")
def test_freed_memory_between_pieces_in_use_is_given_back():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    size = 100_000  # below the size of which each piece is a mapping of its own
    pieces = [libc.malloc(size) for _ in range(2000)]
    for piece in pieces:
        ctypes.memset(piece, 1, size)
    for number, piece in enumerate(pieces):
        if number % 20 != 19:
            libc.free(piece)
    before = held()
    memory.give_back()
    assert held() < before - 100
    for piece in pieces[19::20]:
        libc.free(piece)


def test_it_is_done_once_when_the_last_of_several_jobs_is_over():
    happened, counted = threading.Event(), []
    timer = IdleTimer(lambda: (counted.append(1), happened.set()), delay=0.05)
    with timer.busy():
        with timer.busy():
            pass
        assert not happened.wait(0.2)  # one is still at work
    with timer.busy():  # the next comes before the time is over
        assert not happened.wait(0.2)
    assert happened.wait(10) and counted == [1]


def test_a_job_that_fails_is_over():
    happened = threading.Event()
    timer = IdleTimer(happened.set, delay=0.0)
    with pytest.raises(ValueError), timer.busy():
        raise ValueError
    assert happened.wait(10)
