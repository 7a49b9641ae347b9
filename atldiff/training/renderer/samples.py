"""Training samples of the diffusion network: a portrait, a window of frames, their prior and guide maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from atldiff import landmarks as lm
from atldiff.config import FRAME_SIZE, GuideConfig, Preset
from atldiff.errors import InputError
from atldiff.portrait.photo import crop_square
from atldiff.rendering.diffusion.guide_noise import fill_masks, guide_maps, point_mask
from atldiff.rendering.output.cpu import HostFrames
from atldiff.rendering.warp.canvas import make_view_canvas
from atldiff.rendering.warp.prior import moving_part
from atldiff.training.data.extract import STORED_MARGIN, STORED_SIZE
from atldiff.training.renderer.clips import Moment, StoredClip, choose_frames
from atldiff.training.renderer.reopened import reopen_mouth

MAX_TRIES = 1000  # draws of a portrait and a window with similar poses


@dataclass(frozen=True)
class SampleConfig:
    """What a sample holds.

    Attributes:
        frames: frames of a window.
        prior: kind of prior, "warp" or "identity".
        guide: settings of guide maps and mask.
        view_sizes: pixels of each view: face, and perhaps mouth.
        augment: whether samples are mirrored, moved and scaled.
        photo_share: share of samples from single photos (`reopened`), if there are any.
    """

    frames: int = 1
    prior: str = "warp"
    guide: GuideConfig = GuideConfig(kernel=11, maps=True, steady=True)
    view_sizes: tuple[int, ...] = (FRAME_SIZE, FRAME_SIZE)
    augment: bool = True
    photo_share: float = 0.3

    @classmethod
    def from_preset(cls, preset: Preset, frames: int = 1, augment: bool = True) -> "SampleConfig":
        """The training samples of a preset's network."""
        return cls(frames, preset.prior, preset.guide, preset.view_sizes, augment)


class WindowDataset(Dataset):
    """Endless random samples (see `make_sample`); seed and number determine a sample.

    A person's weight is the square root of their usable frames.

    Args:
        clips: the clips.
        config: what a sample holds.
        seed: seed of the samples.
        photos: clips of one frame (`reopened.load_faces`), repeated to a window.
    """

    def __init__(
        self,
        clips: list[StoredClip],
        config: SampleConfig,
        seed: int,
        photos: Sequence[StoredClip] = (),
    ) -> None:
        super().__init__()
        self.clips, self.config, self.seed = clips, config, seed
        self.weights, self.photos = clip_weights(clips), PhotoDraw(photos, config)

    def __getitem__(self, index: int) -> dict:
        """Sample number `index`.

        Raises:
            InputError: no portrait with the pose of a window comes up.
        """
        rng = np.random.default_rng((self.seed, index))
        for _ in range(MAX_TRIES):
            if (photo := self.photos.draw(rng)) is not None:
                return photo
            clip = self.clips[rng.choice(len(self.clips), p=self.weights)]
            chosen = choose_frames(clip, self.config.frames, rng)
            if chosen is not None:
                return make_sample(Moment.from_clip(clip, *chosen, self.config.frames), self.config, rng)
        raise InputError(
            "The clips have no frames in a row with another one that looks alike", "Prepare others"
        )


class PhotoDraw:
    """Draws single photos (`reopened`) for `photo_share` of the samples, wide-open mouths more often."""

    def __init__(self, photos: Sequence[StoredClip], config: SampleConfig) -> None:
        self._photos, self._config = list(photos), config
        openings = np.array([lm.mouth_opening(photo.points[0]) for photo in self._photos])
        self._weights = (openings + 0.02) / max((openings + 0.02).sum(), 1e-9)

    def draw(self, rng: np.random.Generator) -> dict | None:
        """A sample of a photo; None if the sample is to come from a clip."""
        if not self._photos or rng.random() >= self._config.photo_share:
            return None
        moment = reopen_mouth(self._photos[rng.choice(len(self._photos), p=self._weights)], rng)
        return make_sample(moment.repeat(self._config.frames), self._config, rng)


def clip_weights(clips: list[StoredClip]) -> np.ndarray:
    """Probability (N,) of each clip: its usable frames over the root of its person's usable frames."""
    totals: dict[str, int] = {}
    for clip in clips:
        totals[clip.identity] = totals.get(clip.identity, 0) + int(clip.usable.sum())
    weights = np.array([clip.usable.sum() / np.sqrt(totals[clip.identity]) for clip in clips])
    return weights / weights.sum()


