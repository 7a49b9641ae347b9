"""Batches of the renderer's training: from memory if the clips fit, else streamed from shards."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch.utils.data import DataLoader

from atldiff.errors import InputError
from atldiff.speech.encoders import Encoder
from atldiff.system import end_with_parent, usable_cores
from atldiff.training.data.shards import list_shards
from atldiff.training.renderer.clips import StoredClip, load_clips
from atldiff.training.renderer.samples import SampleConfig, WindowDataset
from atldiff.training.renderer.stream import ClipStream, WindowStream
from atldiff.training.runs.processes import sample_numbers

MEMORY = 4.0  # GB of prepared clips that each process holds by default
REPEATS = 4  # samples of a streamed clip while its shard is open
MAX_WORKERS = 16  # enough to feed one GPU
AHEAD = 4  # batches that each of them prepares ahead


@dataclass(frozen=True)
class DataConfig:
    """The source of training samples.

    Attributes:
        data: folder that `prepare` wrote.
        memory: GB that the train split may take in memory; a larger one is streamed.
        encoder: recognises the clips' emotion; None: it is unknown.
        photos: single faces (`reopened.load_faces`).
        seed: seed of the samples.
        batch: samples a batch of one process.
    """

    data: Path
    memory: float = MEMORY
    encoder: Encoder | None = None
    photos: Sequence[StoredClip] = ()
    seed: int = 0
    batch: int = 1


class Batches:
    """Endless batches for this process, each with its samples' numbers.

    - Clips in memory: a number determines its sample (`WindowDataset`).
    - Streamed clips come in their shards' order; a number determines only the step's random draws.

    Args:
        source: the source of samples.
        config: what a sample holds.
        first: number of the first batch.
        places: state of each process's stream, from `places()`; empty: from the start.

    Raises:
        InputError: nothing was prepared; the stream has the state of another number of processes.
    """

    def __init__(
        self,
        source: DataConfig,
        config: SampleConfig,
        accelerator: Accelerator,
        first: int = 0,
        places: Sequence[dict] = (),
    ) -> None:
        self._source, self._config, self._accelerator, self._first = source, config, accelerator, first
        self.streamed = prepared_size(source.data, "train") > source.memory * 1e9
        if places and len(places) != accelerator.num_processes:
            problem = f"This run was begun with {len(places)} processes, which read clips as they come"
            raise InputError(problem, "Start as many, or give another --out")
        self._loader: Any = self._stream(places) if self.streamed else self._in_memory()

    def __iter__(self) -> Iterator[tuple[range, dict]]:
        numbers = sample_numbers(self._accelerator, self._source.batch, self._first)
        return zip(numbers, _read_batches(self._loader), strict=False)

    def places(self) -> list[dict]:
        """State of every process's stream; empty without a stream. All processes must call it."""
        return gather_object([self._place()]) if self.streamed else []

    def _place(self) -> dict[str, Any]:
        return {"workers": self._loader.num_workers, "loader": self._loader.state_dict()}

    def _in_memory(self) -> DataLoader:
        source = self._source
        clips = load_clips(source.data, "train", source.encoder)
        if not clips:
            raise InputError(f"{source.data} has no pictures to train on", "Prepare more clips")
        dataset = WindowDataset(clips, self._config, source.seed, source.photos)
        numbers = sample_numbers(self._accelerator, source.batch, self._first)
        batches = cast(Iterable[list[int]], numbers)  # ranges serve as lists
        return DataLoader(dataset, batch_sampler=batches, **_loading(self._accelerator))

    def _stream(self, places: Sequence[dict]) -> DataLoader:
        from torchdata.stateful_dataloader import StatefulDataLoader

        source, accelerator = self._source, self._accelerator
        share = {"rank": accelerator.process_index, "world_size": accelerator.num_processes}
        clips = ClipStream(
            source.data, "train", source.seed, repeats=REPEATS, encoder=source.encoder, **share
        )
        stream = WindowStream(clips, self._config, source.photos)
        loading = _loading(accelerator)
        place = places[accelerator.process_index] if places else None
        if place is not None:
            loading["num_workers"] = place["workers"]
        loader = StatefulDataLoader(stream, batch_size=source.batch, drop_last=True, **loading)
        if place is not None:
            loader.load_state_dict(place["loader"])
        return loader


def _read_batches(loader: DataLoader) -> Iterator[dict]:
    """Yields the loader's batches, and turns a worker's end into a sentence.

    Raises:
        InputError: raised in a worker (torch passes it on as text), or a worker was killed.
    """
    try:
        yield from loader
    except RuntimeError as error:
        *_, last = str(error).strip().splitlines()
        if "InputError: " in last:
            problem, _, remedy = last.partition("InputError: ")[2].rpartition(": ")
            raise InputError(problem, remedy) from error
        if "DataLoader worker" in last and "signal" in last or "exited unexpectedly" in last:
            problem = "A process that reads the clips was ended, perhaps because memory was short"
            raise InputError(
                problem, "Give the same command again: it goes on from the last state"
            ) from error
        raise


def prepared_size(data: Path, split: str) -> int:
    """Size in bytes of a split's shards."""
    return sum(shard["bytes"] for shard in list_shards(data, split))


def _loading(accelerator: Accelerator) -> dict[str, Any]:
    """The loader's settings: one worker for each core but one."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    workers = usable_cores() // local - 1
    return {
        "num_workers": max(1, min(MAX_WORKERS, workers)),
        "prefetch_factor": AHEAD,
        "worker_init_fn": _start_worker,
        "pin_memory": accelerator.device.type != "cpu",
    }


def _start_worker(_: int) -> None:
    """Gives a worker one thread, and the end of its training."""
    import cv2

    cv2.setNumThreads(0)
    end_with_parent()
