"""Keeps a process's memory small: glibc's pools, and large arrays in files."""

import ctypes
import mmap
import platform
import tempfile

import numpy as np

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # M_... of glibc's malloc.h
_GLIBC = platform.libc_ver()[0] == "glibc"  # glibc keeps freed memory for later use
_LARGE = 4 * 2**20  # bytes; smaller arrays are not worth a file


def share_memory() -> None:
    """Makes all threads share one pool, so that memory freed by one serves the next.

    By default glibc has eight pools a core, and each keeps its freed memory. Call it before threads start.
    """
    if _GLIBC:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def keep_memory() -> None:
    """Stops glibc from returning freed memory to the system.

    Training allocates the same tensors every step; reusing their memory is faster.
    """
    if _GLIBC:
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def give_back(*mapped: np.ndarray) -> None:
    """Returns glibc's freed memory, and the pages of mapped arrays, to the system."""
    for array in mapped:
        release_pages(array)
    if _GLIBC:
        ctypes.CDLL(None).malloc_trim(0)


def map_to_disk(array: np.ndarray) -> np.ndarray:
    """Moves a large array to a nameless temporary file, which lives as long as the array.

    Values that are read take memory until `release_pages`.

    Returns:
        An array of the same values, mapped from the file. A small array, or one without a file, itself.
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
    """Returns the memory of a mapped array to the system; its next use reads the file again."""
    owner: object = array
    while not isinstance(owner, mmap.mmap):
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
        if owner is None:
            return
    if hasattr(owner, "madvise"):
        owner.madvise(mmap.MADV_DONTNEED)
