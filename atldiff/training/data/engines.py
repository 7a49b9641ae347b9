"""Engines that run the jobs of `prepare`: processes of this machine, or a Ray cluster."""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from typing import Any

from atldiff.errors import InputError
from atldiff.system import end_with_parent

ENGINES = ("local", "ray")
RETRIES = 2  # of a job after its machine went away; Ray counts them
OBJECT_STORE = 100 * 2**20  # bytes; small, because files carry the data


class WorkerDied(InputError):
    """A worker process has died: the system ended it, or its input made it crash."""


class LocalEngine:
    """Worker processes of this machine.

    Attributes:
        slots: jobs that run at once.
    """

    def __init__(self, workers: int) -> None:
        self.slots = workers
        context = _worker_context()
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)

    def __enter__(self) -> "LocalEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, call: Callable, *args: object) -> Future:
        """Starts a job.

        Raises:
            WorkerDied: a process has ended.
        """
        try:
            return self._pool.submit(call, *args)
        except BrokenProcessPool as error:
            raise _death_error() from error

    def wait(self, jobs: Iterable[Future]) -> tuple[list, set[Future]]:
        """Waits for one job at least; returns (answers of finished jobs, jobs that still run).

        Raises:
            InputError: raised by a job.
            WorkerDied: a process has ended.
        """
        done, going = wait(jobs, return_when=FIRST_COMPLETED)
        try:
            return [job.result() for job in done], going
        except BrokenProcessPool as error:
            raise _death_error() from error


class RayEngine:
    """A Ray cluster: the one at RAY_ADDRESS, or one of `workers` processes on this machine.

    Ray schedules the jobs and repeats them when a machine goes away. All machines see the corpus and the
    output under the same paths, and have this package installed.

    Attributes:
        slots: jobs that run at once.
    """

    def __init__(self, workers: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise InputError("Ray is not installed", "Install it: pip install 'atldiff[cluster]'") from error
        self._ray, self._stack = ray, ExitStack()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if "RAY_ADDRESS" not in os.environ:
            logs = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ray"))
            options |= {"num_cpus": workers, "include_dashboard": False, "_temp_dir": logs}
            options |= {"object_store_memory": OBJECT_STORE}
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray keeps one in the home
        ray.init(**options)
        self.slots = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def __enter__(self) -> "RayEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()
        self._stack.close()

    def submit(self, call: Callable, *args: object) -> object:
        """Starts a job."""
        return self._ray.remote(max_retries=RETRIES, num_cpus=1)(call).remote(*args)

    def wait(self, jobs: Iterable[object]) -> tuple[list, set]:
        """Waits for one job at least; returns (answers of finished jobs, jobs that still run).

        Raises:
            InputError: raised by a job.
            WorkerDied: Ray gave a job up.
        """
        done, going = self._ray.wait(list(jobs), num_returns=1)
        try:
            return self._ray.get(done), set(going)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            raise WorkerDied(f"Ray gave a job up ({error})", "Run it again to go on") from error


def _worker_context() -> BaseContext:
    """Returns the way to start workers: copies of a process that has imported `prepare`, where they exist."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["atldiff.training.data.prepare"])
    return context


def _death_error() -> WorkerDied:
    problem = "A worker process was ended, perhaps because memory was short"
    return WorkerDied(problem, "Run it again to go on, with fewer --workers")


def open_engine(name: str, workers: int) -> LocalEngine | RayEngine:
    """The engine of that name; use it with `with`.

    Raises:
        InputError: no such engine, or Ray is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"There is no engine {name!r}", f"Choose one of {', '.join(ENGINES)}")
    return LocalEngine(workers) if name == "local" else RayEngine(workers)


def run_jobs(engine: LocalEngine | RayEngine, next_job: Callable[[], tuple | None]) -> Iterator:
    """Yields the jobs' answers in the order in which the jobs end.

    At most two jobs a slot are submitted at a time. `next_job` is asked again after each answer, so that
    answers may lead to new jobs.

    Args:
        next_job: returns (function, arguments, ...), or None while there is no job.
    """
    going: set = set()
    while True:
        while len(going) < 2 * engine.slots and (job := next_job()) is not None:
            going.add(engine.submit(*job))
        if not going:
            return
        done, going = engine.wait(going)
        yield from done
