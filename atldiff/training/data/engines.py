"""Where the jobs of `prepare` run: in processes of this machine or on a Ray cluster, driven alike."""

import os
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context, parent_process
from typing import Any

from atldiff.errors import InputError

ENGINES = ("local", "ray")
RETRIES = 2  # of a job whose machine went away; Ray's business
GRACE = 10.0  # seconds for a worker to end by itself
OBJECT_STORE = 100 * 2**20  # bytes; jobs hand over names and counts, files carry the data


class WorkerDied(InputError):
    """A worker process was ended from outside, or by what it read."""


class LocalEngine:
    """Worker processes of this machine.

    Attributes:
        slots: jobs that are kept running.
    """

    def __init__(self, workers: int) -> None:
        self.slots = workers
        context = get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)

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
            raise _died() from error

    def wait(self, jobs: Iterable[Future]) -> tuple[list, set[Future]]:
        """(answers of jobs that have ended, those that go on); waits for one at least.

        Raises:
            InputError: a job's own.
            WorkerDied: its process was ended.
        """
        done, going = wait(jobs, return_when=FIRST_COMPLETED)
        try:
            return [job.result() for job in done], going
        except BrokenProcessPool as error:
            raise _died() from error


class RayEngine:
    """A Ray cluster: the one that RAY_ADDRESS names, or one of `workers` processes on this machine.

    Ray schedules the jobs and repeats those whose machine went away. All machines see the corpus and the
    output under the same paths, and have this package installed.
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
        """(answers of jobs that have ended, those that go on); waits for one at least.

        Raises:
            InputError: a job's own.
            WorkerDied: Ray gave it up.
        """
        done, going = self._ray.wait(list(jobs), num_returns=1)
        try:
            return self._ray.get(done), set(going)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            raise WorkerDied(f"Ray gave a job up ({error})", "Run it again to go on") from error


def _died() -> WorkerDied:
    problem = "A worker process was ended, perhaps because memory was short"
    return WorkerDied(problem, "Run it again to go on, with fewer --workers")


def _follow_parent() -> None:
    """A worker's start: it ends with the process that started it, also when that is killed."""
    parent = parent_process()
    assert parent is not None, "not a worker"

    def leave() -> None:
        """Waits for the parent's end, then ends this process."""
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # as the pool would: the clip is not what ended it
        time.sleep(GRACE)
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


def open_engine(name: str, workers: int) -> LocalEngine | RayEngine:
    """The engine of that name, to be used with `with`.

    Raises:
        InputError: there is none, or Ray is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"There is no engine {name!r}", f"Choose one of {', '.join(ENGINES)}")
    return LocalEngine(workers) if name == "local" else RayEngine(workers)


def run_jobs(engine: LocalEngine | RayEngine, next_job: Callable[[], tuple | None]) -> Iterator:
    """Answers of the jobs that `next_job` names, in the order in which they end.

    Only twice as many jobs as there are slots are known at a time. An answer that is handled may make
    `next_job` name more.

    Args:
        next_job: (function, arguments, ...), or None while there is none.
    """
    going: set = set()
    while True:
        while len(going) < 2 * engine.slots and (job := next_job()) is not None:
            going.add(engine.submit(*job))
        if not going:
            return
        done, going = engine.wait(going)
        yield from done
