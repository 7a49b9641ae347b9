"""Workers behind the page's queue, without Ray: what one does when it is asked, left and given rubbish.

`ATLDIFF_REPLICAS=2 python tools/load.py` tries the whole with Ray Serve.
"""

import asyncio
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from atldiff.errors import InputError
from atldiff.web.jobs import replicas
from atldiff.web.jobs.replicas import Replicas, Worker
from atldiff.web.jobs.request import Step


class Job:
    """Stands for `request.make`: two frames and a video; knows its folder and whether it was closed."""

    def __init__(self) -> None:
        self.folder, self.closed = Path(), threading.Event()

    def __call__(self, pipeline, animation, folder: Path):
        self.folder = folder
        try:
            for done in (1, 2):
                yield Step(done, 2)
            if animation == "rubbish":
                raise InputError("It cannot be used", "Send another")
            (folder / "talking.webm").write_bytes(b"film")
            (folder / "talking.c2pa").write_bytes(b"signed")
            yield Step(2, 2, video=folder / "talking.webm")
        finally:
            self.closed.set()


@pytest.fixture
def job(monkeypatch) -> Job:
    job = Job()
    monkeypatch.setattr(replicas, "make", job)
    monkeypatch.setattr(replicas, "load_pipeline", lambda weights, device: None)
    return job


async def asked(animation: str = "a face", leave_after: int = 99) -> list[tuple[Step, dict[str, bytes]]]:
    """What a worker answers to one who leaves after so many steps."""
    answers, answering = [], Worker(None, "cpu").make(animation)
    async for answer in answering:
        answers.append(answer)
        if len(answers) == leave_after:
            break
    await answering.aclose()
    return answers


def test_a_worker_sends_each_step_and_the_files_themselves_and_keeps_nothing(job):
    answers = asyncio.run(asked())
    assert [step.done for step, _ in answers] == [1, 2, 2]
    assert [sent for _, sent in answers] == [{}, {}, {"talking.webm": b"film", "talking.c2pa": b"signed"}]
    assert job.closed.is_set() and not job.folder.exists()


def test_a_worker_stops_when_the_caller_leaves(job):
    assert len(asyncio.run(asked(leave_after=1))) == 1
    assert job.closed.is_set() and not job.folder.exists()


def test_a_users_mistake_comes_back_as_itself(job):
    with pytest.raises(InputError, match="Send another"):
        asyncio.run(asked("rubbish"))
    assert job.closed.is_set() and not job.folder.exists()


class Stuck:
    """Stands for a deployment's handle, whose worker never answers."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.make, self.cancel = self, self.left.set

    def options(self, stream: bool) -> "Stuck":
        return self

    def remote(self, animation) -> "Stuck":
        return self

    def __next__(self) -> None:
        self.left.wait(20)
        raise StopIteration

    def __iter__(self) -> "Stuck":
        return self


def test_who_cancels_does_not_wait_for_a_worker(tmp_path):
    workers = object.__new__(Replicas)
    workers._handle, workers._ray = Stuck(), ray_of_one_error()
    steps = workers.make(SimpleNamespace(landmarks=SimpleNamespace(points=range(30))), tmp_path)
    begin = time.monotonic()
    assert next(steps) == next(steps) == Step(0, 30)
    steps.close()
    assert workers._handle.left.is_set() and time.monotonic() < begin + 15  # it would be stuck for 20


def ray_of_one_error() -> SimpleNamespace:
    return SimpleNamespace(exceptions=SimpleNamespace(RayTaskError=ZeroDivisionError))


def test_without_ray_serve_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"atldiff\[serve\]"):
        Replicas(2)
