"""Work ahead of whoever uses it, in a thread of its own."""

import sys
from collections.abc import Generator
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Any, TypeVar

T = TypeVar("T")


def one_ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The same items; the next one is made while the caller is busy with the last.

    No more than one is made ahead, so memory stays bounded. What the generator raises is raised here. It
    runs to its end or is closed, and its thread ends, before this iterator does: by itself, by an error,
    or because the caller closes it.
    """
    made: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    wanted, stopped = Semaphore(1), Event()

    def work() -> None:
        try:
            wanted.acquire()
            for item in items:
                made.put(("item", item))
                del item
                wanted.acquire()
                if stopped.is_set():
                    break
            made.put(("end", None))
        except BaseException as error:  # noqa: BLE001 - raised where the items are asked for
            made.put(("error", error))
        finally:
            items.close()

    thread = Thread(target=work, name="one ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = made.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            wanted.release()
            yield value
            del value
    finally:
        stopped.set()
        wanted.release()
        if not sys.is_finalizing():  # threads stand still then
            thread.join()
