"""Windows of several requests, computed by the network in one batch: so a GPU is kept busy."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel, IdentityUNet3DOutput

MOST = 8  # windows in a batch
PATIENCE = 0.004  # seconds that a batch which is not full waits for more


@dataclass(frozen=True, eq=False)
class _Window:
    """One call of the network: its tensors in the order of `IdentityUNet3DModel.forward`, and its answer."""

    inputs: tuple[Any, ...]
    answer: "Future[Tensor]" = field(default_factory=Future)

    @property
    def kind(self) -> tuple:
        """What the windows of a batch have in common."""
        return tuple(None if each is None else (each.shape[1:], each.dtype) for each in self.inputs)


class WindowBatcher:
    """Stands in the network's place where threads call it side by side; each gets what it would get alone.

    One of the waiting threads computes, in one batch, the oldest window that waits and those of the same
    shape; meanwhile others gather for the next. Where a batch fails its windows are computed one by one, so
    that only those fail which fail alone. Whoever has lost interest costs a place in one batch.
    """

    def __init__(self, unet: IdentityUNet3DModel, most: int = MOST, patience: float = PATIENCE) -> None:
        self._unet, self._most, self._patience = unet, most, patience
        self._changed, self._busy = threading.Condition(), False
        self._waiting: list[_Window] = []

    @property
    def device(self) -> torch.device:
        """The network's."""
        return self._unet.device

    @property
    def dtype(self) -> torch.dtype:
        """The network's."""
        return self._unet.dtype

    @property
    def config(self) -> Any:
        """The network's."""
        return self._unet.config

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor | int,
        prior: Tensor,
        identity: Tensor,
        emotion: Tensor,
        guide: Tensor | None = None,
        style: Tensor | None = None,
    ) -> IdentityUNet3DOutput:
        """See `IdentityUNet3DModel.forward`; raises what that raises of these inputs."""
        timesteps = torch.as_tensor(timestep, device=sample.device).reshape(-1).expand(len(sample))
        window = _Window((sample, timesteps, prior, identity, emotion, guide, style))
        with self._changed:
            self._waiting.append(window)
            self._changed.notify_all()
        while batch := self._next_batch(window):
            try:
                self._compute(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        return IdentityUNet3DOutput(sample=window.answer.result())

    def _next_batch(self, window: _Window) -> list[_Window]:
        """The windows that the caller has to compute now, the oldest first; none once its own is answered."""
        with self._changed:
            self._changed.wait_for(lambda: window.answer.done() or not self._busy)
            if window.answer.done():
                return []
            self._busy, kind = True, self._waiting[0].kind
            self._changed.wait_for(lambda: len(self._alike(kind)) == self._most, self._patience)
            batch = self._alike(kind)
            self._waiting = [each for each in self._waiting if each not in batch]
            return batch

    def _alike(self, kind: tuple) -> list[_Window]:
        """The oldest waiting windows of that kind, no more than a batch takes."""
        return [each for each in self._waiting if each.kind == kind][: self._most]

    def _compute(self, batch: Sequence[_Window]) -> None:
        """Answers each window of the batch."""
        try:
            answers = self._run(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for each in batch:
                self._compute([each])
            return
        for each, answer in zip(batch, answers, strict=True):
            each.answer.set_result(answer)

    @torch.no_grad()
    def _run(self, batch: Sequence[_Window]) -> Sequence[Tensor]:
        """The network's answers to windows of one kind."""
        if len(batch) == 1:
            return [self._unet(*batch[0].inputs).sample]
        columns = zip(*(each.inputs for each in batch), strict=True)
        inputs = [None if column[0] is None else torch.cat(column) for column in columns]
        return self._unet(*inputs).sample.split([len(each.inputs[0]) for each in batch])
