"""Batches the windows of several requests, so that a GPU stays busy."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel, IdentityUNet3DOutput

MOST = 8  # windows per batch, at most
PATIENCE = 0.004  # seconds that an incomplete batch waits for more windows


@dataclass(frozen=True, eq=False)
class _Window:
    """One call of the network.

    Attributes:
        inputs: in the order of `IdentityUNet3DModel.forward`.
        answer: (B, 3, F, H, W) prediction, or the error.
    """

    inputs: tuple[Any, ...]
    answer: "Future[Tensor]" = field(default_factory=Future)

    @property
    def kind(self) -> tuple:
        """Shapes and dtypes of the inputs, which the windows of a batch share."""
        return tuple(None if each is None else (each.shape[1:], each.dtype) for each in self.inputs)


class WindowBatcher:
    """Replaces the network when several threads call it; each thread gets the same answer as alone.

    - One waiting thread computes the oldest window and all others of its shape in one batch. New windows
      wait for the next batch meanwhile.
    - If a batch raises, its windows are retried one by one, so that one bad request cannot fail the others.
    - Cancelled requests are not removed from the queue.

    Args:
        unet: the network.
        most: windows per batch, at most.
        patience: seconds that an incomplete batch waits for more windows.
    """

    def __init__(self, unet: IdentityUNet3DModel, most: int = MOST, patience: float = PATIENCE) -> None:
        self._unet, self._most, self._patience = unet, most, patience
        self._changed, self._busy = threading.Condition(), False
        self._waiting: list[_Window] = []

    @property
    def device(self) -> torch.device:
        """The network's device."""
        return self._unet.device

    @property
    def dtype(self) -> torch.dtype:
        """The network's dtype."""
        return self._unet.dtype

    @property
    def config(self) -> Any:
        """The network's configuration."""
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
        """See `IdentityUNet3DModel.forward`; raises its errors."""
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
        """The windows that the caller must compute now, oldest first; empty once its own has an answer."""
        with self._changed:
            self._changed.wait_for(lambda: window.answer.done() or not self._busy)
            if window.answer.done():
                return []
            self._busy, kind = True, self._waiting[0].kind
            self._changed.wait_for(lambda: len(self._same_kind(kind)) == self._most, self._patience)
            batch = self._same_kind(kind)
            self._waiting = [each for each in self._waiting if each not in batch]
            return batch

    def _same_kind(self, kind: tuple) -> list[_Window]:
        """The oldest waiting windows of that kind, at most as many as fit a batch."""
        return [each for each in self._waiting if each.kind == kind][: self._most]

    def _compute(self, batch: Sequence[_Window]) -> None:
        """Sets the answer or the error of each window of the batch."""
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
        """Runs the network on windows of one kind."""
        if len(batch) == 1:
            return [self._unet(*batch[0].inputs).sample]
        columns = zip(*(each.inputs for each in batch), strict=True)
        inputs = [None if column[0] is None else torch.cat(column) for column in columns]
        return self._unet(*inputs).sample.split([len(each.inputs[0]) for each in batch])
