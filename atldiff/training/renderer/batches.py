"""The batches that a renderer's training reads: from memory where the clips fit, else from shards."""

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
from atldiff.system import usable_cores
from atldiff.training.data.shards import list_shards
from atldiff.training.renderer.clips import StoredClip, load_clips
from atldiff.training.renderer.samples import SampleConfig, WindowDataset
from atldiff.training.renderer.stream import ClipStream, WindowStream
from atldiff.training.runs.processes import sample_numbers

MEMORY = 4.0  # GB of prepared clips that are held in each process, unless more are allowed
REPEATS = 4  # samples of a streamed clip while its shard is open
MAX_WORKERS = 16  # each made some 30 samples a second, where an H200 took 310


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from.

    Attributes:
        data: what `prepare` wrote.  memory: GB that its train split may take; more is streamed.
        encoder: hears the clips' emotion; None: it is unknown.  photos: single faces (`faces.load_faces`).
        seed: of the samples.  batch: samples a batch of one process.
    """

    data: Path
    memory: float = MEMORY
    encoder: Encoder | None = None
    photos: Sequence[StoredClip] = ()
    seed: int = 0
    batch: int = 1


class Batches:
    """Endless batches for this process, each with its samples' numbers, from batch `first` on.

    Clips in memory give the samples with just these numbers (`WindowDataset`). Streamed ones come in their
    shards' order; what their number decides is what is drawn in the step. Then `places` says where each
    process's stream stands.

    Raises:
        InputError: nothing was prepared; a stream that was begun with another number of processes.
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
        return zip(numbers, _loaded(self._loader), strict=False)

    def places(self) -> list[dict]:
        """Where every process's stream stands; none where the number of steps says it. All must ask."""
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
        batches = cast(Iterable[list[int]], numbers)  # ranges, which serve as lists
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


def _loaded(loader: DataLoader) -> Iterator[dict]:
    """The batches; what ends one of the loader's processes is said in a sentence.

    Raises:
        InputError: a process's own, which torch hands on as the text of its trace; one that was ended.
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
    """Bytes of a split's prepared clips."""
    return sum(shard["bytes"] for shard in list_shards(data, split))


def _loading(accelerator: Accelerator) -> dict[str, Any]:
    """The loader's workers: a core each beside the process itself."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    workers = usable_cores() // local - 1
    return {
        "num_workers": max(1, min(MAX_WORKERS, workers)),
        "prefetch_factor": 4,
        "worker_init_fn": _one_thread,
        "pin_memory": accelerator.device.type != "cpu",
    }


def _one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
