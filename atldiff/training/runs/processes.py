"""What the training loops share to run on one process or many, through Accelerate, by the same command.

Nothing that is drawn depends on how many processes there are: sample number i, and all that is random
about it, come from generators keyed by (seed, i). Of each step's samples process r of n takes the r-th part,
so that n processes with `batch` samples each do what one does with n times as many.
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

# Where launchers say how many processes there are.
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
PATIENCE = timedelta(hours=6)  # of processes for the one that validates or encodes for all


def start_processes(
    device: str, out: Path, accumulate: int = 1, *, find_unused_parameters: bool = False
) -> Accelerator:
    """Accelerate for a run in the folder `out`, which is made; its curves go to `out/curves`.

    Args:
        device: "cpu", or else the GPU that is this process's.  accumulate: batches an optimiser step.
        find_unused_parameters: for networks of which some parameters may have no part in a step.

    Raises:
        InputError: the folder cannot be made; the launcher left this process without the others.
    """
    if _left_alone(os.environ):
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


def _left_alone(settings: Mapping[str, str]) -> bool:
    """`accelerate launch` was asked for several processes and has started one, which it told no rank.

    It does so on CPUs (but through MPI), and on several machines of one GPU each without --multi_gpu: then it
    leaves the main process's address and nothing else (accelerate/utils/launch.py,
    `prepare_simple_launcher_cmd_env`; ranks as in accelerate/utils/environment.py).
    """
    return (
        "ACCELERATE_USE_CPU" in settings and "MASTER_ADDR" in settings and settings.keys().isdisjoint(SIZES)
    )


def sample_numbers(accelerator: Accelerator, batch: int, first: int) -> Iterator[range]:
    """The numbers of the samples in each of this process's batches, without end, from batch `first` on."""
    for turn in itertools.count(first):
        begin = (turn * accelerator.num_processes + accelerator.process_index) * batch
        yield range(begin, begin + batch)


def generator_of(seed: int, number: int, device: torch.device) -> torch.Generator:
    """The generator of all that is random about sample `number`, but for what it shows."""
    key = np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(key))


def seed_step(accelerator: Accelerator, seed: int, step: int) -> None:
    """Sets torch's own generators, from which dropout draws, to what they are at that step, always."""
    key = np.random.SeedSequence((seed, step, accelerator.process_index)).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(key))


def over_processes(accelerator: Accelerator) -> Callable[[Tensor], Tensor]:
    """The mean of a tensor over the processes, for the weights by which a loss is divided: the gradients'
    mean over the processes is then that of the whole batch.
    """
    return lambda value: accelerator.reduce(value.detach(), "mean")


def from_main(accelerator: Accelerator, make: Callable[[], Any]) -> Any:
    """What `make` returns to the main process, in all of them; the others do not call it."""
    made = [make() if accelerator.is_main_process else None]
    return broadcast_object_list(made)[0]


class Journal:
    """A run's log: a line of JSON an entry in a file of its folder, and TensorBoard's curves and pictures.

    Args:
        name: of the file, without .jsonl.  step: from which on the curves are written (anew).

    Raises:
        InputError: it cannot be written, for example because the disk is full; here and in every method.
    """

    def __init__(self, accelerator: Accelerator, name: str, step: int) -> None:
        self._path = Path(accelerator.project_dir) / f"{name}.jsonl"
        self._accelerator = accelerator
        _hush_curves()
        with self._writing():
            accelerator.init_trackers("curves", init_kwargs={"tensorboard": {"purge_step": step}})

    def write(self, entry: dict[str, Any], picture: np.ndarray | None = None) -> None:
        """Adds an entry, in the main process. With a "step" its numbers become points of curves.

        Args:
            picture: (H, W, 3) uint8, to look at.
        """
        if not self._accelerator.is_main_process:
            return
        with self._writing():
            with open(self._path, "a") as log:
                log.write(json.dumps({"time": round(time.time())} | entry) + "\n")
            for tracker in self._accelerator.trackers if "step" in entry else ():
                tracker.log({k: v for k, v in entry.items() if k != "step"}, step=entry["step"])
                if picture is not None:
                    shown = {"validation": picture[None]}
                    tracker.log_images(shown, step=entry["step"], dataformats="NHWC")

    def close(self) -> None:
        """Ends the curves' file."""
        with self._writing():
            for tracker in self._accelerator.trackers:
                tracker.finish()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "Make room and give the same command again: it goes on from the last state"
            raise InputError(f"{self._path} cannot be written ({error.strerror})", remedy) from error


def _hush_curves() -> None:
    """The thread that writes TensorBoard's file keeps an error, which the next entry raises again and the
    journal says: from here on Python prints no trace of it as well.
    """
    before = threading.excepthook

    def hushed(told: threading.ExceptHookArgs) -> None:
        """Tells of what ended a thread, but for a full disk of the curves' writer."""
        curves = type(told.thread).__module__.startswith("tensorboard.")
        if not (curves and isinstance(told.exc_value, OSError)):
            before(told)

    if before.__module__ != __name__:
        threading.excepthook = hushed


def finish(text: str) -> None:
    """Prints a command's answer, once, and parts from the other processes."""
    state = PartialState()
    state.print(text)
    state.destroy_process_group()
