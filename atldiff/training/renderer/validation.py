"""Scores of the renderer on unseen people from true landmarks, and contact sheets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from atldiff.errors import InputError
from atldiff.evaluation.mouth_metrics import inside_ratios, inside_statistics
from atldiff.rendering.diffusion.guide_noise import frame_noise
from atldiff.rendering.diffusion.sampler import Condition, make_scheduler, sample_residual
from atldiff.rendering.levels import from_signed, to_signed
from atldiff.system import atomic_write
from atldiff.training.renderer.clips import Moment, StoredClip, choose_frames
from atldiff.training.renderer.networks import RendererNetworks
from atldiff.training.renderer.samples import SampleConfig, make_sample

STEPS = (1, 2)
LIPS, FACE = 4.0, 0.5  # least weights of `samples.loss_weight` for pixels of the lips, of the face


def validation_set(clips: list[StoredClip], config: SampleConfig) -> list[dict]:
    """One fixed sample of each clip, without augmentation.

    Raises:
        InputError: no clip gives a sample.
    """
    config, samples = replace(config, augment=False), []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng(number)
        chosen = choose_frames(clip, config.frames, rng)
        if chosen is not None:
            samples.append(make_sample(Moment.from_clip(clip, *chosen, config.frames), config, rng))
    if not samples:
        raise InputError("No clip can be used to validate with", "Prepare more clips")
    return samples


def validation_scores(
    networks: RendererNetworks, samples: list[dict], device: torch.device
) -> tuple[dict[str, float], list[Tensor]]:
    """Scores of the prior and of 1 and 2 sampling steps, in the face (first view) and the lips (last view).

    Returns:
        Means by name:
        `face_1` (one step), `lips_prior`, ...: PSNR in dB;
        `gradient_1`, `deviation_1`, `brightness_1`: ratios generated/real inside the inner lips;
        `score`, which chooses the best weights: lips_1 less 4 dB for each doubling or halving of gradient
        and deviation.
        And per sample (4, 3, S, S) uint8, the last view's middle frame: prior, 1 step, 2 steps, target.
    """
    sums: dict[str, list[float]] = {}
    inside: dict[str, list[np.ndarray]] = {}
    sheet = []
    for number, sample in enumerate(samples):
        results = []
        for view in sample["views"]:
            results.append(_render(networks, sample, view, number, device))
        face, last = sample["views"][0], sample["views"][-1]
        for name in results[0]:
            for part, view, frames in (("face", face, results[0][name]), ("lips", last, results[-1][name])):
                where = view["weight"][None] >= (FACE if part == "face" else LIPS)
                score = psnr_in(frames, to_signed(view["target"])[None], where)
                sums.setdefault(f"{part}_{name}", []).append(score)
            if "guide" in last:
                mouth = last["guide"][1].numpy()
                inside.setdefault(name, []).append(inside_statistics(_uint8(results[-1][name]), mouth))
        if "guide" in last:
            real = _uint8(to_signed(last["target"])[None])
            inside.setdefault("real", []).append(inside_statistics(real, last["guide"][1].numpy()))
        pictures = (*results[-1].values(), to_signed(last["target"])[None])
        middle = last["target"].shape[1] // 2
        row = torch.cat([frames[:, :, middle] for frames in pictures])
        sheet.append(from_signed(row))
    scores = {name: float(np.mean(values)) for name, values in sums.items()}
    scores["score"] = scores["lips_1"]
    if inside:
        real = np.concatenate(inside.pop("real"))
        for name, values in inside.items():
            ratios = inside_ratios(np.concatenate(values), real)
            scores |= {f"{kind}_{name}": value for kind, value in ratios.items()}
        sharp = [abs(np.log2(scores[f"{kind}_1"])) for kind in ("gradient", "deviation")]
        scores["score"] -= 4 * float(np.nan_to_num(np.mean(sharp)))
    return scores, sheet


def _render(
    networks: RendererNetworks, sample: dict, view: dict[str, Tensor], number: int, device: torch.device
) -> dict[str, Tensor]:
    """Frames (1, 3, F, S, S) in [-1, 1] of the prior and of each number of steps, by name."""
    view = {key: value[None].to(device) for key, value in view.items()}
    prior, still = to_signed(view["prior"]), to_signed(sample["identity"][None]).to(device)
    with torch.no_grad():
        identity = networks.identity(still)
    emotion, style = (sample[name][None].to(device) for name in ("emotion", "style"))
    condition = Condition(prior, view.get("guide"), view["mask"], identity, emotion, style)
    noise = frame_noise(number, range(1), prior.shape[-1]).expand(prior.shape[1:])[None].to(device)
    results = {"prior": prior.cpu()}
    for steps in STEPS:
        residual = sample_residual(networks.unet, make_scheduler(), condition, noise, steps)
        results[str(steps)] = (prior + residual.float()).clamp(-1, 1).cpu()
    return results


def _uint8(frames: Tensor) -> np.ndarray:
    """(1, 3, F, S, S) in [-1, 1] -> (F, S, S, 3)."""
    return from_signed(frames[0].permute(1, 2, 3, 0)).numpy()


def psnr_in(frames: Tensor, target: Tensor, where: Tensor) -> float:
    """PSNR in dB over the pixels `where` (B, 1, F, H, W) of frames in [-1, 1]."""
    error = ((frames - target) ** 2 * where).sum() / (3 * where.sum()).clamp(min=1)
    return float(10 * torch.log10(4 / error.clamp(min=1e-10)))


def contact_sheet(rows: list[Tensor], path: Path, columns: int = 4) -> np.ndarray:
    """Writes rows of frames (N, 3, S, S) uint8 as a PNG, `columns` rows side by side; whole or not at all.

    Returns:
        (H, W, 3) uint8.
    """
    from PIL import Image

    strips = [row.permute(2, 0, 3, 1).flatten(1, 2).numpy() for row in rows]
    strips += [np.zeros_like(strips[0])] * (-len(strips) % columns)
    lines = [np.concatenate(strips[i : i + columns], axis=1) for i in range(0, len(strips), columns)]
    sheet = np.concatenate(lines)
    with atomic_write(path) as part:
        Image.fromarray(sheet).save(part, "PNG")
    return sheet
