"""Scores of a checkpoint on unseen people: pictures from true landmarks, landmarks from speech."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from atldiff import landmarks as lm
from atldiff.config import FRAME_SIZE, Preset
from atldiff.evaluation import pictures as metrics
from atldiff.evaluation.landmark_scores import SpokenClip, validate_landmarks
from atldiff.options import Options
from atldiff.pipeline import ATLDiffPipeline
from atldiff.portrait.photo import crop_square
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.output.composite import composite
from atldiff.rendering.warp.canvas import make_canvas
from atldiff.rendering.warp.prior import moving_photo
from atldiff.sequence import LandmarkSequence

FRAMES = 30  # consecutive frames of each clip
MARGIN = 0.1  # of the boxes around mouth and face, in inter-ocular distances
MAX_YAW_CHANGE = 0.12  # between the portrait and the frames


class TrackedClip(Protocol):
    """A clip with its true landmarks, such as `training.renderer.clips.StoredClip`."""

    @property
    def identity(self) -> str:
        """Name of the person."""

    @property
    def points(self) -> np.ndarray:
        """(T, 68, 2) landmarks, pixels of the frames."""

    @property
    def usable(self) -> np.ndarray:
        """(T,) bool, the face is tracked and turned to the camera."""

    @property
    def emotion(self) -> np.ndarray:
        """(E,) embedding of the speech; zeros: unknown."""

    def frame(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""

    def recompress(self, picture: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) uint8 after the compression of the clip's stored frames."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A portrait and the true frames of its face.

    Attributes:
        portrait: the portrait.
        points: (F, 68, 2) landmarks, pixels of the photo.
        truth: (F, 128, 128, 3) uint8, crops of the true frames.
        emotion: (E,) embedding of the speech.
        first: number of the first frame in its clip.
    """

    portrait: Portrait
    points: np.ndarray
    truth: np.ndarray
    emotion: np.ndarray
    first: int


def validate(
    pipeline: ATLDiffPipeline,
    clips: Sequence[TrackedClip],
    speech_clips: Sequence[SpokenClip],
    steps: tuple[int, ...] = (1, 2, 4, 8),
    max_clips: int | None = None,
    out: Path | None = None,
    fid: bool = False,
) -> dict:
    """Scores pictures that are rendered from true landmarks, and landmarks that are predicted from speech.

    Args:
        pipeline: the pipeline to score.
        clips: clips to render.
        speech_clips: clips whose landmarks to predict.
        steps: numbers of sampling steps to compare.
        max_clips: the largest number of clips to render; None: all.
        out: file for the result, as JSON.
        fid: whether to add the Frechet Inception Distance of all frames; it needs thousands of them.

    Returns:
        {"pictures": {way: {measure: mean}}, "landmarks": {measure: mean}, "clips", "people", "frames",
        "heard"}; the ways are "still photo", "prior alone" and "N steps". Means are means over clips' means.

    Raises:
        InputError: `fid` without the Inception network's weights.
    """
    trials = [(clip, trial) for clip in clips if (trial := make_trial(clip)) is not None][:max_clips]
    ways: dict[str, Callable[[Trial], np.ndarray]] = {"still photo": _still}
    ways["prior alone"] = partial(_prior, pipeline.preset)
    for count in steps:
        ways[f"{count} steps"] = partial(_render, pipeline, count)
    scores: dict[str, list[dict]] = {name: [] for name in ways}
    distances = {name: metrics.FrechetDistance() for name in ways} if fid else {}
    for _, trial in tqdm(trials, desc="pictures"):
        for name, way in ways.items():
            frames = way(trial)
            scores[name].append(picture_scores(frames, trial))
            if fid:
                distances[name].add(frames, trial.truth)
    landmarks = validate_landmarks(pipeline.speech_encoder, pipeline.landmark_generator, speech_clips)
    result: dict = {"pictures": {name: _mean(values) for name, values in scores.items()}}
    for name, distance in distances.items():
        result["pictures"][name]["FID"] = distance.value()
    result |= {"clips": len(trials), "people": len({clip.identity for clip, _ in trials})}
    result |= {"heard": len(landmarks.pop("clips")), "landmarks": landmarks}
    result["frames"] = int(sum(len(trial.points) for _, trial in trials))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(metrics.as_json(result))
    return result


