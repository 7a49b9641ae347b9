"""The same jobs in local processes and on Ray."""

import os
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from atldiff.errors import InputError
from atldiff.training.data.engines import WorkerDied, open_engine, run_jobs


def square(number):
    time.sleep(0.05)
    return number * number, os.getpid()


def refuse(number):
    raise InputError(f"Number {number} is broken", "Use another")


def leave(_):
    os._exit(9)


def jobs_of(call, count):
    numbers = iter(range(count))
    return lambda: (call, number) if (number := next(numbers, None)) is not None else None


@pytest.fixture(scope="module", params=["local", "ray"])
def engine(request, tmp_path_factory, ray_engine):
    if request.param == "ray":
        yield ray_engine
        return
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        with open_engine("local", 2) as opened:
            yield opened
    assert not any(home.iterdir())


def test_two_processes_do_all_jobs_and_their_errors_come_back(engine):
    answers = list(run_jobs(engine, jobs_of(square, 24)))
    assert sorted(number for number, _ in answers) == [n * n for n in range(24)]
    processes = {process for _, process in answers}
    assert len(processes) == 2 and os.getpid() not in processes
    with pytest.raises(InputError) as caught:
        list(run_jobs(engine, jobs_of(refuse, 1)))
    assert (caught.value.problem, caught.value.remedy) == ("Number 0 is broken", "Use another")


def test_a_process_that_dies_ends_with_a_sentence(engine):
    with pytest.raises(InputError, match="to go on"):
        list(run_jobs(engine, jobs_of(leave, 1)))


def test_a_pool_that_broke_before_the_next_job_is_named_too():
    with open_engine("local", 1) as opened:
        broken = opened.submit(leave, 0)
        assert isinstance(broken.exception(timeout=100), BrokenProcessPool)
        with pytest.raises(WorkerDied, match="to go on"):
            opened.submit(square, 1)


ORPHANS = """
import os, time
from atldiff.training.data.engines import open_engine, run_jobs

if __name__ == "__main__":
    with open_engine("local", 1) as engine:
        print(next(run_jobs(engine, lambda: (os.getpid,))), flush=True)
        os.kill(os.getpid(), 9)
"""


def test_workers_end_with_a_process_that_is_killed():
    """SIGKILL leaves no time to end them: they see it themselves."""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[3])])
    command = [sys.executable, "-c", ORPHANS]
    environment = os.environ | {"PYTHONPATH": paths}
    killed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=100)
    assert killed.returncode == -9
    worker, until = int(killed.stdout), time.monotonic() + 30
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()


def test_jobs_are_asked_for_as_they_are_needed():
    class Engine:
        slots, running = 2, 0

        def submit(self, call, number):
            self.running += 1
            assert self.running <= 2 * self.slots
            return number

        def wait(self, jobs):
            self.running -= 1
            first = min(jobs)
            return [first], set(jobs) - {first}

    assert list(run_jobs(Engine(), jobs_of(square, 1000))) == list(range(1000))


def test_answers_may_bring_new_jobs():
    waiting = [3]
    seen = []
    with open_engine("local", 1) as opened:
        for answer, _ in run_jobs(opened, lambda: (square, waiting.pop()) if waiting else None):
            seen.append(answer)
            if answer < 100:
                waiting.append(answer)
    assert seen == [9, 81, 6561]


def test_unknown_engines_are_refused():
    with pytest.raises(InputError, match="no engine 'slurm'"):
        open_engine("slurm", 1)
