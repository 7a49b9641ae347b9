"""Trained parts -> one folder that `ATLDiffPipeline.from_pretrained` reads."""

from collections.abc import Sequence
from pathlib import Path

import torch

from atldiff.config import Preset, read_preset
from atldiff.errors import InputError
from atldiff.loading import load_network
from atldiff.pipeline import ATLDiffPipeline
from atldiff.speech.encoders import load_speech_encoder
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.training.renderer.networks import RendererNetworks, make_networks
from atldiff.training.runs.checkpoints import save_networks

LANDMARK_RUN = "Name the folder of a run of `train landmarks`, or of a pipeline"


def export(
    out: Path,
    renderers: Sequence[Path],
    speech: Path,
    preset: str | Preset = "starter",
    shares: Sequence[float] | None = None,
) -> ATLDiffPipeline:
    """Writes the pipeline's folder, the U-Net's weights as float16 (half the size; loaded as float32).

    Args:
        out: the folder; what it holds of the same parts is overwritten.
        renderers: diffusion runs' best/ or last/, with unet/ and identity_encoder/; of several, the mean.
        shares: of each renderer in the mean, together 1; below nought for one to be led away from. None =
            all alike.
        speech: a folder with speech_encoder/ and landmark_generator/; may be `out` itself.

    Raises:
        InputError: the shares are not one for each renderer, or not 1 together; a folder lacks its
            networks, or holds those of another preset; the renderers are of different shapes; the disk is
            full.
    """
    row = preset if isinstance(preset, Preset) else read_preset(preset)
    shares = [1 / len(renderers)] * len(renderers) if shares is None else shares
    if len(shares) != len(renderers) or not abs(sum(shares) - 1) < 1e-3:
        told = ", ".join(f"{share:g}" for share in shares)
        raise InputError(
            f"{len(renderers)} renderers cannot have the shares {told}",
            "Give one share for each renderer, 1 together",
        )
    networks = [make_networks(row, "spatial", folder) for folder in renderers]
    renderer = mean_weights(networks, shares)
    pipeline = ATLDiffPipeline.from_preset(
        row,
        speech_encoder=load_speech_encoder(speech / "speech_encoder"),
        landmark_generator=load_network(
            speech / "landmark_generator", [LandmarkGenerator], "landmark generator", LANDMARK_RUN
        ),
        identity_encoder=renderer.identity,
        unet=renderer.unet,
    )
    pipeline.unet.to(torch.float16)
    kept = ("speech_encoder", "landmark_generator") if speech.resolve() == out.resolve() else ()
    save_networks(out, {name: part for name, part in pipeline.components.items() if name not in kept})
    pipeline.save_config(out)
    return pipeline


@torch.no_grad()
def mean_weights(networks: Sequence[RendererNetworks], shares: Sequence[float]) -> RendererNetworks:
    """The first of the networks, with the mean of all their weights under these shares, whose sum is 1.

    States of one run, and of runs that began from each other, lie in one basin: their mean keeps the
    likeness of the one and the sharpness of the other (Wortsman et al. 2022, "Model soups").

    Raises:
        InputError: the networks are of different shapes.
    """
    columns = [list(network.parameters()) for network in networks]
    shapes = [[weight.shape for weight in column] for column in columns]
    if any(other != shapes[0] for other in shapes):
        raise InputError(
            "The renderers are of different shapes", "Name states of runs that share a beginning"
        )
    for row in zip(*columns, strict=True):
        row[0].copy_(sum(share * weight for share, weight in zip(shares, row, strict=True)))
    return networks[0]
