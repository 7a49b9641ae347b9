"""Work ahead of whoever uses it, in a thread of its own."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()


def prefetch(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The same items; the next one is made while the caller is busy with the last.

    No more than one is made ahead, so memory stays bounded. What the generator raises is raised here. It
    runs to its end or is closed, and its thread ends, before this iterator does: by itself, by an error,
    or because the caller closes it. Where the caller just leaves, Python's exit waits for the item in work.
    """
    with ThreadPoolExecutor(1, "one ahead") as thread:
        made = thread.submit(next, items, _END)
        try:
            while (item := made.result()) is not _END:
                made = thread.submit(next, items, _END)
                yield item
                del item
        finally:
            if not made.cancel():
                made.exception()  # waits until it is made
            items.close()


def poll(items: Iterator[T], seconds: float) -> Generator[T | None, None, None]:
    """The same items; None each time that the next one has not come for so many seconds.

    So whoever waits can leave. This iterator then ends at once; the call that waits for an item goes on in
    its thread until the item, or the end, comes.
    """
    thread = ThreadPoolExecutor(1, "or none")
    try:
        while True:
            coming = thread.submit(next, items, _END)
            while not wait([coming], seconds).done:
                yield None
            if (item := coming.result()) is _END:
                return
            yield item
    finally:
        thread.shutdown(wait=False)
