"""Iterators that do their work in a thread of their own."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()


def prefetch(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Yields the same items, and computes the next one while the caller uses the last.

    Only one item is computed ahead, so memory stays bounded. Errors of the generator are raised here.
    The generator is closed and its thread ends before this iterator ends. If the caller never closes
    this iterator, Python's exit waits for the item at work.
    """
    with ThreadPoolExecutor(1, "prefetch") as thread:
        future = thread.submit(next, items, _END)
        try:
            while (item := future.result()) is not _END:
                future = thread.submit(next, items, _END)
                yield item
                del item
        finally:
            if not future.cancel():
                future.exception()  # waits for the item at work
            items.close()


def poll(items: Iterator[T], seconds: float) -> Generator[T | None, None, None]:
    """Yields the same items, and None after each `seconds` without an item.

    So the caller can leave while it waits. This iterator then ends at once; its thread ends with the next
    item.
    """
    thread = ThreadPoolExecutor(1, "poll")
    try:
        while True:
            future = thread.submit(next, items, _END)
            while not wait([future], seconds).done:
                yield None
            if (item := future.result()) is _END:
                return
            yield item
    finally:
        thread.shutdown(wait=False)
