"""Trained parts -> one folder that `ATLDiffPipeline.from_pretrained` reads."""

from pathlib import Path

import torch

from atldiff.config import Preset, read_preset
from atldiff.pipeline import ATLDiffPipeline
from atldiff.rendering.identity import CompactIdentityEncoder, ResNetIdentityEncoder
from atldiff.rendering.unet3d import IdentityUNet3DModel
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.wav2vec2_encoder import load_speech_encoder


def export(out: Path, renderer: Path, speech: Path, preset: str | Preset = "starter") -> ATLDiffPipeline:
    """Writes the pipeline's folder, the U-Net's weights as float16 (half the size; loaded as float32).

    Args:
        out: the folder; what it holds of the same parts is overwritten.
        renderer: a diffusion run's best/ or last/, with unet/ and identity_encoder/.
        speech: a folder with speech_encoder/ and landmark_generator/; may be `out` itself.
    """
    row = preset if isinstance(preset, Preset) else read_preset(preset)
    identity = CompactIdentityEncoder if row.identity == "compact" else ResNetIdentityEncoder
    pipeline = ATLDiffPipeline.from_preset(
        row,
        speech_encoder=load_speech_encoder(speech / "speech_encoder"),
        landmark_generator=LandmarkGenerator.from_pretrained(speech / "landmark_generator"),
        identity_encoder=identity.from_pretrained(renderer / "identity_encoder"),
        unet=IdentityUNet3DModel.from_pretrained(renderer / "unet"),
    )
    pipeline.unet.to(torch.float16)
    for part in (pipeline.unet, pipeline.identity_encoder, pipeline.scheduler):
        name = next(key for key, value in pipeline.components.items() if value is part)
        part.save_pretrained(out / name)
    if speech.resolve() != out.resolve():
        for name in ("speech_encoder", "landmark_generator"):
            pipeline.components[name].save_pretrained(out / name)
    pipeline.save_config(out)
    return pipeline