def make_sample(moment: Moment, config: SampleConfig, rng: np.random.Generator) -> dict:
    """One sample.

    Returns:
        identity: (3, 128, 128) uint8, face crop of the portrait;
        emotion: (E,) float32; style: (4,) float32;
        views: a dict for each view with prior, target: (3, F, S, S) uint8,
        guide: (G, F, S, S), mask: (1, F, S, S), weight: (1, F, S, S) float32.
    """
    if config.augment and rng.random() < 0.5:
        moment = moment.mirror()
    points = moment.points
    if config.augment:
        points = points + rng.normal(0, 0.25, (1, *points.shape[1:]))
    face = _face_box(config, rng)
    boxes = [face]
    if len(config.view_sizes) > 1:
        both = np.concatenate([points, moment.photo_points[None]])
        boxes.append(_mouth_box(both, face, config.augment, rng))
    canvas = make_view_canvas(moment.photo, moment.photo_points, tuple(boxes))
    pictures = HostFrames.from_canvas(canvas, config.prior, config.view_sizes)
    prior, truth = pictures.moving(points), [moving_part(frame, canvas) for frame in moment.frames]
    views = [make_view(pictures, view, prior, truth, points, config.guide) for view in range(len(boxes))]
    for view, box, size in zip(views, boxes, config.view_sizes, strict=True):
        # The loss of a face view leaves the mouth to the mouth view.
        weigh = face_weight if box is face and len(views) > 1 else loss_weight
        view["weight"] = weigh(lm.to_crop(points, box), size)
    identity = torch.from_numpy(crop_square(moment.photo, face, FRAME_SIZE)).permute(2, 0, 1)
    emotion, style = torch.from_numpy(moment.emotion), torch.from_numpy(moment.style)
    return {"identity": identity, "emotion": emotion, "style": style, "views": views}


def make_view(
    pictures: HostFrames,
    view: int,
    prior: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    points: np.ndarray,
    guide: GuideConfig,
) -> dict[str, torch.Tensor]:
    """The network's input and target in one view.

    Args:
        pictures: the canvas with its views.
        view: number of the view.
        prior, truth: moving parts (h, w, 3) uint8 of F frames.
        points: (F, 68, 2) pixels of the canvas.
        guide: settings of guide maps and mask.

    Returns:
        A view of `make_sample` without its weight.
    """
    size = pictures.sizes[view]
    in_crop = lm.to_crop(points, pictures.canvas.views[view])
    maps, mask = guide_maps(torch.from_numpy(in_crop)[None], size, guide)
    result = {"mask": mask[0]}
    for name, parts in (("prior", prior), ("target", truth)):
        result[name] = _planes(np.stack(pictures.crop_views(parts, view)))
    return result if maps is None else result | {"guide": maps[0]}


def loss_weight(in_crop: np.ndarray, size: int) -> torch.Tensor:
    """Weights (1, F, size, size) of the loss by region, from landmarks (F, 68, 2) in crop units.

    Inner mouth 6, lips 4, eyes 3, near landmarks 2, face 0.5, elsewhere 0.1.
    """
    import cv2

    fills = fill_masks(in_crop, size)
    points = point_mask(torch.from_numpy(in_crop), size, 11).numpy()
    weight = np.maximum(0.1, 2 * points)
    pixels = np.round(in_crop * size).astype(np.int32)
    for frame, outline in enumerate(pixels):
        regions = np.zeros((size, size), np.float32)
        cv2.fillConvexPoly(regions, cv2.convexHull(outline), 0.5)
        cv2.fillPoly(regions, [outline[lm.OUTER_LIPS]], 4.0)
        weight[frame] = np.maximum(weight[frame], regions)
    mouth, eyes = (np.stack([cv2.blur(m, (3, 3)) for m in fills[:, i]]) for i in (0, 1))
    weight = np.maximum(weight, np.maximum(6 * mouth, 3 * eyes))
    return torch.from_numpy(weight.astype(np.float32))[None]


def face_weight(in_crop: np.ndarray, size: int) -> torch.Tensor:
    """Weights (1, F, size, size) of a face view beside a mouth view: eyes 2, face 1, elsewhere 0.1."""
    import cv2

    weight = np.full((len(in_crop), size, size), 0.1, np.float32)
    eyes = fill_masks(in_crop, size)[:, 1]
    for frame, outline in enumerate(np.round(in_crop * size).astype(np.int32)):
        cv2.fillConvexPoly(weight[frame], cv2.convexHull(outline), 1.0)
        weight[frame] = np.maximum(weight[frame], 2 * cv2.blur(eyes[frame], (3, 3)))
    return torch.from_numpy(weight)[None]


def _face_box(config: SampleConfig, rng: np.random.Generator) -> np.ndarray:
    """The network's crop inside the stored crop, moved and scaled a little in augmentation."""
    side = STORED_SIZE / STORED_MARGIN
    centre = np.full(2, STORED_SIZE / 2)
    if config.augment:
        side *= rng.uniform(0.92, 1.08)
        centre = centre + rng.uniform(-0.03, 0.03, 2) * STORED_SIZE
    return lm.square_box(centre, side)


def _mouth_box(points: np.ndarray, face: np.ndarray, augment: bool, rng: np.random.Generator) -> np.ndarray:
    """The mouth view's box, moved and scaled a little in augmentation."""
    box = lm.mouth_box(points, face)
    side = float(box[2] - box[0])
    shift, zoom = rng.uniform(-0.08, 0.08, 2) * side, rng.uniform(0.9, 1.2)
    centre = (box[:2] + box[2:]) / 2
    return lm.square_box(centre + shift, side * zoom) if augment else box


def _planes(frames: np.ndarray) -> torch.Tensor:
    """(F, S, S, 3) -> (3, F, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))
