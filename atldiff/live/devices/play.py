"""Plays a visit in real time, by this machine's clock."""

import time
from collections.abc import Callable

import av

from atldiff.config import FRAME_RATE
from atldiff.live.clock import BLOCK
from atldiff.live.devices.inlets import Inlet
from atldiff.live.visit import Visit

_EARLY = 5  # blocks that may be heard before their time: sound arrives in bursts
_STALLED = 15  # ticks without sound, after which silence is heard
_TAIL = 15  # blocks of silence at the end, in which the lips close


def play(
    visit: Visit,
    inlet: Inlet,
    show: Callable[[av.VideoFrame], None] | None = None,
    leaves: bool = True,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Hears what arrives, and lets sound and pictures leave, until all that was heard has left.

    Args:
        visit: its films get what leaves.
        inlet: the sound.
        show: gets each picture that leaves, with the watermark.
        leaves: False: somebody else takes what leaves.
        is_over: asked in each tick whether to end.

    Raises:
        Exception: what ended the visit.
    """
    begin, ticks, heard, pictures, silent = time.perf_counter(), 0, 0, 0, 0
    end: int | None = None
    while (end is None or visit.clock.cursor < end) and not is_over():
        silent += 1
        while heard < ticks + _EARLY and (block := inlet.next_block()) is not None:
            visit.hear(block)
            heard, silent = heard + 1, 0
        if silent and inlet.is_over and end is None:
            end = heard + _TAIL
        if (silent > _STALLED or end is not None) and heard < ticks + _EARLY:
            visit.hear(None)
            heard += 1
        if visit.problem is not None:
            raise visit.problem
        if leaves:
            visit.next_sound()
            if pictures <= ticks * BLOCK * FRAME_RATE:
                pictures += 1
                picture = visit.next_picture()
                if show is not None and picture is not None:
                    show(picture)
        ticks += 1
        time.sleep(max(0.0, begin + ticks * BLOCK - time.perf_counter()))
