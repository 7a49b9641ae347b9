"""What the training loops share: averaged weights to look at, and the state that an exact resume needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import nn

from atldiff.errors import InputError


@contextmanager
def averaged(net: nn.Module, average: EMAModel) -> Iterator[None]:
    """In this block the network has its averaged weights and is in eval mode; afterwards it is as it was."""
    training = net.training
    average.store(net.parameters())
    average.copy_to(net.parameters())
    net.eval()
    try:
        yield
    finally:
        average.restore(net.parameters())
        net.train(training)


def save_state(path: Path, parts: dict[str, Any], **values: Any) -> None:
    """Writes the parts' states, plain values and torch's generators; whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written; the state before stays.
    """
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    state = {name: part.state_dict() for name, part in parts.items()} | values
    part = path.with_suffix(".part")
    try:
        torch.save(state | {"rng": torch.get_rng_state(), "cuda_rng": cuda}, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as RuntimeError
        part.unlink(missing_ok=True)
        remedy = "Make room and give the same command again: it goes on from the state before"
        raise InputError(f"{path} cannot be written", remedy) from error


def load_state(path: Path, parts: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Takes up what `save_state` wrote; returns the plain values."""
    state = torch.load(path, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state.pop(name))
    torch.set_rng_state(state.pop("rng").cpu())
    generators = [generator.cpu() for generator in state.pop("cuda_rng")]
    if torch.cuda.is_available() and len(generators) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(generators)
    return state
