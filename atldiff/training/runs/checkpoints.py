"""Files of the training loops: averaged weights, and the state that an exact resume needs."""

import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from atldiff.errors import InputError
from atldiff.system import atomic_write
from atldiff.training.runs.average import EMAModel


@contextmanager
def use_average(net: nn.Module, average: EMAModel) -> Iterator[None]:
    """Gives the network its averaged weights and eval mode inside the block, and restores both after it."""
    training = [(module, module.training) for module in net.modules()]
    average.store(net.parameters())
    average.copy_to(net.parameters())
    net.eval()
    try:
        yield
    finally:
        average.restore(net.parameters())
        for module, mode in training:  # not `net.train()`: a frozen part's statistics stay frozen
            module.training = mode


@contextmanager
def report_write_errors(path: Path) -> Iterator[None]:
    """Turns an error of writing inside the block, such as a full disk, into a sentence about `path`.

    Raises:
        InputError: something in the block cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's writer: RuntimeError
        remedy = "Make room and give the same command again: it goes on from the state before"
        raise InputError(f"{path} cannot be written", remedy) from error


def save_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written; the old file stays.
    """
    with report_write_errors(path), atomic_write(path) as part:
        part.write_text(text)


def save_state(path: Path, parts: dict[str, Any], **values: Any) -> None:
    """Writes the parts' states and plain values; whole or not at all.

    Random generators are not saved: each step seeds its own by its number (`processes`).

    Raises:
        InputError: the disk is full or the folder cannot be written; the old state stays.
    """
    state = {name: part.state_dict() for name, part in parts.items()} | values
    with report_write_errors(path), atomic_write(path) as file:
        torch.save(state, file)


def save_networks(folder: Path, networks: dict[str, Any]) -> None:
    """Writes each network to `folder/NAME`; an old file stays until the new one is whole.

    The path that a network was loaded from is left out: weights are shared, folders of a machine are not.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    part = folder.with_name(f"{folder.name}.part")
    try:
        with report_write_errors(folder):
            for name, network in networks.items():
                if "_name_or_path" in getattr(network, "config", {}):
                    network.register_to_config(_name_or_path="")
                network.save_pretrained(part / name)
            for file in [file for file in part.rglob("*") if file.is_file()]:
                target = folder / file.relative_to(part)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_state(
    path: Path, parts: dict[str, Any], device: torch.device, fixed: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Loads what `save_state` wrote into the parts; returns the plain values.

    Args:
        fixed: settings that may not change in a run, by the words for them in the error. They are compared
            with the state's own `settings`, except for fields of a preset that the state does not have.

    Raises:
        InputError: the run was begun with other settings or networks; the file is broken.
    """
    other = "Give another --out, or the settings it was begun with"
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        remedy = "Remove it to begin again, or give another --out"
        raise InputError(f"{path} cannot be read", remedy) from error
    settings = state.get("settings") or state.get("begun") or {}  # "begun" up to version 0.9
    for name, value in (fixed or {}).items():
        if not _agree(settings.get(name, value), value):
            raise InputError(f"The run in {path.parent} was begun with another {name}", other)
    try:
        for name, part in parts.items():
            part.load_state_dict(state.pop(name))
    except (KeyError, ValueError, RuntimeError) as error:  # of other shapes, or not there
        raise InputError(f"The run in {path.parent} was begun with other networks", other) from error
    return state


def _agree(saved: Any, now: Any) -> bool:
    """Whether every entry of a saved value equals that of the present one."""
    if isinstance(saved, dict) and isinstance(now, dict):
        return all(_agree(value, now.get(name)) for name, value in saved.items())
    return saved == now


def resume_schedule(schedule: torch.optim.lr_scheduler.LRScheduler, step: int) -> None:
    """Moves a schedule to a resumed run's step.

    The schedule is that of the present number of steps, which may differ from the number of the first run.
    The optimiser's state holds the rate of the next step.
    """
    schedule.last_epoch = step
