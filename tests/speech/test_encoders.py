"""Speech encoders and their parts; tiny random networks suffice."""

import numpy as np
import pytest
import torch

from atldiff.config import EMOTIONS
from atldiff.errors import InputError
from atldiff.media.speech import Speech
from atldiff.speech.emotion_recogniser import NEAREST, EmotionRecogniser
from atldiff.speech.mel import FEATURE_HOP, LogMel, cut_windows, mel_bank, to_training_level
from atldiff.speech.phonetic_encoder import PhoneticEncoder
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder

TINY_EMOTION = {"emotion_width": 16, "emotion_layers": 1, "emotion_dim": 8}


def starter() -> StarterSpeechEncoder:
    torch.manual_seed(0)
    return StarterSpeechEncoder(
        width=16, layers=3, heads=2, kernel=7, symbols=5, bilabials=(1, 2), taps=(0, 2), **TINY_EMOTION
    )


def wav2vec2() -> Wav2Vec2SpeechEncoder:
    torch.manual_seed(0)
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    tiny |= {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    return Wav2Vec2SpeechEncoder(tiny, **TINY_EMOTION)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise with a loudness that changes at the rate of syllables."""
    rng, count = np.random.default_rng(seed), int(16_000 * seconds)
    swell = 0.5 + 0.5 * np.sin(np.arange(count) / 16_000 * 2 * np.pi * 3)
    return (0.1 * swell * rng.standard_normal(count)).astype(np.float32)


def test_the_filterbank_is_librosas():
    from librosa.filters import mel

    expected = mel(sr=16_000, n_fft=400, n_mels=80, htk=True)
    np.testing.assert_allclose(mel_bank().numpy(), expected, atol=2e-5)


def test_log_mel_of_a_tone_peaks_at_its_band_and_counts_columns():
    time = torch.arange(16_000) / 16_000
    mel = LogMel()(torch.sin(2 * torch.pi * 1000 * time)[None])
    assert mel.shape == (1, 80, 101)
    centres = mel_bank() @ torch.linspace(0, 8000, 201) / mel_bank().sum(1)
    assert abs(centres[mel[0, :, 50].argmax()] - 1000) < 80


def test_features_are_centred_on_their_time():
    samples = torch.zeros(1, 16_000)
    samples[0, 8_000] = 1.0
    mel = LogMel()(samples)[0].sum(0)
    assert mel.argmax() == 50 and torch.allclose(mel[49], mel[51])


@pytest.mark.parametrize("count", [1, 319, 16_000, 16_000 * 13, 16_000 * 14 - 1, 16_000 * 40 + 77])
def test_windows_join_to_one_feature_every_20_ms(count):
    windows = list(cut_windows(count))
    cores = [len(range(*core.indices((h.stop - h.start) // FEATURE_HOP + 1))) for h, core in windows]
    assert sum(cores) == count // FEATURE_HOP + 1
    assert max(h.stop - h.start for h, _ in windows) <= 16_000 * 15


def test_level_takes_loudness_out_and_leaves_silence_alone():
    x = torch.from_numpy(noise(1.0))[None]
    torch.testing.assert_close(to_training_level(0.05 * x), to_training_level(x), rtol=1e-4, atol=1e-6)
    assert to_training_level(torch.zeros(1, 5_000)).abs().max() == 0


def test_no_block_mixes_recordings_of_a_batch():
    encoder = PhoneticEncoder(16, 2, 2, 7, 5).eval()
    mel = torch.randn(3, 80, 40)
    together, alone = encoder(mel)[-1], encoder(mel[1:2])[-1]
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder.phonemes(together).exp().sum(-1), torch.ones(3, 20))


@pytest.mark.parametrize("make", [starter, wav2vec2])
def test_shapes_range_and_loudness(make):
    encoder, x = make(), noise(1.3)
    with torch.no_grad():
        loud, quiet = (encoder(torch.from_numpy(gain * x)[None]) for gain in (1.0, 0.05))
    assert loud.acoustic.shape == loud.context.shape == (1, len(x) // 320 + 1, encoder.feature_dim)
    assert loud.emotion.shape == (1, 8) and loud.emotion.abs().max() < 1
    if make is starter:
        assert loud.bilabial.shape == loud.acoustic.shape[:2]
        assert loud.bilabial.min() >= 0 and loud.bilabial.max() <= 1
    else:
        assert loud.bilabial is None
    torch.testing.assert_close(loud.acoustic, quiet.acoustic, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("make", [starter, wav2vec2])
def test_encode_of_a_short_recording_is_forward(make):
    encoder, x = make(), noise(2.0)
    with torch.no_grad():
        whole = encoder(torch.from_numpy(x)[None])
    encoded = encoder.encode(Speech(x, x[:, None], 16_000))
    for name in ("acoustic", "context", "emotion"):
        torch.testing.assert_close(getattr(encoded, name), getattr(whole, name), rtol=1e-3, atol=1e-3)


def test_long_recordings_are_heard_in_windows_with_one_emotion():
    x = noise(30.0)
    features = starter().encode(Speech(x, x[:, None], 16_000))
    assert features.acoustic.shape[1] == len(x) // 320 + 1 and features.emotion.shape == (1, 8)


def test_a_named_emotion_changes_the_context_and_not_the_acoustics():
    encoder, speech = starter(), Speech.from_samples(noise(1.0))
    encoder.emotion.prototypes.normal_()
    heard, happy = encoder.encode(speech), encoder.encode(speech, emotion="happy")
    torch.testing.assert_close(happy.emotion[0], encoder.emotion.prototype("happy"))
    torch.testing.assert_close(heard.acoustic, happy.acoustic)
    assert not torch.equal(heard.context, happy.context)
    torch.testing.assert_close(happy.context, encoder.gate(happy.acoustic, happy.emotion))
    with pytest.raises(InputError, match="Use one of neutral"):
        encoder.emotion.prototype("bored")
    assert encoder.emotion.names == EMOTIONS
    torch.testing.assert_close(happy.heard, heard.emotion)


def test_an_emotion_that_no_voice_taught_is_heard_as_its_nearest():
    recogniser = EmotionRecogniser(("neutral", "disgust", "fearful"), 16, 1, 8)
    recogniser.prototypes.normal_()
    for name, nearest in NEAREST.items():
        torch.testing.assert_close(recogniser.prototype(name), recogniser.prototype(nearest))


def test_a_recording_of_a_few_samples_is_heard():
    x = noise(0.01)
    assert starter().encode(Speech(x, x[:, None], 16_000)).acoustic.shape[1] == 1


@pytest.mark.parametrize("make", [starter, wav2vec2])
def test_save_and_load(make, tmp_path):
    encoder = make()
    with torch.no_grad():
        for value in (*encoder.parameters(), *encoder.buffers()):
            value.add_(0.01) if value.is_floating_point() else value
    encoder.save_pretrained(tmp_path)
    again = type(encoder).from_pretrained(tmp_path)
    x = torch.from_numpy(noise(0.5))[None]
    with torch.no_grad():
        torch.testing.assert_close(again(x).context, encoder(x).context, rtol=1e-4, atol=1e-5)
    assert not again.training and [p.name for p in tmp_path.glob("*.safetensors")]


def test_wav2vec2_is_frozen_and_says_so_when_the_hub_is_away(monkeypatch):
    assert not any(p.requires_grad for p in wav2vec2().model.parameters())

    def offline(*_, **__):
        raise OSError("no connection")

    monkeypatch.setattr("transformers.Wav2Vec2Model.from_pretrained", offline)
    with pytest.raises(InputError, match="Connect to the internet once"):
        Wav2Vec2SpeechEncoder.from_hub()


def test_features_carry_the_samples_only_where_they_are_asked_for():
    speech = Speech.from_samples(0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32))
    encoder = StarterSpeechEncoder()
    assert encoder.encode(speech).samples is None
    features = encoder.encode(speech, waveform=True)
    torch.testing.assert_close(features.samples, to_training_level(torch.from_numpy(speech.samples)[None]))
    assert features.acoustic.shape[1] == features.samples.shape[1] // FEATURE_HOP + 1
