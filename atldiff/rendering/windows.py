"""Landmarks -> frames, window by window: prior, guided noise, sampling, compositing (Sec. 2.2, 2.3).

Windows overlap; the overlap is inpainted in time, so memory does not grow with the recording.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from atldiff import landmarks as lm
from atldiff.config import FRAME_SIZE, WINDOW, Preset
from atldiff.errors import InputError
from atldiff.portrait.face import Portrait
from atldiff.rendering.composite import Canvas, composite, still_frames, view_of, warped_frames
from atldiff.rendering.disocclusion import unseen_mask
from atldiff.rendering.guide import frame_noise, guide_maps
from atldiff.rendering.identity import CompactIdentityEncoder, ResNetIdentityEncoder
from atldiff.rendering.sampler import Condition, sample_residual
from atldiff.rendering.unet3d import IdentityUNet3DModel
from atldiff.sequence import LandmarkSequence


@dataclass(frozen=True, eq=False)
class Renderer:
    """The parts of a pipeline that make pictures; holds nothing of a request."""

    unet: IdentityUNet3DModel
    identity_encoder: CompactIdentityEncoder | ResNetIdentityEncoder
    scheduler: DDIMScheduler
    preset: Preset

    def frames(
        self,
        portrait: Portrait,
        sequence: LandmarkSequence,
        canvas: Canvas,
        steps: int,
        seed: int,
        callback: Callable[[int, int], None] | None = None,
        on_step: Callable[[int, Tensor, Tensor], None] | None = None,
    ) -> Iterator[np.ndarray]:
        """The frames one after the other; see `ATLDiffPipeline.render`."""
        points, total = canvas.to_canvas(sequence.points), len(sequence.points)
        identity, emotion = self._embeddings(portrait, sequence)
        views, overlap = range(len(canvas.views)), self.preset.overlap
        held, priors, known = [], None, [None] * len(views)  # of the frames that the next window sees again
        start = done = 0
        while done < total:
            stop = min(start + WINDOW, total)
            fresh = list(self._moving(canvas, points[start + len(held) : stop]))
            seen = [
                np.stack([view_of(canvas, part, view, self.preset.view_sizes[view]) for part in fresh])
                for view in views
            ]
            priors = (
                seen if priors is None else [np.concatenate(pair) for pair in zip(priors, seen, strict=True)]
            )
            residuals, unseen = [], []
            for view in views:
                condition, new = self._condition(
                    canvas, view, points[start:stop], priors[view], identity, emotion
                )
                noise = frame_noise(
                    seed, start, stop - start, self.preset.view_sizes[view], view, self.preset.guide.steady
                )
                noise = noise[None].to(self.unet.device)
                residuals.append(
                    sample_residual(
                        self.unet,
                        self.scheduler,
                        condition,
                        noise,
                        steps,
                        known[view],
                        None if view else on_step,
                    )
                )
                unseen.append(new)
            frames = [r[0].permute(1, 2, 3, 0).float().cpu().numpy() for r in residuals]
            moving, ready = held + fresh, stop - start - (overlap if stop < total else 0)
            for index in range(ready):
                yield composite(
                    canvas,
                    moving[index],
                    *([part[index] for part in parts] for parts in (frames, unseen)),
                )
                done += 1
                if callback is not None:
                    callback(done, total)
            held, priors = moving[ready:], [prior[ready:] for prior in priors]
            known, start = [r[:, :, ready:] for r in residuals], done

    def _moving(self, canvas: Canvas, points: np.ndarray) -> Iterator[np.ndarray]:
        if self.preset.prior == "warp":
            return warped_frames(canvas, points)
        return still_frames(canvas, len(points))

    def _embeddings(self, portrait: Portrait, sequence: LandmarkSequence) -> tuple[Tensor, Tensor]:
        """Identity features (1, D) and emotion embedding (1, E)."""
        still = _signed(portrait.crop(FRAME_SIZE)[None]).permute(0, 3, 1, 2).to(self.unet.device)
        with torch.no_grad():
            identity = self.identity_encoder(still.to(self.identity_encoder.dtype)).float()
        emotion = torch.from_numpy(sequence.emotion)[None].to(self.unet.device)
        if emotion.shape[1] != self.unet.config.emotion_dim:
            raise InputError("The landmarks were made with other weights", "Make them again with these")
        return identity, emotion

    def _condition(
        self,
        canvas: Canvas,
        view: int,
        points: np.ndarray,
        prior: np.ndarray,
        identity: Tensor,
        emotion: Tensor,
    ) -> tuple[Condition, np.ndarray]:
        """A view's condition in one window, and (F, S, S) what it shows that the photo does not."""
        size, box = self.preset.view_sizes[view], canvas.views[view]
        in_view = torch.from_numpy(lm.to_crop(points, box))[None].to(self.unet.device)
        maps, mask = guide_maps(in_view, size, self.preset.guide)
        signed = _signed(prior).permute(3, 0, 1, 2)[None].to(self.unet.device)
        condition = Condition(signed, maps, mask, identity, emotion)
        if self.preset.prior != "warp":  # nothing of the photo moves: the residual is all that is new
            return condition, np.zeros((len(points), size, size), np.float32)
        return condition, unseen_mask(points, canvas.landmarks, box, size)


def _signed(frames: np.ndarray) -> Tensor:
    """uint8 -> float32 in [-1, 1], same shape."""
    return torch.from_numpy(frames.astype(np.float32) / 127.5 - 1)
