"""Measures of finished videos against closed forms."""

import numpy as np
import pytest
import torch

from atldiff.errors import InputError
from atldiff.evaluation.measures import appearance, faces, networks
from atldiff.evaluation.measures.bootstrap import estimate, person_means
from atldiff.evaluation.measures.placement import similarity
from atldiff.landmarks import MOUTH


@pytest.fixture
def track() -> np.ndarray:
    """(90, 68, 2) a face whose points all move alike."""
    face = np.random.default_rng(0).uniform(0, 100, (68, 2))
    return face + np.cumsum(np.random.default_rng(1).normal(0, 1, (90, 1, 2)), axis=0)


def test_centred_distance_ignores_the_place_and_keeps_the_shape(track):
    np.testing.assert_allclose(faces.centred_distance(track + (30, -4), track), 0, atol=1e-9)
    np.testing.assert_allclose(faces.centred_distance(track + (30, -4), track, MOUTH), 0, atol=1e-9)
    opened = track.copy()
    opened[:, 48:58, 1] -= 3  # ten of the mouth's twenty points; their mean moves by half
    np.testing.assert_allclose(faces.centred_distance(opened, track, MOUTH), 1.5)


def test_velocity_error_is_that_of_the_motion_alone(track):
    np.testing.assert_allclose(faces.velocity_error(track + 50, track), 0, atol=1e-9)
    drifting = track + np.arange(90)[:, None, None] * np.array([3, 4])
    np.testing.assert_allclose(faces.velocity_error(drifting, track), 5)


def test_lags_by_second_follow_a_sound_that_slips():
    curve = np.random.default_rng(3).normal(size=120)
    late = np.r_[curve[:60], np.roll(curve[60:], 3)]
    assert faces.lags_by_second(late[:115], curve[:115]).tolist() == [0, 0, 3]
    assert np.isnan(faces.lags_by_second(np.ones(60), curve[:60])).all()


def test_blink_rate_counts_short_closures():
    opening = np.full(1800, 0.3)  # one minute
    for start in (100, 500, 900):
        opening[start : start + 5] = 0.1
    opening[1200:1260] = 0.1  # two seconds with closed eyes are no blink
    assert faces.blink_rate(opening) == 3
    assert faces.blink_rate(np.full(30, 0.3)) == 0
    assert np.isnan(faces.blink_rate(np.full(30, np.nan)))


def test_head_statistics_of_a_steady_turn():
    track = np.zeros((61, 7))
    track[:, 0], track[:, 1] = 3 * np.arange(61) / 30, 4 * np.arange(61) / 30
    statistics = faces.head_statistics(track)
    assert statistics["head speed"] == pytest.approx(5)
    assert statistics["head range"] == pytest.approx(5 * (np.arange(61) / 30).std())