def as_table(result: dict) -> str:
    """The scores as Markdown."""
    names = list(next(iter(result["pictures"].values())))
    size = f"{FRAME_SIZE}x{FRAME_SIZE}"
    lines = [f"{result['clips']} clips of {result['people']} people, {result['frames']} frames of {size}", ""]
    lines += [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for way, scores in result["pictures"].items():
        cells = [f"{scores[name]:.3f}" if "SSIM" in name else f"{scores[name]:.2f}" for name in names]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    lines += [
        "",
        f"landmarks from the sound of {result['heard']} clips",
        "",
        "| measure | mean |",
        "|---|---|",
    ]
    return "\n".join(lines + [f"| {name} | {value:.3f} |" for name, value in result["landmarks"].items()])


def make_trial(clip: TrackedClip, frames: int = FRAMES) -> Trial | None:
    """Chooses a trial of a clip; None if there is none.

    The window is the longest run of usable frames with the portrait's yaw, at most `frames` of them and 70 %.
    The portrait is the frame outside of it with the most closed mouth.
    """
    if not clip.usable.any():
        return None
    turn = lm.yaw(clip.points)
    alike = clip.usable & (np.abs(turn - np.median(turn[clip.usable])) < MAX_YAW_CHANGE)
    frames = min(frames, int(0.7 * alike.sum()))
    edges = np.flatnonzero(np.diff(np.r_[0, alike, 0]))
    runs = [(start, min(stop, start + frames)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    if not runs:
        return None
    start, stop = max(runs, key=lambda run: run[1] - run[0])
    alike[start:stop] = False
    if stop - start < 10 or not alike.any():
        return None
    still = min(np.flatnonzero(alike).tolist(), key=lambda index: lm.mouth_opening(clip.points[index]))
    points = clip.points[still].astype(np.float32)
    box = lm.crop_box(points)
    portrait = Portrait(clip.frame(still), points, box, None, (box,), 0, ())
    marks = clip.points[start:stop].astype(np.float32)
    truth = [crop_picture(replace(portrait, image=clip.frame(index)), marks) for index in range(start, stop)]
    return Trial(portrait, marks, np.stack(truth), clip.emotion, int(start))


def picture_scores(frames: np.ndarray, trial: Trial) -> dict[str, float]:
    """PSNR in dB and SSIM of frames (F, 128, 128, 3) uint8: whole frame, face's box and mouth's box."""
    canvas = make_canvas(trial.portrait, trial.points, "crop")
    points = lm.to_crop(canvas.to_canvas(trial.points), canvas.frame_box) * FRAME_SIZE
    mouth, face = (metrics.part_box(points, part, MARGIN) for part in (lm.MOUTH, lm.WHOLE_FACE))
    scores = {}
    for name, boxes in (("frame", None), ("face", face), ("mouth", mouth)):
        scores[f"PSNR {name}"] = float(metrics.psnr(frames, trial.truth, boxes).mean())
        scores[f"SSIM {name}"] = float(metrics.ssim(frames, trial.truth, boxes).mean())
    return scores


def crop_picture(portrait: Portrait, points: np.ndarray, background: str = "keep") -> np.ndarray:
    """The portrait's picture in the "crop" output, (128, 128, 3) uint8, as a rendering of no motion has it.

    Args:
        portrait: the photo; with its matte for the background "green".
        points: (F, 68, 2) landmarks of all frames, pixels of the photo.
        background: "keep" or "green".
    """
    canvas = make_canvas(portrait, points, "crop", background)
    return crop_square(canvas.image, canvas.frame_box, FRAME_SIZE)


def _still(trial: Trial) -> np.ndarray:
    """The portrait for every frame, (F, 128, 128, 3) uint8."""
    return np.repeat(crop_picture(trial.portrait, trial.points)[None], len(trial.points), axis=0)


def _prior(preset: Preset, trial: Trial) -> np.ndarray:
    """The preset's prior with a residual of zero, (F, 128, 128, 3) uint8.

    An untrained pipeline renders the same, except for fine colours in an open mouth, which `soft_colours`
    removes.
    """
    canvas = make_canvas(trial.portrait, trial.points, "crop", mouth=len(preset.view_sizes) > 1)
    size = (len(canvas.views), FRAME_SIZE, FRAME_SIZE)
    residual, mask = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    moving = moving_photo(canvas, preset.prior).frames(canvas.to_canvas(trial.points))
    return np.stack([composite(canvas, part, list(residual), list(mask)) for part in moving])


def _render(pipeline: ATLDiffPipeline, steps: int, trial: Trial) -> np.ndarray:
    """The pipeline's frames (F, 128, 128, 3) uint8 from the true landmarks."""
    sequence = LandmarkSequence(trial.points, trial.portrait.landmarks, trial.emotion)
    return np.stack(list(pipeline.render(trial.portrait, sequence, Options(steps=steps, output="crop"))))


def _mean(scores: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.nanmean([s[name] for s in scores])) for name in scores[0]} if scores else {}
