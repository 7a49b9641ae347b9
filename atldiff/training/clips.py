"""Training samples of the diffusion network: an identity frame, a window of frames, their landmarks."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset

from atldiff import landmarks as lm
from atldiff.config import EMOTION_DIM, FRAME_SIZE, GuideConfig
from atldiff.media.audio import SAMPLE_RATE, Speech
from atldiff.portrait.photo import crop_square
from atldiff.rendering.disocclusion import fill_mouth, inside_colour, opened_mouth
from atldiff.rendering.guide import fill_masks, guide_maps, point_mask
from atldiff.rendering.warp import displacement_field, warp_image
from atldiff.speech.speech_encoder import StarterSpeechEncoder
from atldiff.training.prepare import STORED_MARGIN, STORED_SIZE

MAX_YAW = 0.45  # frames turned further are left out
MAX_YAW_CHANGE = 0.12  # between the identity frame and the window
MAX_SIZE_CHANGE = 1.15  # of the inter-ocular distance between them
MAX_PITCH_CHANGE = 0.12  # of the nose's length over the inter-ocular distance
MOUTH_SHARE = 0.5  # of the samples are mouth-centred crops
MIN_FRAMES = 15  # usable frames a clip must have


@dataclass(frozen=True, eq=False)
class StoredClip:
    """One prepared clip: JPEG crops of STORED_SIZE, landmarks (T, 68, 2) in their pixels, and the
    speech's emotion embedding (zeros: unknown, or silent).
    """

    stem: str
    identity: str
    jpeg: np.ndarray
    offsets: np.ndarray
    points: np.ndarray
    usable: np.ndarray
    emotion: np.ndarray = field(default_factory=lambda: np.zeros(EMOTION_DIM, np.float32))

    def frame(self, index: int) -> np.ndarray:
        """(STORED_SIZE, STORED_SIZE, 3) uint8 RGB."""
        import cv2

        data = self.jpeg[self.offsets[index] : self.offsets[index + 1]]
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def load_clips(data: Path, split: str, encoder: StarterSpeechEncoder | None = None) -> list[StoredClip]:
    """The prepared clips of `split` that have pictures and enough usable frames.

    `encoder` hears the emotion of those with sound; without it, it is unknown.
    """
    clips = []
    for entry in json.loads((data / "index.json").read_text()):
        if entry["split"] != split or entry["use"] == "landmarks":
            continue
        with np.load(data / f"{entry['stem']}.npz") as arrays:
            ok = arrays["ok"]
            known = arrays["landmarks"] * STORED_SIZE
            points = np.where(ok[:, None, None], known, known[ok][:1])
            usable = ok & (np.abs(lm.yaw(points)) < MAX_YAW)
            if usable.sum() >= MIN_FRAMES:
                jpeg, offsets = arrays["jpeg"], arrays["offsets"]
                emotion = _emotion(arrays["samples"], encoder)
                name = entry["stem"], entry["identity"]
                clips.append(StoredClip(*name, jpeg, offsets, points, usable, emotion))
    return clips


def _emotion(samples: np.ndarray, encoder: StarterSpeechEncoder | None) -> np.ndarray:
    if encoder is None or len(samples) < SAMPLE_RATE // 2:
        return np.zeros(EMOTION_DIM, np.float32)
    with torch.no_grad():
        return encoder.encode(Speech.from_samples(samples)).emotion[0].numpy()


@dataclass(frozen=True)
class SampleConfig:
    """What a sample holds: `frames` in a row, the prior's kind, the guide, and the share of mouth crops."""

    frames: int = 1
    prior: str = "warp"
    guide: GuideConfig = GuideConfig(kernel=11, maps=True)
    mouth_share: float = MOUTH_SHARE
    augment: bool = True


