"""Worker processes of Ray Serve that make videos, on this machine or a cluster, behind the page's queue."""

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from atldiff.animation import Animation
from atldiff.errors import InputError
from atldiff.loading import load_pipeline
from atldiff.provenance.credentials import find_sidecar
from atldiff.web.jobs.request import Step, make

T = TypeVar("T")

WAIT = 0.25  # seconds without a step before the page checks that its visitor is still there
OBJECT_STORE = 200 * 2**20  # bytes for photos, recordings and videos in transfer on this machine
_END: Any = object()


class Worker:
    """One replica: it holds a pipeline and makes one video at a time.

    Args:
        weights: folder or hub id; None = the embedded starter.
        device: a torch device.
    """

    def __init__(self, weights: str | None, device: str) -> None:
        self._pipeline = load_pipeline(weights, device)

    async def make(self, animation: Animation) -> AsyncIterator[tuple[Step, dict[str, bytes]]]:
        """Yields the steps of `request.make`, the last with its files by name; stops if the caller leaves."""
        with tempfile.TemporaryDirectory(prefix="job-") as folder:
            steps, ahead = make(self._pipeline, animation, Path(folder)), None
            try:
                while True:
                    ahead = asyncio.ensure_future(asyncio.to_thread(next, steps, None))
                    step = await asyncio.shield(ahead)
                    if step is None:
                        return
                    yield step, _read_files(step.video)
            finally:
                if ahead is not None:
                    await asyncio.wait([ahead])  # a generator cannot be closed while it runs
                await asyncio.to_thread(steps.close)


class Replicas:
    """A deployment of workers, each with one video at a time. Close it at the end.

    Ray Serve restarts a dead worker. RAY_ADDRESS names the cluster, and its machines need this package;
    without it this machine gets a cluster of its own.

    Args:
        count: number of workers.
        weights: see `Worker`.
        device: see `Worker`; each worker takes one GPU.

    Raises:
        InputError: Ray Serve is not installed.
    """

    def __init__(self, count: int, weights: str | None = None, device: str = "cpu") -> None:
        try:
            import ray
            from ray import serve
        except ImportError as error:
            raise InputError(
                "Ray Serve is not installed", "Install it: pip install 'atldiff[serve]'"
            ) from error
        self._ray, self._serve, self._stack = ray, serve, ExitStack()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if "RAY_ADDRESS" not in os.environ:
            logs = self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
            )
            options |= {
                "num_cpus": count + 1,
                "include_dashboard": False,
                "_temp_dir": logs,
            }
            options |= {"object_store_memory": OBJECT_STORE}
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray writes one to the home
        ray.init(**options)
        needs = {"num_cpus": 1, "num_gpus": 0 if device == "cpu" else 1}
        deployment = serve.deployment(
            Worker, num_replicas=count, max_ongoing_requests=1, ray_actor_options=needs
        )
        serve.start(proxy_location="Disabled", logging_config={"enable_access_log": False})
        self._handle = serve.run(deployment.bind(weights, device), name="atldiff", route_prefix=None)

    def make(self, animation: Animation, folder: Path) -> Generator[Step, None, None]:
        """Makes a video by a free worker, with the steps of `request.make`.

        Without a new step it repeats the last one. So a visitor who cancels waits neither for a worker nor
        for its next window.

        Raises:
            InputError: the worker raises it.
        """
        answers = self._handle.options(stream=True).make.remote(animation)
        step, files = Step(0, len(animation.landmarks.points)), dict[str, bytes]()
        try:
            for answer in poll(answers, WAIT):
                step, files = answer or (Step(step.done, step.total), {})
                if not step.video:
                    yield step
                    continue
                for name, content in files.items():
                    (folder / name).write_bytes(content)
                yield replace(step, video=folder / step.video.name)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, InputError) else error from error
        finally:
            answers.cancel()

    def close(self) -> None:
        """Ends the workers, and a cluster of this machine's own."""
        self._serve.shutdown()
        self._ray.shutdown()
        self._stack.close()


def _read_files(video: Path | None) -> dict[str, bytes]:
    """The bytes of a video and its sidecar by name; nothing without a video."""
    paths = (video, find_sidecar(video)) if video else ()
    return {path.name: path.read_bytes() for path in paths if path}


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
