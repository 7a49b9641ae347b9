"""What a process holds of the machine's memory beyond what it uses, and large arrays outside of it."""

import ctypes
import mmap
import platform
import tempfile

import numpy as np

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # M_... of glibc's malloc.h
_GLIBC = platform.libc_ver()[0] == "glibc"  # it keeps what was freed for later
_LARGE = 4 * 2**20  # bytes; smaller arrays are not worth a file


def share_memory() -> None:
    """Has all threads take memory from one pool, so that what one of them freed serves the next.

    glibc's own choice, eight pools a core, keeps what each thread once used: 30 s of video took up to 807 MiB
    instead of 763, and more the longer the video. To be called before threads are started.
    """
    if _GLIBC:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def keep_memory() -> None:
    """Has large tensors made in memory that others left, for training, where every step takes as much as the
    last: glibc asks the system for each of them and gives it back, page by page.
    """
    if _GLIBC:
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def give_back(*mapped: np.ndarray) -> None:
    """Gives the system the freed memory that glibc holds, wherever in its pools it lies, and see `release_pages`."""
    for array in mapped:
        release_pages(array)
    if _GLIBC:
        ctypes.CDLL(None).malloc_trim(0)


def map_to_disk(array: np.ndarray) -> np.ndarray:
    """The same values, mapped from a nameless temporary file that goes with the array; small ones as is.

    What is read of them takes memory until `release_pages`. Where no such file can be written: the array itself.
    """
    if array.nbytes < _LARGE:
        return array
    try:
        with tempfile.TemporaryFile() as file:
            file.write(np.ascontiguousarray(array).data)
            file.flush()
            pages = mmap.mmap(file.fileno(), 0)
    except OSError:
        return array
    return np.frombuffer(pages, array.dtype).reshape(array.shape)


def release_pages(array: np.ndarray) -> None:
    """Gives back the memory that a mapped array takes; its values are read from the file when used again."""
    owner: object = array
    while not isinstance(owner, mmap.mmap):
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
        if owner is None:
            return
    if hasattr(owner, "madvise"):
        owner.madvise(mmap.MADV_DONTNEED)
