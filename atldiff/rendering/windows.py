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
        identity, emotion = self._embeddings(portrait, sequence, len(canvas.views))
        views, overlap = range(len(canvas.views)), self.preset.overlap
        held, priors, known = [], None, None  # of the frames that the next window sees again
        start = done = 0
        while done < total:
            stop = min(start + WINDOW, total)
            fresh = list(self._moving(canvas, points[start + len(held) : stop]))
            seen = np.stack([[view_of(canvas, moving, view) for moving in fresh] for view in views])
            priors = seen if known is None else np.concatenate([priors, seen], axis=1)
            condition, unseen = self._condition(canvas, points[start:stop], priors, identity, emotion)
            noises = [frame_noise(seed, start, stop - start, FRAME_SIZE, view) for view in views]
            noise = torch.stack(noises).to(self.unet.device)
            residual = sample_residual(self.unet, self.scheduler, condition, noise, steps, known, on_step)
            frames = residual.permute(2, 0, 3, 4, 1).float().cpu().numpy()
            moving, ready = held + fresh, stop - start - (overlap if stop < total else 0)
            for index in range(ready):
                yield composite(canvas, moving[index], frames[index], priors[:, index], unseen[:, index])
                done += 1
                if callback is not None:
                    callback(done, total)
            held, priors, known = moving[ready:], priors[:, ready:], residual[:, :, ready:]
            start = done

    def _moving(self, canvas: Canvas, points: np.ndarray) -> Iterator[np.ndarray]:
        if self.preset.prior == "warp":
            return warped_frames(canvas, points)
        return still_frames(canvas, len(points))

    def _embeddings(
        self, portrait: Portrait, sequence: LandmarkSequence, views: int
    ) -> tuple[Tensor, Tensor]:
        """Identity features and emotion embedding, repeated for each view."""
        still = _signed(portrait.crop(FRAME_SIZE)[None]).permute(0, 3, 1, 2).to(self.unet.device)
        with torch.no_grad():
            identity = self.identity_encoder(still.to(self.identity_encoder.dtype)).float()
        emotion = torch.from_numpy(sequence.emotion)[None].to(self.unet.device)
        if emotion.shape[1] != self.unet.config.emotion_dim:
            raise InputError("The landmarks were made with other weights", "Make them again with these")
        return identity.expand(views, -1), emotion.expand(views, -1)

    def _condition(
        self, canvas: Canvas, points: np.ndarray, priors: np.ndarray, identity: Tensor, emotion: Tensor
    ) -> tuple[Condition, np.ndarray]:
        """The window's condition, and (V, F, S, S) what each view shows that the photo does not."""
        in_view = torch.from_numpy(np.stack([lm.to_crop(points, view) for view in canvas.views]))
        maps, mask = guide_maps(in_view.to(self.unet.device), FRAME_SIZE, self.preset.guide)
        prior = _signed(priors).permute(0, 4, 1, 2, 3).to(self.unet.device)
        condition = Condition(prior, maps, mask, identity, emotion)
        if self.preset.prior != "warp":  # nothing of the photo moves: the residual is all that is new
            return condition, np.zeros(mask.shape[:1] + mask.shape[2:], np.float32)
        new = [unseen_mask(points, canvas.landmarks, view, FRAME_SIZE) for view in canvas.views]
        return condition, np.stack(new)


def _signed(frames: np.ndarray) -> Tensor:
    """uint8 -> float32 in [-1, 1], same shape."""
    return torch.from_numpy(frames.astype(np.float32) / 127.5 - 1)
