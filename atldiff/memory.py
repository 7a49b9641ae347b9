"""What a process holds of the machine's memory beyond what it uses: glibc keeps what was freed for later."""

import ctypes
import platform

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
_GLIBC = platform.libc_ver()[0] == "glibc"


def share_memory() -> None:
    """Has all threads take memory from the same two pools, so that what one job freed serves the next.

    glibc's own choice, eight pools a core, keeps what each of a crowd's threads once used. To be called
    before threads are started.
    """
    if _GLIBC:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def give_back() -> None:
    """Gives the system the freed memory that glibc holds, wherever in its pools it lies."""
    if _GLIBC:
        ctypes.CDLL(None).malloc_trim(0)
