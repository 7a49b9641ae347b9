"""ATL-Diff makes a talking video from one portrait and one recording of speech.

from atldiff import ATLDiffPipeline
frames = ATLDiffPipeline.from_pretrained()("face.jpg", "speech.wav").frames
"""

from importlib import import_module

__version__ = "0.9.0"

_HOMES = {
    "ATLDiffPipeline": "pipeline",
    "ATLDiffPipelineOutput": "rendering.output.result",
    "CompactIdentityEncoder": "rendering.diffusion.identity",
    "IdentityUNet3DModel": "rendering.diffusion.unet3d",
    "InputError": "errors",
    "LandmarkGenerator": "speech.landmark_generator",
    "LandmarkSequence": "sequence",
    "Options": "options",
    "Portrait": "portrait.portrait",
    "ResNetIdentityEncoder": "rendering.diffusion.identity",
    "Speech": "media.speech",
    "StarterSpeechEncoder": "speech.starter_encoder",
    "Wav2Vec2SpeechEncoder": "speech.wav2vec2_encoder",
    "load_portrait": "portrait.portrait",
    "load_speech": "media.speech",
    "read_clip": "media.video_reader",
    "write_video": "media.video_writer",
}
__all__ = sorted(_HOMES)
# Checkpoints name their networks' classes as of `atldiff`; diffusers then looks for their base class here.
_HOMES["ModelMixin"] = "rendering.diffusion.unet3d"


def __getattr__(name: str):
    """Imports a public name at its first use: `import atldiff` alone loads nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