def test_flicker_is_zero_for_steady_change_and_four_times_an_alternation():
    ramp = np.arange(20, dtype=np.uint8)[:, None, None, None] + np.zeros((20, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(appearance.flicker(ramp), 0, atol=1e-4)
    blinking = ramp * 0 + (100 + 10 * (np.arange(20) % 2)).astype(np.uint8)[:, None, None, None]
    np.testing.assert_allclose(appearance.flicker(blinking), 20, atol=1e-4)
    half = blinking.copy()
    half[:, :, 4:] = 50
    np.testing.assert_allclose(appearance.flicker(half, np.array([4, 0, 8, 8])), 0, atol=1e-4)


def test_sharpness_is_the_slope_and_drift_its_percent_a_second():
    slope = np.tile(np.arange(0, 64, 2, dtype=np.uint8), (3, 32, 1))[..., None].repeat(3, axis=-1)
    np.testing.assert_allclose(appearance.sharpness(slope), 2, rtol=1e-5)
    np.testing.assert_allclose(appearance.sharpness(slope, np.array([2, 2, 9, 9])), 2, rtol=1e-5)
    falling = 10 - np.arange(61) / 30  # from 10 to 8 in two seconds, 9 on average
    assert appearance.drift(falling) == pytest.approx(-100 / 9)
    assert np.isnan(appearance.drift(np.ones(1)))


def test_an_estimate_weighs_people_alike_and_repeats():
    values, people = [1, 1, 1, 4, np.nan], ["ann", "ann", "ann", "bo", "cy"]
    result = estimate(values, people)
    assert (result.mean, result.low, result.high, result.people) == (2.5, 1, 4, 2)
    assert estimate(values, people) == result
    assert person_means(values, people) == {"ann": 1, "bo": 4}
    alone = estimate([3, 5], ["ann", "ann"])
    assert alone.mean == 4 and np.isnan(alone.low) and alone.people == 1
    assert np.isnan(estimate([np.nan], ["ann"]).mean)


def test_the_interval_is_that_of_the_mean():
    rng = np.random.default_rng(0)
    numbers = rng.normal(5, 2, 400)
    result = estimate(numbers, [str(i) for i in range(400)])
    half = 1.96 * numbers.std() / 20
    assert result.low == pytest.approx(numbers.mean() - half, abs=0.05)
    assert result.high == pytest.approx(numbers.mean() + half, abs=0.05)


def test_frechet_distance_of_known_gaussians():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4)) * (1, 2, 3, 4)
    assert networks.frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert networks.frechet_distance(features + 2, features) == pytest.approx(16)
    twice = (features - features.mean(axis=0)) * 2 + features.mean(axis=0)  # deviations s and 2 s: s^2 each
    expected = np.cov(features, rowvar=False).trace()
    assert networks.frechet_distance(twice, features) == pytest.approx(expected)


def test_cosine_similarity():
    a = np.array([[1, 0], [1, 1], [0, -2]])
    np.testing.assert_allclose(networks.cosine_similarity(a, np.array([3, 0])), [1, np.sqrt(0.5), 0])


def test_a_similarity_is_recovered():
    rng, angle = np.random.default_rng(0), 0.3
    points = rng.normal(size=(11, 2))
    turn = 1.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found, shift = similarity(points, points @ turn.T + (5, -2))
    np.testing.assert_allclose(found, turn)
    np.testing.assert_allclose(shift, (5, -2))


class _Colours(torch.nn.Module):
    """A made network: the mean of each colour."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=[2, 3]) + 2


class _Videos(torch.nn.Module):
    """A made network with the arguments of I3D's."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        return x.mean(dim=[2, 3, 4])


@pytest.fixture
def no_inception(monkeypatch):
    """A machine without torch-fidelity."""

    def missing() -> None:
        raise InputError("There is no Inception network", "Install it")

    monkeypatch.setattr(networks, "FrechetDistance", missing)


def test_networks_are_read_from_a_folder_and_else_named(tmp_path, no_inception):
    torch.jit.script(_Colours()).save(str(tmp_path / networks.IDENTITY))
    torch.jit.script(_Videos()).save(str(tmp_path / networks.VIDEO))
    some = networks.Networks.load(tmp_path)
    assert "FVD" not in some.missing and "identity" not in some.missing and "LSE-C" in some.missing
    frames = np.full((10, 40, 40, 3), 51, np.uint8)
    np.testing.assert_allclose(some.features(frames)["FVD"], np.full((1, 3), 51))
    marks = np.random.default_rng(0).uniform(5, 35, (68, 2))
    points = np.repeat(marks[None], 10, axis=0)
    points[3] = np.nan
    assert some.identity_similarity(frames, points, frames[0], marks) == pytest.approx(1)
    assert set(networks.Networks.load(None).missing) == {"FID", "FVD", "identity", "LSE-C", "LSE-D"}


def test_a_file_that_is_no_network_is_refused(tmp_path, no_inception):
    (tmp_path / networks.VIDEO).write_bytes(b"not a network")
    with pytest.raises(InputError, match="no TorchScript"):
        networks.Networks.load(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        networks.Networks.load(tmp_path / "none")
