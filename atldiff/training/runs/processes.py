"""Training on one process or many, through Accelerate, by the same command.

- Random numbers do not depend on the number of processes: generators of sample i are keyed by (seed, i).
- Process r of n takes the r-th part of each step's samples.
- So n processes with `batch` samples each do the same as one process with n times `batch`.
"""

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, broadcast_object_list
from torch import Tensor

from atldiff.errors import InputError
from atldiff.memory import keep_memory

# Variables in which launchers set the number of processes.
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
PATIENCE = timedelta(hours=6)  # processes wait as long for the one that validates or encodes for all


def start_processes(
    device: str, out: Path, accumulate: int = 1, *, find_unused_parameters: bool = False
) -> Accelerator:
    """Sets up Accelerate for a run in the folder `out`, which it creates; curves go to `out/curves`.

    Args:
        device: "cpu", else this process's GPU is used.
        accumulate: batches an optimiser step.
        find_unused_parameters: for networks in which a step may leave some parameters unused.

    Raises:
        InputError: the folder cannot be made; the launcher left this process without the others.
    """
    if _lacks_rank(os.environ):
        problem = "accelerate launch starts one process a machine here, and none of them knows of the others"
        raise InputError(problem, "Launch with torchrun on CPUs, and add --multi_gpu on GPUs")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be made ({error.strerror})", "Give another --out") from error
    keep_memory()
    parallel = DistributedDataParallelKwargs(find_unused_parameters=find_unused_parameters)
    patient = InitProcessGroupKwargs(timeout=PATIENCE)
    return Accelerator(
        cpu=device == "cpu",
        gradient_accumulation_steps=accumulate,
        log_with="tensorboard",
        project_dir=out,
        kwargs_handlers=[parallel, patient],
    )


def _lacks_rank(settings: Mapping[str, str]) -> bool:
    """Whether `accelerate launch` was to start several processes but started one without a rank.

    This happens on CPUs without MPI, and on several one-GPU machines without --multi_gpu. The launcher then
    sets the main process's address alone (accelerate/utils/launch.py, `prepare_simple_launcher_cmd_env`;
    ranks as in accelerate/utils/environment.py).
    """
    return (
        "ACCELERATE_USE_CPU" in settings and "MASTER_ADDR" in settings and settings.keys().isdisjoint(SIZES)
    )


def sample_numbers(accelerator: Accelerator, batch: int, first: int) -> Iterator[range]:
    """Endless sample numbers of this process's batches, from batch `first` on."""
    for turn in itertools.count(first):
        begin = (turn * accelerator.num_processes + accelerator.process_index) * batch
        yield range(begin, begin + batch)


def sample_generator(seed: int, number: int, device: torch.device) -> torch.Generator:
    """The generator of timestep, noise, dropout and colours of sample `number`."""
    key = np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(key))


def seed_step(accelerator: Accelerator, seed: int, step: int) -> None:
    """Seeds torch's global generators, from which dropout draws, by the step."""
    key = np.random.SeedSequence((seed, step, accelerator.process_index)).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(key))


def mean_over_processes(accelerator: Accelerator) -> Callable[[Tensor], Tensor]:
    """A function that averages a tensor over the processes.

    A loss that is divided by an averaged total weight has the gradients of the whole batch.
    """
    return lambda value: accelerator.reduce(value.detach(), "mean")


def run_on_main(accelerator: Accelerator, call: Callable[[], Any]) -> Any:
    """Calls a function in the main process alone; returns its result in all processes."""
    results = [call() if accelerator.is_main_process else None]
    return broadcast_object_list(results)[0]


class Journal:
    """A run's log: one line of JSON an entry, and TensorBoard's curves and pictures.

    Args:
        name: name of the log file, without .jsonl.
        step: first step of the curves; later points are removed.

    Raises:
        InputError: the log cannot be written, for example because the disk is full; every method raises it.
    """

    def __init__(self, accelerator: Accelerator, name: str, step: int) -> None:
        self._path = Path(accelerator.project_dir) / f"{name}.jsonl"
        self._accelerator = accelerator
        _silence_curves()
        with self._report_errors():
            accelerator.init_trackers("curves", init_kwargs={"tensorboard": {"purge_step": step}})

    def write(self, entry: dict[str, Any], picture: np.ndarray | None = None) -> None:
        """Adds an entry, in the main process. With a "step" its numbers become points of curves.

        Args:
            picture: (H, W, 3) uint8, shown in TensorBoard.
        """
        if not self._accelerator.is_main_process:
            return
        with self._report_errors():
            with open(self._path, "a") as log:
                log.write(json.dumps({"time": round(time.time())} | entry) + "\n")
            for tracker in self._accelerator.trackers if "step" in entry else ():
                tracker.log({k: v for k, v in entry.items() if k != "step"}, step=entry["step"])
                if picture is not None:
                    pictures = {"validation": picture[None]}
                    tracker.log_images(pictures, step=entry["step"], dataformats="NHWC")

    def close(self) -> None:
        """Closes the curves' file."""
        with self._report_errors():
            for tracker in self._accelerator.trackers:
                tracker.finish()

    @contextmanager
    def _report_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "Make room and give the same command again: it goes on from the last state"
            raise InputError(f"{self._path} cannot be written ({error.strerror})", remedy) from error


def _silence_curves() -> None:
    """Suppresses the trace of a write error in TensorBoard's thread.

    The next entry raises the error again, and the journal reports it.
    """
    report = threading.excepthook

    def report_others(error: threading.ExceptHookArgs) -> None:
        """Reports the error that ended a thread, except for a write error of TensorBoard."""
        curves = type(error.thread).__module__.startswith("tensorboard.")
        if not (curves and isinstance(error.exc_value, OSError)):
            report(error)

    if report.__module__ != __name__:
        threading.excepthook = report_others


def finish(text: str) -> None:
    """Prints a command's answer once, and leaves the process group."""
    state = PartialState()
    state.print(text)
    state.destroy_process_group()
