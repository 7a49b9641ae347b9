"""The landmark generator: shapes, time, windows and units; tiny random networks suffice."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from atldiff.speech.features import SpeechFeatures
from atldiff.speech.global_domain import GlobalDomain, RawSpeech, at_frame_rate, locality_mask
from atldiff.speech.landmark_generator import LandmarkGenerator

TINY = {"feature_dim": 6, "width": 16, "heads": 2, "layers": 1, "channels": 2, "hidden": 8}


def generator(**changes) -> LandmarkGenerator:
    torch.manual_seed(0)
    return LandmarkGenerator(**(TINY | changes))


def features(seconds: float, seed: int = 0) -> SpeechFeatures:
    torch.manual_seed(seed)
    count = int(seconds * 50) + 1
    return SpeechFeatures(torch.randn(1, count, 6), torch.randn(1, count, 6), torch.zeros(1, 4))


def portrait() -> np.ndarray:
    points = np.random.default_rng(0).uniform(0, 1, (68, 2))
    points[36], points[45] = (0.2, 0.4), (0.7, 0.5)
    return points.astype(np.float32)


def test_frame_f_shows_the_moment_f_over_30():
    seconds = torch.arange(101)[None, :, None] / 50
    torch.testing.assert_close(at_frame_rate(seconds, 60)[0, :, 0], torch.arange(60) / 30)
    assert at_frame_rate(seconds, 70)[0, -1, 0] == 2.0  # past the end the last feature stays


def test_attention_sees_near_frames_and_the_nearest_most():
    mask = locality_mask(50, torch.device("cpu"))
    assert mask[10, 10] == 0 and mask[10, 12] < mask[10, 11] and mask[0, 49] == -torch.inf
    torch.testing.assert_close(mask, mask.T)


@pytest.mark.parametrize(
    "changes",
    [{}, {"head": "mlp"}, {"no_kfusion": True}, {"no_context": True}, {"no_global": True}, {"components": 5}],
    ids=str,
)
def test_every_ablation_has_the_same_output(changes):
    moved = generator(**changes)(features(1.0), torch.randn(1, 68, 2), 30)
    assert moved.shape == (1, 30, 68, 2) and torch.isfinite(moved).all()


def test_attention_runs_over_time_and_not_over_the_batch():
    net = generator()
    one, two = features(1.0, 1), features(1.0, 2)
    both = SpeechFeatures(
        torch.cat([one.acoustic, two.acoustic]), torch.cat([one.context, two.context]), torch.zeros(2, 4)
    )
    identity = torch.randn(2, 68, 2)
    with torch.no_grad():
        torch.testing.assert_close(
            net(both, identity, 30)[:1], net(one, identity[:1], 30), rtol=1e-4, atol=1e-5
        )


def test_each_domain_and_the_identity_matter():
    net, speech, identity = generator(), features(1.0), torch.randn(1, 68, 2)
    with torch.no_grad():
        base = net(speech, identity, 30)
        other = torch.randn_like(speech.acoustic)
        assert not torch.allclose(base, net(SpeechFeatures(other, speech.context, None), identity, 30))
        assert not torch.allclose(base, net(SpeechFeatures(speech.acoustic, other, None), identity, 30))
        assert not torch.allclose(base, net(speech, identity + 0.5, 30))


def test_predict_turns_and_scales_with_the_portrait():
    net, speech, points = generator(), features(1.0), portrait()
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]]) * 200.0
    direct, turned = net.predict(speech, points, 30), net.predict(speech, points @ turn + 50, 30)
    np.testing.assert_allclose(turned, direct @ turn + 50, atol=0.05)


def test_windows_join_without_a_seam():
    net, speech = generator(), features(40.0)
    whole = net.predict(speech, portrait(), 1200)
    assert whole.shape == (1200, 68, 2)
    with torch.no_grad():
        middle = net(
            SpeechFeatures(speech.acoustic[:, 400:1001], speech.context[:, 400:1001], None),
            torch.from_numpy(portrait())[None],
            360,
        )
    assert torch.isfinite(middle).all()
    steps = np.linalg.norm(np.diff(whole, axis=0), axis=-1).max(-1)
    seams = steps[[*range(299, 361), *range(599, 661), *range(899, 961)]]
    assert seams.max() < 1.5 * steps.max() and seams.mean() < 1.2 * steps.mean()


def test_a_window_agrees_with_the_whole_far_from_its_edges(monkeypatch):
    net, speech = generator(), features(16.0)
    windows = net.predict(speech, portrait(), 480)
    monkeypatch.setattr("atldiff.speech.landmark_generator.WINDOW_FRAMES", 10_000)
    whole = net.predict(speech, portrait(), 480)
    assert np.abs(windows - whole).max() < 0.02 * np.abs(whole - portrait()).max()


@pytest.mark.parametrize("frames", [1, 2, 59, 61, 301])
def test_any_number_of_frames(frames):
    assert generator().predict(features(frames / 30), portrait(), frames).shape == (frames, 68, 2)


def test_save_and_load(tmp_path):
    net = generator(components=5)
    net.basis.normal_()
    net.save_pretrained(tmp_path)
    again, speech = LandmarkGenerator.from_pretrained(tmp_path), features(1.0)
    np.testing.assert_allclose(
        again.predict(speech, portrait(), 30), net.predict(speech, portrait(), 30), atol=1e-5
    )
    assert not again.training


def raw_features(seconds: float) -> SpeechFeatures:
    """Features with the samples of their length."""
    speech = features(seconds)
    samples = torch.randn(1, (speech.acoustic.shape[1] - 1) * 320)
    return replace(speech, samples=samples)


def test_a_raw_feature_is_centred_on_its_sample():
    torch.manual_seed(0)
    heard = RawSpeech(8, 0.0)
    click = torch.zeros(1, 50 * 320)
    click[:, 30 * 320] = 100.0  # second 0.6, frame 18
    with torch.no_grad():
        moved = (heard(click, 30) - heard(0 * click, 30)).abs().amax(dim=-1)[0]
    assert moved.argmax() == 18 and moved[:17].max() == 0 and moved[20:].max() == 0


def test_the_global_domain_hears_the_raw_signal_alone():
    net, speech, identity = generator(global_input="raw"), raw_features(1.0), torch.randn(1, 68, 2)
    with torch.no_grad():
        base = net(speech, identity, 30)
        other = replace(speech, acoustic=torch.randn_like(speech.acoustic))
        assert torch.equal(base, net(other, identity, 30))
        for name in ("samples", "context"):
            changed = replace(speech, **{name: torch.randn_like(getattr(speech, name))})
            assert not torch.allclose(base, net(changed, identity, 30))


@pytest.mark.parametrize("frames", [1, 29, 301, 700])
def test_any_number_of_frames_from_the_raw_signal(frames):
    net = generator(global_input="raw")
    assert net.hears_waveform and not generator(global_input="raw", no_global=True).hears_waveform
    assert net.predict(raw_features(frames / 30), portrait(), frames).shape == (frames, 68, 2)


def test_windows_of_the_raw_signal_agree_with_the_whole(monkeypatch):
    net, speech = generator(global_input="raw"), raw_features(16.0)
    windows = net.predict(speech, portrait(), 480)
    monkeypatch.setattr("atldiff.speech.landmark_generator.WINDOW_FRAMES", 10_000)
    whole = net.predict(speech, portrait(), 480)
    assert np.abs(windows - whole).max() < 0.02 * np.abs(whole - portrait()).max()


def test_no_two_layers_begin_with_equal_weights():
    torch.manual_seed(0)
    domain = GlobalDomain(width=8, heads=2, layers=2, channels=2, dropout=0.0)
    layers = [layer.linear1.weight for stack in (domain.face, domain.mouth) for layer in stack.layers]
    layers += [layer.linear1.weight for layer in domain.decoder.layers]
    assert not any(torch.equal(a, b) for a, b in combinations(layers, 2))
