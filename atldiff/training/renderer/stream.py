"""Prepared clips streamed from shards in a shuffled order, which a resumed run continues."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from atldiff.errors import InputError
from atldiff.speech.encoders import Encoder
from atldiff.training.data.shards import list_shards, read_shard
from atldiff.training.renderer.clips import Moment, StoredClip, choose_frames, stored_clip
from atldiff.training.renderer.samples import MAX_TRIES, PhotoDraw, SampleConfig, make_sample


class ClipStream(IterableDataset):
    """A split's clips, each `repeats` times an epoch, with one shard at a time in memory.

    - (seed, epoch) determines the order of shards, (seed, epoch, shard) that of a shard's clips.
    - Training processes and their loader workers share the shards, or the clips if shards are too few.
    - `load_state_dict` continues at the clip of `state_dict` and reads only its shard. torchdata's
      StatefulDataLoader calls both in its workers.

    Args:
        data: folder that `prepare` wrote.
        split: "train", "val" or "test".
        seed: seed of the order.
        epochs: number of epochs; None: endless.
        repeats: how often a clip comes in an epoch, while its shard is open.
        encoder: recognises the emotion of clips with sound; None: it is unknown.
        rank, world_size: number of this training process, and of all of them.

    Raises:
        InputError: nothing was prepared in `data`, or the split is empty.
    """

    def __init__(
        self,
        data: Path,
        split: str,
        seed: int = 0,
        epochs: int | None = None,
        repeats: int = 1,
        encoder: Encoder | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        self._data, self._seed, self._epochs, self._encoder = data, seed, epochs, encoder
        self._rank, self._world_size, self._repeats = rank, world_size, repeats
        self._shards = [(shard["name"], shard["samples"]) for shard in list_shards(data, split)]
        if not any(samples for _, samples in self._shards):
            raise InputError(f"{data} holds no clips of the split {split!r}", "Prepare more clips")
        self._epoch, self._next = 0, 0

    def state_dict(self) -> dict[str, int]:
        """The stream's position: seed, epoch, and number of clips that this process has read in it."""
        return {"seed": self._seed, "epoch": self._epoch, "clip": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Moves to a position; prepared data, seed and number of processes must be the same."""
        assert state["seed"] == self._seed, (state["seed"], self._seed)
        self._epoch, self._next = state["epoch"], state["clip"]

    def key(self) -> tuple[int, int, int]:
        """(seed, rank, worker), which identifies this process's and worker's stream."""
        info = get_worker_info()
        return self._seed, self._rank, info.id if info else 0

    def __iter__(self) -> Iterator[StoredClip]:
        while self._epochs is None or self._epoch < self._epochs:
            first, begin, usable = 0, self._next, False
            for name, places in self._order(self._epoch):
                rest = places[max(0, self._next - first) :]
                first += len(places)
                for entry, arrays in read_shard(self._data / f"{name}.tar", rest) if len(rest) else ():
                    self._next += 1
                    clip = stored_clip(entry, arrays, self._encoder)
                    if clip is not None:
                        usable = True
                        yield clip
            if begin == 0 and not usable:
                raise InputError("No clip has enough usable pictures", "Prepare others")
            self._epoch, self._next = self._epoch + 1, 0

    def _order(self, epoch: int) -> Iterator[tuple[str, np.ndarray]]:
        """(shard, places in it) of this process and worker in an epoch."""
        info = get_worker_info()
        workers, worker = (info.num_workers, info.id) if info else (1, 0)
        takers, taker = self._world_size * workers, self._rank * workers + worker
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._shards))
        by_shard = len(order) >= takers
        for number in order[taker::takers] if by_shard else order:
            name, samples = self._shards[number]
            rng = np.random.default_rng((self._seed, epoch, int(number)))
            places = np.concatenate([rng.permutation(samples) for _ in range(self._repeats)])
            yield name, places if by_shard else places[taker::takers]


class WindowStream(IterableDataset):
    """Samples (see `make_sample`) for corpora that do not fit into memory, one from each clip of a stream.

    The clip's place in the stream seeds the sample. A resumed run continues like the stream.

    Args:
        clips: the stream.
        config: what a sample holds.
        photos: clips of one frame (`reopened.load_faces`), drawn between the clips.
    """

    def __init__(self, clips: ClipStream, config: SampleConfig, photos: Sequence[StoredClip] = ()) -> None:
        super().__init__()
        self._clips, self._config, self._photos = clips, config, PhotoDraw(photos, config)

    def state_dict(self) -> dict[str, int]:
        """The stream's position."""
        return self._clips.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Moves to a position."""
        self._clips.load_state_dict(state)

    def __iter__(self) -> Iterator[dict]:
        import cv2

        cv2.setNumThreads(0)
        key, failed = self._clips.key(), 0
        for clip in self._clips:
            place = self._clips.state_dict()
            rng = np.random.default_rng((*key, place["epoch"], place["clip"]))
            if (photo := self._photos.draw(rng)) is not None:
                yield photo
                continue
            chosen = choose_frames(clip, self._config.frames, rng)
            failed = failed + 1 if chosen is None else 0
            if chosen is not None:
                yield make_sample(Moment.from_clip(clip, *chosen, self._config.frames), self._config, rng)
            elif failed == MAX_TRIES:
                raise InputError(
                    "No clip has frames in a row with another that looks alike", "Prepare others"
                )
