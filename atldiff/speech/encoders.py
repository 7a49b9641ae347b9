"""The two speech encoders by name: made new, or loaded."""

from pathlib import Path

from atldiff.config import EMOTIONS
from atldiff.loading import load_network
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder

Encoder = StarterSpeechEncoder | Wav2Vec2SpeechEncoder


def make_speech_encoder(name: str, emotions: tuple[str, ...] = EMOTIONS, pretrained: bool = True) -> Encoder:
    """The encoder that a preset names: "starter", or a wav2vec2 on the hub or in a folder.

    Args:
        emotions: that its recogniser, which is new, is to tell apart.
        pretrained: fetch wav2vec2's weights; without it, one of wav2vec2-base's shape with random ones.

    Raises:
        InputError: `pretrained`, and the hub cannot be reached.
    """
    if name == "starter":
        return StarterSpeechEncoder(emotions)
    if pretrained:
        return Wav2Vec2SpeechEncoder.from_hub(name, emotions)
    return Wav2Vec2SpeechEncoder(emotions=emotions)


def load_speech_encoder(folder: Path) -> Encoder:
    """An encoder of either kind that `save_pretrained` wrote.

    Raises:
        InputError: there is none in the folder, or its file is broken.
    """
    remedy = "Name the speech_encoder folder of a run of `train emotion` or of a pipeline"
    return load_network(folder, (StarterSpeechEncoder, Wav2Vec2SpeechEncoder), "speech encoder", remedy)
