"""Measures against closed forms and against scikit-image."""

import json

import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.evaluation import pictures as metrics
from atldiff.landmarks import MOUTH


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Three smooth pictures, 40x48."""
    y, x = np.mgrid[:40, :48] / 8
    waves = [np.sin(x * k) * np.cos(y * (k + 1)) for k in (1, 2, 3)]
    return np.stack([(127 + 100 * np.stack([w, -w, w**2], -1)) for w in waves]).astype(np.uint8)


def noisy(frames: np.ndarray, scale: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, scale, frames.shape)
    return (frames + noise).clip(0, 255).astype(np.uint8)


def moving_mouth(num_frames: int) -> np.ndarray:
    points = np.random.default_rng(1).uniform(0, 200, (68, 2))
    points[36], points[45] = (50, 60), (150, 60)
    return np.repeat(points[None], num_frames, axis=0)


def test_psnr_of_a_known_error(frames):
    other = frames.copy()
    other[:, :20] = np.where(frames[:, :20] > 127, frames[:, :20] - 10, frames[:, :20] + 10)
    np.testing.assert_allclose(metrics.psnr(other, frames), 10 * np.log10(255**2 / 50))
    top = metrics.psnr(other, frames, boxes=np.array([0, 0, 48, 20]))
    np.testing.assert_allclose(top, 10 * np.log10(255**2 / 100))
    assert np.isinf(metrics.psnr(other, frames, boxes=np.array([0, 20, 48, 40]))).all()


def test_psnr_and_ssim_agree_with_scikit_image(frames):
    skimage = pytest.importorskip("skimage.metrics")
    other = noisy(frames, 12)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
    for k in range(3):
        theirs = skimage.structural_similarity(other[k], frames[k], **options)
        assert abs(metrics.ssim(other, frames)[k] - theirs) < 1e-6
        assert (
            abs(metrics.psnr(other, frames)[k] - skimage.peak_signal_noise_ratio(frames[k], other[k])) < 1e-9
        )


def test_ssim_is_one_of_equals_and_falls_with_noise(frames):
    assert np.allclose(metrics.ssim(frames, frames), 1)
    scores = [metrics.ssim(noisy(frames, s), frames).mean() for s in (2, 10, 40)]
    assert scores == sorted(scores, reverse=True) and scores[-1] < 0.6


def test_ssim_in_a_box_sees_only_the_box(frames):
    other = frames.copy()
    other[:, :, :16] = noisy(other, 40)[:, :, :16]
    boxes = np.array([[30, 5, 48, 35]] * 3)
    assert np.allclose(metrics.ssim(other, frames, boxes), 1)
    assert metrics.ssim(other, frames, np.array([0, 0, 16, 40])).max() < 0.9


def test_boxes_beyond_the_picture_are_cut(frames):
    whole = metrics.psnr(noisy(frames, 5), frames)
    np.testing.assert_array_equal(whole, metrics.psnr(noisy(frames, 5), frames, np.array([-9.0, -9, 99, 99])))
    assert np.isfinite(metrics.psnr(noisy(frames, 5), frames, np.array([300.0, 300, 400, 400]))).all()


def test_part_box_surrounds_the_part():
    face = moving_mouth(4)
    box = metrics.part_box(face, MOUTH, margin=0.1)
    assert box.shape == (4, 4)
    np.testing.assert_allclose(box[:, 0], face[:, MOUTH, 0].min(axis=1) - 10)
    np.testing.assert_allclose(box[:, 3], face[:, MOUTH, 1].max(axis=1) + 10)


def test_fid_names_what_it_needs(frames, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchmetrics.image.fid", None)
    with pytest.raises(InputError, match="torch-fidelity.*pip install"):
        metrics.FrechetDistance()


def test_fid_is_asked_of_all_frames_of_each_way(frames, monkeypatch):
    """The Inception network's part is played by a count: what is fed to it is what is tested."""
    fed = {True: 0, False: 0}

    class Counting:
        def __init__(self, feature):
            assert feature == 2048

        def update(self, images, real):
            assert images.shape[1] == 3 and str(images.dtype) == "torch.uint8"
            fed[real] += len(images)

        def compute(self):
            return fed[True] - fed[False]

    module = __import__("types").SimpleNamespace(FrechetInceptionDistance=Counting)
    monkeypatch.setitem(__import__("sys").modules, "torchmetrics.image.fid", module)
    distance = metrics.FrechetDistance()
    distance.add(frames, frames)
    distance.add(frames, frames)
    assert fed == {True: 2 * len(frames), False: 2 * len(frames)} and distance.value() == 0


def test_what_was_not_measured_is_null_in_json():
    scores = {"bilabials": np.float64("nan"), "parts": [{"opening": 0.5}, float("nan")], "clips": 3}
    known = {"bilabials": None, "parts": [{"opening": 0.5}, None], "clips": 3}
    assert json.loads(metrics.as_json(scores), parse_constant=pytest.fail) == known
