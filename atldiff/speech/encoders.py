"""Builds or loads a speech encoder of either kind."""

from pathlib import Path

from atldiff.config import EMOTIONS
from atldiff.loading import load_network
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder

Encoder = StarterSpeechEncoder | Wav2Vec2SpeechEncoder


def make_speech_encoder(name: str, emotions: tuple[str, ...] = EMOTIONS, pretrained: bool = True) -> Encoder:
    """Builds the encoder that a preset names, with an untrained emotion recogniser.

    Args:
        name: "starter", or a wav2vec2 on the hub or in a folder.
        emotions: names of the recogniser's emotions.
        pretrained: fetch the weights of wav2vec2; False gives wav2vec2-base's shape with random weights.

    Raises:
        InputError: the hub cannot be reached.
    """
    if name == "starter":
        return StarterSpeechEncoder(emotions)
    if pretrained:
        return Wav2Vec2SpeechEncoder.from_hub(name, emotions)
    return Wav2Vec2SpeechEncoder(emotions=emotions)


def load_speech_encoder(folder: Path) -> Encoder:
    """Loads an encoder of either kind from the folder that `save_pretrained` wrote.

    Raises:
        InputError: the folder holds no encoder, or its file is broken.
    """
    remedy = "Name the speech_encoder folder of a run of `train emotion` or of a pipeline"
    return load_network(folder, (StarterSpeechEncoder, Wav2Vec2SpeechEncoder), "speech encoder", remedy)
