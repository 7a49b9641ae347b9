"""Landmarks -> frames, window by window: prior, guided noise, sampling, compositing (Sec. 2.2, 2.3).

Windows overlap; the overlap is inpainted in time, so memory does not grow with the recording.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atldiff import landmarks as lm
from atldiff.config import FIRST_WINDOWS, FRAME_SIZE, WINDOW, Preset
from atldiff.diffusers_base import DDIMScheduler
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.batching import WindowBatcher
from atldiff.rendering.diffusion.guide_noise import frame_noise, guide_maps
from atldiff.rendering.diffusion.identity import CompactIdentityEncoder, ResNetIdentityEncoder
from atldiff.rendering.diffusion.mouth_style import portrait_style
from atldiff.rendering.diffusion.sampler import Condition, sample_residual
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel
from atldiff.rendering.levels import to_signed
from atldiff.rendering.output.cpu import HostFrames
from atldiff.rendering.output.gpu.frames import TensorFrames
from atldiff.rendering.prefetch import prefetch
from atldiff.rendering.warp.canvas import Canvas
from atldiff.rendering.warp.disocclusion import unseen_mask
from atldiff.sequence import LandmarkSequence


@dataclass(frozen=True, eq=False)
class Renderer:
    """Renders videos with the networks of a pipeline. It keeps nothing of a request.

    Attributes:
        unet: the diffusion network, or a batcher in its place.
        identity_encoder: portrait -> identity features.
        scheduler: from `make_scheduler`.
        preset: the preset of the networks.
        tensors: whether tensors on the network's device make the pictures, or OpenCV on the CPU. None: OpenCV
            if the network is on the CPU, where it is faster.
    """

    unet: IdentityUNet3DModel | WindowBatcher
    identity_encoder: CompactIdentityEncoder | ResNetIdentityEncoder
    scheduler: DDIMScheduler
    preset: Preset
    tensors: bool | None = None

    def frames(
        self,
        portrait: Portrait,
        sequence: LandmarkSequence,
        canvas: Canvas,
        steps: int,
        seed: int,
        on_step: Callable[[int, Tensor, Tensor], None] | None = None,
    ) -> Iterator[np.ndarray]:
        """Renders the frames one by one; see `ATLDiffPipeline.render`.

        Another thread renders the next window while the caller uses the frames of this one. With `on_step`
        the caller's thread does all, so that it also runs the callback.

        Args:
            portrait: the photo.
            sequence: landmarks of every frame, pixels of the photo, with poses that the photo allows.
            canvas: layout of the video, from `make_canvas`.
            steps: number of DDIM steps.
            seed: of the noise and of a guessed mouth style.
            on_step: called with (index, timestep, face view's residual) after each DDIM step of a window.

        Yields:
            (height, width, C) uint8, with the channels of the canvas.
        """
        windows = self._windows(portrait, sequence, canvas, steps, seed, on_step)
        with closing(windows if on_step else prefetch(windows)) as rendered:
            for window in rendered:
                yield from window

    def _windows(
        self,
        portrait: Portrait,
        sequence: LandmarkSequence,
        canvas: Canvas,
        steps: int,
        seed: int,
        on_step: Callable[[int, Tensor, Tensor], None] | None,
    ) -> Generator[Iterator[np.ndarray], None, None]:
        """Yields each window as an iterator of its finished frames; arguments as in `frames`."""
        embeddings, pictures = self.embed(portrait, sequence, seed), self.pictures(canvas)
        # Of the frames that this window shares with the previous one: moving parts, views and residuals.
        overlap: list[Any] = []
        priors: list[list[Any]] = [[] for _ in canvas.views]
        known: list[Tensor | None] = [None] * len(canvas.views)
        for start, stop, ready in window_spans(len(sequence.points), self.preset.overlap):
            points, poses = canvas.to_canvas(sequence.points[start:stop]), sequence.pose[start:stop]
            parts: list[Any] = pictures.moving(points[len(overlap) :], poses[len(overlap) :])
            points, moving = canvas.turn(points, poses), overlap + parts
            priors = [prior + pictures.crop_views(parts, view) for view, prior in enumerate(priors)]
            noise = self.noise(canvas, seed, range(start, stop))
            stacks = [pictures.stack_prior(prior) for prior in priors]
            residuals, masks = self.residuals(
                canvas, points, stacks, noise, embeddings, steps, known, on_step
            )
            yield pictures.finish(moving[:ready], residuals, masks)
            overlap, priors = moving[ready:], [prior[ready:] for prior in priors]
            known = [residual[:, :, ready:] for residual in residuals]

    def pictures(self, canvas: Canvas) -> HostFrames | TensorFrames:
        """What makes the pictures of a canvas, on the CPU or on the network's device."""
        layout = canvas, self.preset.prior, self.preset.view_sizes[: len(canvas.views)]
        device = self.unet.device
        tensors = device.type != "cpu" if self.tensors is None else self.tensors
        return TensorFrames.from_canvas(*layout, device) if tensors else HostFrames.from_canvas(*layout)

    def noise(self, canvas: Canvas, seed: int, frames: range) -> list[Tensor]:
        """The noise (1, 3, F, S, S) of some frames for each view; see `frame_noise`."""
        sizes, steady = self.preset.view_sizes[: len(canvas.views)], self.preset.guide.steady
        views = (frame_noise(seed, frames, size, view, steady) for view, size in enumerate(sizes))
        return [noise[None].to(self.unet.device) for noise in views]

    def residuals(
        self,
        canvas: Canvas,
        points: np.ndarray,
        priors: Sequence[Tensor],
        noise: Sequence[Tensor],
        embeddings: tuple[Tensor, Tensor, Tensor],
        steps: int,
        known: Sequence[Tensor | None],
        on_step: Callable[[int, Tensor, Tensor], None] | None = None,
    ) -> tuple[list[Tensor], list[np.ndarray]]:
        """Samples the residuals of one window.

        Args:
            canvas: layout of the video.
            points: (F, 68, 2) as the video shows them, canvas pixels.
            priors: (1, 3, F, S, S) in [-1, 1] for each view.
            noise: from `noise`.
            embeddings: from `embed`.
            steps: number of DDIM steps.
            known: (1, 3, K, S, S) residuals of the first frames for each view, or None.
            on_step: as in `frames`.

        Returns:
            (1, 3, F, S, S) r_0 and (F, S, S) of `unseen_mask`, for each view.
        """
        residuals, masks = [], []
        for view, prior in enumerate(priors):
            condition, mask = self._condition(canvas, view, points, prior.to(self.unet.device), embeddings)
            inputs = condition, noise[view], steps, known[view], None if view else on_step
            residuals.append(sample_residual(self.unet, self.scheduler, *inputs))
            masks.append(mask)
        return residuals, masks

    def embed(
        self, portrait: Portrait, sequence: LandmarkSequence, seed: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Computes identity features (1, D), emotion embedding (1, E) and the mouth's style (1, 4)."""
        crop = torch.from_numpy(portrait.crop(FRAME_SIZE)).permute(2, 0, 1)[None]
        still = to_signed(crop).to(self.unet.device)
        with torch.no_grad():
            identity = self.identity_encoder(still.to(self.identity_encoder.dtype)).float()
        emotion = torch.from_numpy(sequence.emotion)[None].to(self.unet.device)
        style = portrait_style(portrait.image, portrait.landmarks, seed)
        return identity, emotion, torch.from_numpy(style)[None].to(self.unet.device)

    def _condition(
        self,
        canvas: Canvas,
        view: int,
        points: np.ndarray,
        prior: Tensor,
        embeddings: tuple[Tensor, Tensor, Tensor],
    ) -> tuple[Condition, np.ndarray]:
        """The network's condition for one view of a window.

        Args:
            canvas: layout of the video.
            view: index of the view.
            points: (F, 68, 2) as the video shows them, canvas pixels.
            prior: (1, 3, F, S, S) in [-1, 1].
            embeddings: from `embed`.

        Returns:
            The condition, and `unseen_mask` (F, S, S). The mask is 0 for a still prior, to which the residual
            adds everything that is new.
        """
        size, box = self.preset.view_sizes[view], canvas.views[view]
        in_view = torch.from_numpy(lm.to_crop(points, box))[None].to(self.unet.device)
        maps, mask = guide_maps(in_view, size, self.preset.guide)
        condition = Condition(prior, maps, mask, *embeddings)
        if self.preset.prior != "warp":
            return condition, np.zeros((len(points), size, size), np.float32)
        return condition, unseen_mask(points, canvas.landmarks, box, size)


def window_spans(total: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """Yields the windows of a video: first frame, end, and the number of frames that are final.

    The first windows are short, so that the first pictures come early. Neighbouring windows share `overlap`
    frames, which the later window completes.

    Args:
        total: frames of the video.
        overlap: frames, fewer than the shortest window has.
    """
    assert 0 <= overlap < min(FIRST_WINDOWS), overlap
    start = 0
    for length in chain(FIRST_WINDOWS, repeat(WINDOW)):
        stop = min(start + length, total)
        ready = stop - start - (overlap if stop < total else 0)
        yield start, stop, ready
        start += ready
        if start >= total:
            return
