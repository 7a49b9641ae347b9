"""Trained parts -> one folder for `ATLDiffPipeline.from_pretrained`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from atldiff.config import Preset, read_preset
from atldiff.errors import InputError
from atldiff.loading import load_network
from atldiff.pipeline import ATLDiffPipeline
from atldiff.speech.encoders import Encoder, load_speech_encoder
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.training.renderer.networks import make_networks
from atldiff.training.runs.checkpoints import save_networks

N = TypeVar("N", bound=nn.Module)
LANDMARK_RUN = "Name the folder of a run of `train landmarks`, or of a pipeline"


def export(
    out: Path,
    renderers: Sequence[Path],
    speech: Sequence[Path],
    preset: str | Preset = "starter",
    shares: Sequence[float] | None = None,
) -> ATLDiffPipeline:
    """Writes the pipeline's folder. The U-Net's weights are stored as float16 and load as float32.

    Args:
        out: the output folder; the parts that it has are overwritten.
        renderers: best/ or last/ of diffusion runs, with unet/ and identity_encoder/; several give the mean.
        speech: folders with speech_encoder/ and landmark_generator/, or `out` itself; of several the mean, if
            their runs began from one trained generator.
        preset: the preset of the networks.
        shares: weight of each renderer in the mean, with sum 1; a negative one extrapolates. None = equal.

    Raises:
        InputError: there is not one share for each renderer, or their sum is not 1; a folder lacks its
            networks, or has those of another preset; networks have different shapes; the disk is full.
    """
    row = preset if isinstance(preset, Preset) else read_preset(preset)
    shares = [1 / len(renderers)] * len(renderers) if shares is None else shares
    if len(shares) != len(renderers) or not abs(sum(shares) - 1) < 1e-3:
        listing = ", ".join(f"{share:g}" for share in shares)
        raise InputError(
            f"{len(renderers)} renderers cannot have the shares {listing}",
            "Give one share for each renderer, 1 together",
        )
    networks = [make_networks(row, "spatial", folder) for folder in renderers]
    renderer = mean_weights(networks, shares)
    encoder, generator = mean_weights(
        [nn.ModuleList(load_speech_networks(folder)) for folder in speech], [1 / len(speech)] * len(speech)
    )
    pipeline = ATLDiffPipeline.from_preset(
        row,
        speech_encoder=encoder,
        landmark_generator=generator,
        identity_encoder=renderer.identity,
        unet=renderer.unet,
    )
    pipeline.unet.to(torch.float16)
    here = [folder.resolve() for folder in speech] == [out.resolve()]
    present = ("speech_encoder", "landmark_generator") if here else ()
    save_networks(out, {name: part for name, part in pipeline.components.items() if name not in present})
    pipeline.save_config(out)
    return pipeline


@torch.no_grad()
def mean_weights(networks: Sequence[N], shares: Sequence[float]) -> N:
    """Averages the networks' weights into the first network, and returns it.

    States of one run, or of runs with a common start, lie in one basin of the loss. Their mean keeps the
    likeness of one and the sharpness of the other (Wortsman et al. 2022, "Model soups").

    Args:
        shares: weight of each network, with sum 1.

    Raises:
        InputError: the networks have different shapes.
    """
    columns = [list(network.parameters()) for network in networks]
    shapes = [[weight.shape for weight in column] for column in columns]
    if any(other != shapes[0] for other in shapes):
        raise InputError("The networks are of different shapes", "Name states of runs that share a beginning")
    for row in zip(*columns, strict=True):
        row[0].copy_(sum(share * weight for share, weight in zip(shares, row, strict=True)))
    return networks[0]


def load_speech_networks(folder: Path) -> tuple[Encoder, LandmarkGenerator]:
    """The speech encoder and the landmark generator of a run or a pipeline.

    Raises:
        InputError: the folder lacks one of them.
    """
    encoder = load_speech_encoder(folder / "speech_encoder")
    generator = load_network(
        folder / "landmark_generator", [LandmarkGenerator], "landmark generator", LANDMARK_RUN
    )
    return encoder, generator
