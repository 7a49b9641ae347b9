"""An untrained pipeline of a few channels, whose lips move with the sound."""

import torch

from atldiff import ATLDiffPipeline, IdentityUNet3DModel
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.starter_encoder import StarterSpeechEncoder


def make_pipeline() -> ATLDiffPipeline:
    torch.manual_seed(0)
    shape = {"width": 16, "layers": 1, "taps": (0,), "symbols": 8, "bilabials": (1, 2)}
    encoder = StarterSpeechEncoder(**shape, emotion_width=16, emotion_layers=1)
    generator = LandmarkGenerator(
        encoder.feature_dim, width=16, heads=2, layers=1, channels=2, hidden=8, head="mlp"
    )
    generator.scale *= 0.05
    config = {"block_out_channels": (8, 16), "patch_size": 2, "guide_channels": 3, "identity_dim": 64}
    config |= {"temporal_kernel": 1, "separable": True}  # as the starter's
    unet = IdentityUNet3DModel(**config, emotion_dim=encoder.config.emotion_dim)
    torch.nn.init.normal_(unet.conv_out.weight, std=0.02)  # a residual that is not zero
    return ATLDiffPipeline.from_preset(speech_encoder=encoder, landmark_generator=generator, unet=unet)
