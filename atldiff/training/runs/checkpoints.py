"""What the training loops share: averaged weights to look at, and the state that an exact resume needs."""

import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError
from torch import nn

from atldiff.errors import InputError


@contextmanager
def averaged(net: nn.Module, average: EMAModel) -> Iterator[None]:
    """In this block the network has its averaged weights and is in eval mode; afterwards it is as it was."""
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
def writing(path: Path) -> Iterator[None]:
    """What cannot be written in this block, for example because the disk is full, is told in a sentence.

    Raises:
        InputError: names `path`.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's writer: RuntimeError
        remedy = "Make room and give the same command again: it goes on from the state before"
        raise InputError(f"{path} cannot be written", remedy) from error


def save_text(path: Path, text: str) -> None:
    """Writes a file, whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written; the file before stays.
    """
    part = path.with_suffix(".part")
    try:
        with writing(path):
            part.write_text(text)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save_state(path: Path, parts: dict[str, Any], **values: Any) -> None:
    """Writes the parts' states and plain values; whole or not at all.

    Random generators need no saving: each step draws from those of its number (`processes`).

    Raises:
        InputError: the disk is full or the folder cannot be written; the state before stays.
    """
    state = {name: part.state_dict() for name, part in parts.items()} | values
    part = path.with_suffix(".part")
    try:
        with writing(path):
            torch.save(state, part)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save_networks(folder: Path, networks: dict[str, Any]) -> None:
    """Writes each network to `folder/NAME`; a file that is there stays until the new one is whole. Where it
    was loaded from is left out: weights that are shared tell nothing of this machine's folders.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    part = folder.with_name(f"{folder.name}.part")
    try:
        with writing(folder):
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
    path: Path, parts: dict[str, Any], device: torch.device, begun: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Takes up what `save_state` wrote; returns the plain values.

    Args:
        begun: what must be as it was when the run was begun, by the words for it; a state whose plain value
            `begun` differs is refused. Fields of a preset that the state does not know are not compared.

    Raises:
        InputError: the run was begun with other settings or networks; the file is broken.
    """
    other = "Give another --out, or the settings it was begun with"
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        remedy = "Remove it to begin again, or give another --out"
        raise InputError(f"{path} cannot be read", remedy) from error
    told = state.get("begun") or {}
    for name, value in (begun or {}).items():
        if not _agree(told.get(name, value), value):
            raise InputError(f"The run in {path.parent} was begun with another {name}", other)
    try:
        for name, part in parts.items():
            part.load_state_dict(state.pop(name))
    except (KeyError, ValueError, RuntimeError) as error:  # of other shapes, or not there
        raise InputError(f"The run in {path.parent} was begun with other networks", other) from error
    return state


def _agree(saved: Any, now: Any) -> bool:
    """Whether all that a saved value holds is what the value holds now."""
    if isinstance(saved, dict) and isinstance(now, dict):
        return all(_agree(value, now.get(name)) for name, value in saved.items())
    return saved == now


def go_on_at(schedule: torch.optim.lr_scheduler.LRScheduler, step: int) -> None:
    """A resumed run's learning rates: those of its present number of steps, which may be another than that
    with which it was begun. The rate of the next step is in the optimiser's state.
    """
    schedule.last_epoch = step
