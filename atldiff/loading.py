"""Loads weights of any version from a folder or from the Hugging Face hub."""

import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from atldiff.errors import InputError
from atldiff.memory import share_memory

if TYPE_CHECKING:
    from atldiff.diffusers_base import DDIMScheduler
    from atldiff.pipeline import ATLDiffPipeline


def translate_index(index: dict[str, Any]) -> dict[str, Any]:
    """Translates a pipeline's `model_index.json` of any version to this version's names.

    The first versions name each class's module ("atldiff.rendering.unet3d"); this one names the package.
    """
    return {
        key: ["atldiff", value[1]]
        if isinstance(value, list | tuple) and len(value) == 2 and str(value[0]).startswith("atldiff.")
        else value
        for key, value in index.items()
    }


def load_network(folder: Path, kinds: Iterable[Any], noun: str, remedy: str) -> Any:
    """Loads a network that `save_pretrained` wrote.

    Args:
        folder: the network's folder.
        kinds: the classes it may have.
        noun: name of the network in the error message.
        remedy: the message's advice on the folder.

    Raises:
        InputError: there is no such network in the folder, or its file is broken.
    """
    known = {kind.__name__: kind for kind in kinds}
    try:
        kind = known[json.loads((folder / "config.json").read_text())["_class_name"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"There is no {noun} in {folder}", remedy) from error
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except OSError as error:  # diffusers raises it for a cut, missing or unreadable file
        raise InputError(f"The {noun} in {folder} cannot be read", "Save it again") from error


def load_scheduler(folder: Path) -> "DDIMScheduler | None":
    """Loads a pipeline's DDIM scheduler, or returns None where it has another one.

    `DDIMScheduler.from_pretrained` would import all schedulers of diffusers, and scipy with them.

    Args:
        folder: the pipeline's.
    """
    from atldiff.diffusers_base import DDIMScheduler

    try:
        config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    except (OSError, ValueError):
        return None  # diffusers says what is wrong with it
    if config.get("_class_name") != DDIMScheduler.__name__:
        return None
    known = inspect.signature(DDIMScheduler).parameters
    return DDIMScheduler(**{key: value for key, value in config.items() if key in known})


def load_published(kind: Any, name: str) -> Any:
    """Loads a public network of the class `kind` from the hub, its cache or a folder.

    Raises:
        InputError: the hub cannot be reached and the weights are not in its cache.
    """
    try:
        return kind.from_pretrained(name)
    except OSError as error:
        raise InputError(
            f"The weights of {name} are not on this machine and the hub cannot be reached",
            "Connect to the internet once, or use the starter preset",
        ) from error


def pipeline_folder(source: str | Path) -> Path:
    """Finds a pipeline's folder: `source` itself, or the copy of a hub repository.

    Raises:
        InputError: `source` is neither a folder nor a hub repository with a pipeline.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = from_hub(str(source))
    if not (folder / "model_index.json").exists():
        raise InputError(f"There is no pipeline in {folder}", "Name a folder that save_pretrained wrote")
    return folder


def from_hub(name: str) -> Path:
    """Finds the folder of a hub repository's files; downloads them if the cache lacks them.

    Raises:
        InputError: there is no repository of that name, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        problem = f"The weights {name!r} are no folder here and could not be fetched from the hub"
        raise InputError(problem, "Check name and connection, or leave them out for the starter") from error


def load_pipeline(
    weights: str | None = None, device: str = "cpu", dtype: torch.dtype | None = None
) -> "ATLDiffPipeline":
    """Loads a pipeline on a device. From then on all threads share one pool of memory.

    Args:
        weights: folder or hub id; None = the embedded starter.
        device: a torch device.
        dtype: of the U-Net; None = the fastest one of the device.

    Raises:
        InputError: there is no pipeline of that name, or no such device.
    """
    from atldiff.diffusers_base import logging
    from atldiff.pipeline import ATLDiffPipeline  # the import takes seconds: check the inputs first

    share_memory()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    pipeline = ATLDiffPipeline.from_pretrained(weights)
    try:
        pipeline.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device {device!r} cannot be used", "Choose cpu, or leave it out") from error
    if dtype is None:
        return pipeline.use_fast_dtype()
    pipeline.unet.to(dtype=dtype)
    return pipeline
