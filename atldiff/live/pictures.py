"""The pictures of one live portrait: what a photo needs once, and each chunk's frames."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from atldiff.landmarks import inter_ocular_distance
from atldiff.live.motion import LiveMotion
from atldiff.options import Options
from atldiff.portrait.matting import lay_over_colour
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.warp.canvas import make_canvas, split_ground
from atldiff.rendering.warp.turn import portrait_poses
from atldiff.sequence import POSE_PARTS, LandmarkSequence

if TYPE_CHECKING:
    from atldiff.pipeline import ATLDiffPipeline

# The lowest point that a lower lip reaches, and how far a head turns in nearly all frames: inter-ocular
# distances, degrees of yaw and pitch.
_OPEN, _TURNS = 0.25, (6.0, 4.0)
_LOWER_LIP = [55, 56, 57, 58, 59, 65, 66, 67]


class LivePictures:
    """Renders the frames of one portrait, chunk by chunk.

    A video's canvas is laid round all of its landmarks. Which ones will come is not known here, so that it is
    laid round a usual range; beyond it only the network's fine correction is missing.

    Args:
        pipeline: its networks.
        portrait: the photo.
        options: of the video.
    """

    def __init__(self, pipeline: "ATLDiffPipeline", portrait: Portrait, options: Options) -> None:
        self._portrait, self._steps = portrait, options.steps or pipeline.preset.steps
        self._renderer, self._seed = pipeline.renderer, options.seed
        moves = max(options.sway, options.liveliness, options.expression) > 0
        points, poses = _range_of_motion(portrait.landmarks, moves)
        background, self._colour = split_ground(options.background, pipeline.preset.prior)
        layout = options.output, background, len(pipeline.preset.view_sizes) > 1
        self.canvas = make_canvas(portrait, points, *layout, portrait_poses(portrait, poses))
        self._pictures: Any = self._renderer.pictures(self.canvas)
        emotion = np.zeros(pipeline.unet.config.emotion_dim, np.float32)
        still = LandmarkSequence(points, portrait.landmarks, emotion)
        self._identity, _, self._style = self._renderer.embed(portrait, still, options.seed)

    @property
    def photo(self) -> np.ndarray:
        """The photo over its background, as the frames show it: (H, W, 3 or 4) uint8."""
        image = self.canvas.image
        return image if self._colour is None else next(lay_over_colour([image], self._colour))

    def warp(self, motion: LiveMotion) -> list[Any]:
        """The moving parts of some frames before the network, which is the processor's share of the work."""
        poses = portrait_poses(self._portrait, motion.poses)
        return self._pictures.moving(self.canvas.to_canvas(motion.points), poses)

    @torch.no_grad()
    def render(self, motion: LiveMotion, parts: list[Any]) -> Iterator[np.ndarray]:
        """Renders the frames (height, width, C) uint8 whose moving parts `warp` gave."""
        poses = portrait_poses(self._portrait, motion.poses)
        points = self.canvas.turn(self.canvas.to_canvas(motion.points), poses)
        views = range(len(self.canvas.views))
        priors = [self._pictures.stack_prior(self._pictures.crop_views(parts, view)) for view in views]
        noise = self._renderer.noise(self.canvas, self._seed, motion.frames)
        emotion = torch.from_numpy(motion.emotion)[None].to(self._identity.device)
        embeddings = self._identity, emotion, self._style
        known = [None] * len(views)
        inputs = self.canvas, points, priors, noise, embeddings, self._steps, known
        frames = self._pictures.finish(parts, *self._renderer.residuals(*inputs))
        return frames if self._colour is None else lay_over_colour(frames, self._colour)


def _range_of_motion(landmarks: np.ndarray, moves: bool) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (F, 68, 2) and poses (F, 8) round which a live canvas is laid."""
    eyes = float(inter_ocular_distance(landmarks))
    opened = landmarks.astype(np.float32).copy()
    opened[_LOWER_LIP, 1] += _OPEN * eyes
    poses = np.zeros((6, POSE_PARTS), np.float32)
    if moves:
        yaw, pitch = _TURNS
        poses[2:, 0], poses[2:, 1] = (yaw, -yaw, 0, 0), (0, 0, pitch, -pitch)
    return np.stack([landmarks, *[opened] * 5]).astype(np.float32), poses
