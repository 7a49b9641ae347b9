"""The speech encoder learns to hear with little future."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training import made_speech
from training.made_speech import corpus

from atldiff.errors import InputError
from atldiff.training.export import load_speech_networks
from atldiff.training.landmarks import live
from atldiff.training.landmarks.live import LiveStage, LiveTask, cut, hear, train_live
from atldiff.training.runs.checkpoints import save_state

SHORT = LiveStage(
    batch=8, long_batch=1, long_frames=45, past=6, steps=24, learning_rate=1e-2, ema=0.9, save_every=12
)


def networks():
    """The small networks, as if the generator were trained: what it predicts moves all points."""
    encoder, generator = made_speech.networks()
    for weight in generator.parameters():
        torch.nn.init.normal_(weight, 0, 0.2)
    torch.nn.init.normal_(generator.basis)
    return encoder, generator


@torch.no_grad()
def error_at_the_end(task: LiveTask) -> float:
    """Squared error of what the Conformer hears in the last 0.1 s of short windows."""
    learnt = task.encoder.config.width
    windows = [task._draw(8, 12, np.random.default_rng(seed)) for seed in range(6)]
    return float(
        np.mean([(hear(task.encoder, w) - w.acoustic)[:, -6:, :learnt].square().mean() for w in windows])
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    corpus(folder)
    return folder


def test_a_window_and_its_features_show_the_same_time(data, tmp_path):
    encoder, generator = networks()
    task = LiveTask.begin(data, tmp_path, encoder, generator, SHORT, 0)
    samples, acoustic, *_ = cut(task.examples[0], 0, 87)
    heard = hear(encoder, SimpleNamespace(samples=samples[None]))[0]
    assert heard.shape == acoustic.shape == (146, encoder.feature_dim)
    middle = slice(10, -10)  # float16, and the clip's last frames apart
    torch.testing.assert_close(heard[middle], acoustic[middle], atol=0.02, rtol=0.02)
    samples, acoustic, *_ = cut(task.examples[0], 30, 30)
    heard = hear(encoder, SimpleNamespace(samples=samples[None]))[0]
    torch.testing.assert_close(heard[10:-10], acoustic[10:-10], atol=0.2, rtol=0.2)
    assert (heard - acoustic)[-3:].abs().mean() > 3 * (heard - acoustic)[10:-10].abs().mean()


def test_training_brings_short_windows_nearer_and_resumes_exactly(data, tmp_path, monkeypatch):
    encoder, generator = networks()
    begun = {name: value.clone() for name, value in generator.state_dict().items()}
    task = LiveTask.begin(data, tmp_path, encoder, generator, SHORT, 0)
    before = error_at_the_end(task)
    losses = train_live(data, tmp_path / "whole", encoder, generator, SHORT)
    assert set(losses) == {"short", "long", "lips"} and np.isfinite(list(losses.values())).all()
    assert error_at_the_end(task) < 0.9 * before
    assert all(torch.equal(begun[name], value) for name, value in generator.state_dict().items())
    saved, kept = load_speech_networks(tmp_path / "whole")
    assert all(torch.equal(saved.state_dict()[name], value) for name, value in encoder.state_dict().items())
    assert all(torch.equal(begun[name], value) for name, value in kept.state_dict().items())

    def save_and_stop(*words, **values):
        save_state(*words, **values)
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "save_state", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train_live(data, tmp_path / "parts", *networks(), SHORT)
    monkeypatch.undo()
    other, generator = networks()
    train_live(data, tmp_path / "parts", other, generator, SHORT)
    for one, resumed in zip(encoder.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(resumed, one)


def test_what_cannot_be_trained_is_refused(data, tmp_path):
    encoder, generator = networks()
    with pytest.raises(InputError, match="has no clip of 120 frames"):
        train_live(data, tmp_path / "short", encoder, generator)
    with pytest.raises(InputError, match="Only the starter's"):
        train_live(data, tmp_path / "other", generator, generator)
    with pytest.raises(InputError, match="moves no lips"):
        train_live(data, tmp_path / "new", *made_speech.networks(), SHORT)
