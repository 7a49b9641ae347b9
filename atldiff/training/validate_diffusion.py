"""Scores of the renderer on unseen people, ground-truth landmarks given, and sheets to look at."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from atldiff.rendering.guide import frame_noise
from atldiff.rendering.sampler import Condition, make_scheduler, sample_residual
from atldiff.training.clips import SampleConfig, StoredClip, choose_frames, make_sample

SETS_PER_CLIP = 1
STEPS = (1, 2)


def validation_set(clips: list[StoredClip], config: SampleConfig) -> list[dict[str, Tensor]]:
    """The same samples at every call: per clip one of the face and one of the mouth, no augmentation."""
    plain = {"frames": config.frames, "prior": config.prior, "guide": config.guide, "augment": False}
    samples = []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng(number)
        for share in (0.0,) * SETS_PER_CLIP + (1.0,):
            chosen = choose_frames(clip, config.frames, rng)
            if chosen is not None:
                sample = make_sample(clip, *chosen, SampleConfig(mouth_share=share, **plain), rng)
                samples.append(sample | {"zoomed": torch.tensor(share)})
    return samples


def validation_scores(
    networks: nn.ModuleDict, samples: list[dict[str, Tensor]], device: torch.device
) -> tuple[dict[str, float], list[Tensor]]:
    """PSNR of the prior and of 1 and 2 steps where the loss is heavy (lips: weight >= 4) and in the face.

    Returns:
        Mean dB by name (`mouth_1`: face crop, one step; `zoom_1`: mouth crop, one step), and
        per sample (4, 3, S, S) uint8: prior, 1 step, 2 steps, target of its middle frame.
    """
    sums: dict[str, list[float]] = {}
    sheet = []
    for number, sample in enumerate(samples):
        sample = {key: value[None].to(device) for key, value in sample.items()}
        prior, target, still = (sample[k].float() / 127.5 - 1 for k in ("prior", "target", "identity"))
        emotion = torch.zeros(1, networks["unet"].config.emotion_dim, device=device)
        with torch.no_grad():
            identity = networks["identity"](still)
        condition = Condition(prior, sample.get("guide"), sample["mask"], identity, emotion)
        noise = frame_noise(number, 0, prior.shape[2], prior.shape[-1])[None].to(device)
        results = {"prior": prior}
        for steps in STEPS:
            residual = sample_residual(networks["unet"], make_scheduler(), condition, noise, steps)
            results[str(steps)] = (prior + residual.float()).clamp(-1, 1)
        zoomed = bool(sample["zoomed"])
        for name, frames in results.items():
            sums.setdefault(f"{'zoom' if zoomed else 'mouth'}_{name}", []).append(
                psnr_in(frames, target, sample["weight"] >= 4)
            )
            if not zoomed:
                sums.setdefault(f"face_{name}", []).append(psnr_in(frames, target, sample["weight"] >= 0.5))
        middle = prior.shape[2] // 2
        row = torch.cat([frames[:, :, middle] for frames in (*results.values(), target)])
        sheet.append(((row + 1) * 127.5).round().byte().cpu())
    return {name: float(np.mean(values)) for name, values in sums.items()}, sheet


def psnr_in(frames: Tensor, target: Tensor, where: Tensor) -> float:
    """PSNR in dB over the pixels `where` (B, 1, F, H, W) of frames in [-1, 1]."""
    error = ((frames - target) ** 2 * where).sum() / (3 * where.sum()).clamp(min=1)
    return float(10 * torch.log10(4 / error.clamp(min=1e-10)))


def contact_sheet(rows: list[Tensor], path: Path, columns: int = 4) -> None:
    """Writes rows of frames (N, 3, S, S) uint8, `columns` rows side by side, as a PNG."""
    from PIL import Image

    strips = [row.permute(2, 0, 3, 1).flatten(1, 2).numpy() for row in rows]
    strips += [np.zeros_like(strips[0])] * (-len(strips) % columns)
    lines = [np.concatenate(strips[i : i + columns], axis=1) for i in range(0, len(strips), columns)]
    Image.fromarray(np.concatenate(lines)).save(path)
