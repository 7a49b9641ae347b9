"""Scores of generated mouths on unseen people: inside the lips, over time, and by a judge."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atldiff import landmarks as lm
from atldiff.evaluation.judge import Mouths, mouth_crops, shuffled_auc, two_sample_auc
from atldiff.evaluation.mouth_metrics import NAMES, inside_ratios, inside_statistics, still_flicker
from atldiff.evaluation.pictures import as_json
from atldiff.evaluation.validate import TrackedClip, Trial, make_trial
from atldiff.options import Options
from atldiff.pipeline import ATLDiffPipeline
from atldiff.rendering.diffusion.guide_noise import fill_masks
from atldiff.sequence import LandmarkSequence

JUDGE_FRAMES = 8  # frames of a clip for the judge
MIN_OPENING = 0.04  # inter-ocular distances; the judge sees wider mouths alone

Maker = Callable[[Trial], np.ndarray]


def render_by(pipeline: ATLDiffPipeline, steps: int) -> Maker:
    """A function that renders a trial's frames at the size of its photo, from its true landmarks."""

    def make(trial: Trial) -> np.ndarray:
        sequence = LandmarkSequence(trial.points, trial.portrait.landmarks, trial.emotion)
        return np.stack(list(pipeline.render(trial.portrait, sequence, Options(steps=steps))))

    return make


def score_mouths(ways: dict[str, Maker], clips: Sequence[TrackedClip]) -> dict[str, dict[str, float]]:
    """Ratios generated/real of the statistics inside the lips and of the flicker; 1 is perfect.

    Returns:
        {way: {"gradient", "deviation", "brightness", "flicker"}} at the size of the clips' pictures.
    """
    trials = [(clip, trial) for clip in clips if (trial := make_trial(clip)) is not None]
    statistics: dict[str, list[np.ndarray]] = {name: [] for name in ("real", *ways)}
    changes: dict[str, list[np.ndarray]] = {name: [] for name in ("real", *ways)}
    for clip, trial in tqdm(trials, desc="mouths"):
        pictures = {"real": real_frames(clip, trial)} | {name: way(trial) for name, way in ways.items()}
        size, openings = pictures["real"].shape[1], lm.mouth_opening(trial.points)
        inside = fill_masks(trial.points / size, size)[:, 0]
        for name, frames in pictures.items():
            statistics[name].append(inside_statistics(frames, inside))
            changes[name].append(still_flicker(frames, inside, openings))
    real, still = np.concatenate(statistics["real"]), float(np.concatenate(changes["real"]).mean())
    scores = {}
    for name in ways:
        scores[name] = inside_ratios(np.concatenate(statistics[name]), real)
        scores[name]["flicker"] = float(np.concatenate(changes[name]).mean()) / still
    return scores


def collect_mouths(way: Maker, clips: Sequence[TrackedClip]) -> Mouths:
    """Real and generated crops of up to JUDGE_FRAMES open mouths of each clip, for `judge.two_sample_auc`.

    Generated frames are compressed like the real ones, so that the judge does not learn a codec's traces.
    """
    real, generated, people = [], [], []
    for clip in tqdm(clips, desc="judged"):
        trial = make_trial(clip)
        if trial is None:
            continue
        wide = np.flatnonzero(lm.mouth_opening(trial.points) > MIN_OPENING)
        indices = wide[np.linspace(0, len(wide) - 1, min(JUDGE_FRAMES, len(wide))).astype(int)]
        if len(indices) == 0:
            continue
        indices = np.unique(indices)
        few = Trial(trial.portrait, trial.points[indices], trial.truth[indices], trial.emotion, trial.first)
        truth = np.stack([clip.frame(trial.first + index) for index in indices])
        real.append(mouth_crops(truth, few.points))
        frames = np.stack([clip.recompress(frame) for frame in way(few)])
        generated.append(mouth_crops(frames, few.points))
        people += [clip.identity] * len(indices)
    return Mouths(np.concatenate(real), np.concatenate(generated), np.array(people))


def validate_mouths(
    pipeline: ATLDiffPipeline,
    train: Sequence[TrackedClip],
    test: Sequence[TrackedClip],
    steps: Sequence[int] = (1,),
    out: Path | None = None,
) -> dict:
    """All measures of the mouth.

    Args:
        pipeline: the pipeline to score.
        train: clips of people on whom the judge learns.
        test: clips of people on whom it is tested.
        steps: numbers of sampling steps to compare.
        out: file for the result, as JSON.

    Returns:
        {"inside": result of `score_mouths`, "auc": {way: area under the judge's ROC curve}, "shuffled": the
        same for real mouths against other people's real mouths, about 0.5}.
    """
    ways = {f"{count} steps": render_by(pipeline, count) for count in steps}
    result: dict = {"inside": score_mouths(ways, test), "auc": {}}
    for name, way in ways.items():
        learn, ask = collect_mouths(way, train), collect_mouths(way, test)
        result["auc"][name] = two_sample_auc(learn, ask)
        result["shuffled"] = shuffled_auc(learn, ask)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(as_json(result))
    return result


def mouths_as_table(result: dict) -> str:
    """The measures as Markdown."""
    names = (*NAMES, "flicker")
    lines = [f"| | {' | '.join(names)} | AUC |", "|---" * (len(names) + 2) + "|"]
    for way, scores in result["inside"].items():
        cells = [f"{scores[name]:.2f}" for name in names]
        lines.append(f"| {way} | {' | '.join(cells)} | {result['auc'][way]:.3f} |")
    return "\n".join([*lines, "", f"AUC of real against other real mouths: {result['shuffled']:.3f}"])


def real_frames(clip: TrackedClip, trial: Trial) -> np.ndarray:
    """The trial's true frames (F, H, W, 3) uint8, at the clip's own size."""
    return np.stack([clip.frame(trial.first + index) for index in range(len(trial.points))])