class WindowDataset(IterableDataset):
    """Endless random samples (see `make_sample`); identities weigh as the square root of their length."""

    def __init__(self, clips: list[StoredClip], config: SampleConfig, seed: int) -> None:
        super().__init__()
        self.clips, self.config, self.seed = clips, config, seed
        totals: dict[str, int] = {}
        for clip in clips:
            totals[clip.identity] = totals.get(clip.identity, 0) + int(clip.usable.sum())
        weights = np.array([c.usable.sum() / np.sqrt(totals[c.identity]) for c in clips])
        self.weights = weights / weights.sum()

    def __iter__(self):
        import cv2

        cv2.setNumThreads(0)
        torch.set_num_threads(1)
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self.seed, info.id if info else 0))
        while True:
            clip = self.clips[rng.choice(len(self.clips), p=self.weights)]
            chosen = choose_frames(clip, self.config.frames, rng)
            if chosen is not None:
                yield make_sample(clip, *chosen, self.config, rng)


def choose_frames(clip: StoredClip, frames: int, rng: np.random.Generator) -> tuple[int, int] | None:
    """Identity frame and first frame of a window that go together, or None where a try failed."""
    starts = np.flatnonzero(np.convolve(clip.usable, np.ones(frames), "valid") > frames - 0.5)
    if len(starts) == 0:
        return None
    opening = lm.mouth_opening(clip.points)
    weights = 0.03 + opening[starts + frames // 2]  # open mouths are what there is to learn
    first = int(rng.choice(starts, p=weights / weights.sum()))
    middle = first + frames // 2
    near = np.abs(lm.yaw(clip.points) - lm.yaw(clip.points[middle])) < MAX_YAW_CHANGE
    size = lm.inter_ocular_distance(clip.points) / lm.inter_ocular_distance(clip.points[middle])
    near &= (size < MAX_SIZE_CHANGE) & (size > 1 / MAX_SIZE_CHANGE) & clip.usable
    nose = _nose_length(clip.points)
    near &= np.abs(nose / nose[middle] - 1) < MAX_PITCH_CHANGE
    near[first : first + frames] = False
    if rng.random() < 0.5:
        near &= opening <= max(0.03, np.quantile(opening[clip.usable], 0.3))
    candidates = np.flatnonzero(near)
    return (int(rng.choice(candidates)), first) if len(candidates) else None


def make_sample(
    clip: StoredClip, still: int, first: int, config: SampleConfig, rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    """One sample.

    Returns:
        prior, target: (3, F, S, S) uint8; identity: (3, S, S) uint8, the face crop of the still;
        guide: (G, F, S, S), mask: (1, F, S, S), weight: (1, F, S, S), emotion: (E,) float32.
    """
    window = slice(first, first + config.frames)
    points, photo_points = clip.points[window], clip.points[still]
    photo, frames = clip.frame(still), np.stack([clip.frame(i) for i in range(first, first + config.frames)])
    if config.augment and rng.random() < 0.5:
        points, photo_points = lm.mirror(points, STORED_SIZE), lm.mirror(photo_points, STORED_SIZE)
        photo, frames = np.ascontiguousarray(photo[:, ::-1]), np.ascontiguousarray(frames[:, :, ::-1])
    face = _face_box(config, rng)
    box = face
    if rng.random() < config.mouth_share:
        box = _mouth_box(np.concatenate([points, photo_points[None]]), face, config.augment, rng)
    guided = points + rng.normal(0, 0.25, points.shape) if config.augment else points
    warped = prior_frames(photo, photo_points, guided, face, box, config.prior)
    target = np.stack([crop_square(frame, box, FRAME_SIZE) for frame in frames])
    in_crop = lm.to_crop(guided, box)
    maps, mask = guide_maps(torch.from_numpy(in_crop)[None], FRAME_SIZE, config.guide)
    sample = {"prior": _planes(warped), "target": _planes(target)}
    sample["identity"] = torch.from_numpy(crop_square(photo, face, FRAME_SIZE)).permute(2, 0, 1)
    sample["mask"], sample["weight"] = mask[0], loss_weight(in_crop)
    sample["emotion"] = torch.from_numpy(clip.emotion)
    if maps is not None:
        sample["guide"] = maps[0]
    return sample


def prior_frames(
    photo: np.ndarray,
    photo_points: np.ndarray,
    points: np.ndarray,
    face: np.ndarray,
    box: np.ndarray,
    kind: str,
) -> np.ndarray:
    """Prior frames (F, S, S, 3) uint8 of `box`; `face` is the crop the spline's units refer to."""
    if kind == "identity":
        return np.repeat(crop_square(photo, box, FRAME_SIZE)[None], len(points), axis=0)
    fields = displacement_field(lm.to_crop(points, face), lm.to_crop(photo_points, face))
    x0, y0, x1, y1 = (int(v) for v in box)
    local = np.array([0, 0, x1 - x0, y1 - y0])
    warped = [warp_image(photo, field, face, (x0, y0, x1, y1)) for field in fields]
    colour, (outlines, shares) = inside_colour(photo, photo_points), opened_mouth(points, photo_points)
    for frame, inner, share in zip(warped, outlines, shares, strict=True):
        fill_mouth(frame, inner - box[:2], colour, share)
    return np.stack([crop_square(frame, local, FRAME_SIZE) for frame in warped])


def loss_weight(in_crop: np.ndarray) -> torch.Tensor:
    """Weights (1, F, S, S) of the loss: inner mouth 6, lips 4, eyes 3, near landmarks 2, face 0.5,
    elsewhere 0.1.
    """
    import cv2

    fills = fill_masks(in_crop, FRAME_SIZE)
    points = point_mask(torch.from_numpy(in_crop), FRAME_SIZE, 11).numpy()
    weight = np.maximum(0.1, 2 * points)
    pixels = np.round(in_crop * FRAME_SIZE).astype(np.int32)
    for frame, outline in enumerate(pixels):
        regions = np.zeros((FRAME_SIZE, FRAME_SIZE), np.float32)
        cv2.fillConvexPoly(regions, cv2.convexHull(outline), 0.5)
        cv2.fillPoly(regions, [outline[lm.OUTER_LIPS]], 4.0)
        weight[frame] = np.maximum(weight[frame], regions)
    mouth, eyes = (np.stack([cv2.blur(m, (3, 3)) for m in fills[:, i]]) for i in (0, 1))
    weight = np.maximum(weight, np.maximum(6 * mouth, 3 * eyes))
    return torch.from_numpy(weight.astype(np.float32))[None]


def _face_box(config: SampleConfig, rng: np.random.Generator) -> np.ndarray:
    """The network's crop inside the stored one, moved and scaled a little."""
    side = STORED_SIZE / STORED_MARGIN
    centre = np.full(2, STORED_SIZE / 2)
    if config.augment:
        side *= rng.uniform(0.92, 1.08)
        centre = centre + rng.uniform(-0.03, 0.03, 2) * STORED_SIZE
    return lm.square_box(centre, side)


def _mouth_box(points: np.ndarray, face: np.ndarray, augment: bool, rng: np.random.Generator) -> np.ndarray:
    box = lm.mouth_box(points, face)
    side = float(box[2] - box[0])
    shift, zoom = rng.uniform(-0.08, 0.08, 2) * side, rng.uniform(0.9, 1.2)
    centre = (box[:2] + box[2:]) / 2
    return lm.square_box(centre + shift, side * zoom) if augment else box


def _nose_length(points: np.ndarray) -> np.ndarray:
    """From bridge to base, in inter-ocular distances, (F,): shrinks or grows as the head nods."""
    return np.linalg.norm(points[:, 33] - points[:, 27], axis=-1) / lm.inter_ocular_distance(points)


def _planes(frames: np.ndarray) -> torch.Tensor:
    """(F, S, S, 3) -> (3, F, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))
