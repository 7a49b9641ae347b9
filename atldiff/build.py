"""A pipeline from its preset: what a checkpoint is before it is trained."""

from dataclasses import asdict

from atldiff.config import PRESETS
from atldiff.pipeline import ATLDiffPipeline
from atldiff.rendering.identity import CompactIdentityEncoder, ResNetIdentityEncoder
from atldiff.rendering.sampler import make_scheduler
from atldiff.rendering.unet3d import IdentityUNet3DModel
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.speech_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder


def build_pipeline(preset: str = "starter", pretrained: bool = False, **parts) -> ATLDiffPipeline:
    """A pipeline of the preset with new networks, or with the given parts.

    An untrained U-Net predicts r_0 = 0: the video is the prior alone.

    Args:
        pretrained: take wav2vec2 and ResNet from the hub where the preset uses them.
        parts: any of the pipeline's components by name.

    Raises:
        OSError: `pretrained`, and the hub cannot be reached.
    """
    row = PRESETS[preset]
    if "speech_encoder" not in parts:
        kind = StarterSpeechEncoder if row.speech == "starter" else Wav2Vec2SpeechEncoder
        from_hub = pretrained and row.speech == "wav2vec2"
        parts["speech_encoder"] = kind.from_hub() if from_hub else kind()
    if "identity_encoder" not in parts:
        kind = CompactIdentityEncoder if row.identity == "compact" else ResNetIdentityEncoder
        from_hub = pretrained and row.identity == "resnet"
        parts["identity_encoder"] = kind.from_hub() if from_hub else kind()
    if "landmark_generator" not in parts:
        parts["landmark_generator"] = LandmarkGenerator(feature_dim=parts["speech_encoder"].feature_dim)
    parts.setdefault("unet", IdentityUNet3DModel(**asdict(row.unet)))
    parts.setdefault("scheduler", make_scheduler())
    return ATLDiffPipeline(**parts, preset=preset)
