"""An iterator that works ahead in a thread of its own."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
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
