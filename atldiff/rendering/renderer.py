"""Landmarks -> frames, window by window: prior, guided noise, sampling, compositing (Sec. 2.2, 2.3).

Windows overlap; the overlap is inpainted in time, so memory does not grow with the recording.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from atldiff import landmarks as lm
from atldiff.config import FIRST_WINDOWS, FRAME_SIZE, WINDOW, Preset
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
from atldiff.rendering.warp.canvas import Canvas
from atldiff.rendering.warp.disocclusion import unseen_mask
from atldiff.sequence import LandmarkSequence
from atldiff.threads import prefetch


@dataclass(frozen=True, eq=False)
class Renderer:
    """The parts of a pipeline that make pictures; holds nothing of a request.

    Attributes:
        tensors: whether pictures are made by tensors on the network's device, or with OpenCV on the CPU;
            None: the first unless that device is the CPU, where the second is faster.
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
        """The frames one after the other; see `ATLDiffPipeline.render`.

        While a window's frames are finished and used, the next window is rendered in another thread;
        not if there is `on_step`, which is called in the caller's.
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
        """The frames of each window."""
        device, total = self.unet.device, len(sequence.points)
        about = self._embeddings(portrait, sequence, seed)
        sizes = self.preset.view_sizes[: len(canvas.views)]
        layout = canvas, self.preset.prior, sizes
        tensors = device.type != "cpu" if self.tensors is None else self.tensors
        pictures = TensorFrames.from_canvas(*layout, device) if tensors else HostFrames.from_canvas(*layout)
        # What the next window sees again.
        held: list[Any] = []
        priors: list[list[Any]] = [[] for _ in sizes]
        known: list[Tensor | None] = [None] * len(sizes)
        for start, stop, ready in window_spans(total, self.preset.overlap):
            points, poses = canvas.to_canvas(sequence.points[start:stop]), sequence.pose[start:stop]
            fresh: list[Any] = pictures.moving(points[len(held) :], poses[len(held) :])
            points = canvas.turned(points, poses)
            moving, residuals, unseen = held + fresh, [], []
            for view, size in enumerate(sizes):
                priors[view] = priors[view] + pictures.crop_views(fresh, view)
                prior = pictures.stack_prior(priors[view]).to(device)
                condition, new = self._condition(canvas, view, points, prior, about)
                noise = frame_noise(seed, start, stop - start, size, view, self.preset.guide.steady)
                noise, step = noise[None].to(device), None if view else on_step
                found = sample_residual(self.unet, self.scheduler, condition, noise, steps, known[view], step)
                residuals.append(found)
                unseen.append(new)
            yield pictures.finish(moving[:ready], residuals, unseen)
            held, priors = moving[ready:], [prior[ready:] for prior in priors]
            known = [r[:, :, ready:] for r in residuals]

    def _embeddings(
        self, portrait: Portrait, sequence: LandmarkSequence, seed: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Identity features (1, D), emotion embedding (1, E), the mouth's style (1, 4)."""
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
        about: tuple[Tensor, Tensor, Tensor],
    ) -> tuple[Condition, np.ndarray]:
        """A view's condition in one window, `about` being `_embeddings`, and (F, S, S) what it shows that the
        photo does not.
        """
        size, box = self.preset.view_sizes[view], canvas.views[view]
        in_view = torch.from_numpy(lm.to_crop(points, box))[None].to(self.unet.device)
        maps, mask = guide_maps(in_view, size, self.preset.guide)
        condition = Condition(prior, maps, mask, *about)
        if self.preset.prior != "warp":  # nothing of the photo moves: the residual is all that is new
            return condition, np.zeros((len(points), size, size), np.float32)
        return condition, unseen_mask(points, canvas.landmarks, box, size)


def window_spans(total: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """Windows of a video of `total` frames: first frame, end, and how many of its frames are finished.

    The first ones are short, so that the first pictures come early; of each but the last, `overlap`
    frames are seen again by the next. These are fewer than the shortest window has.
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
