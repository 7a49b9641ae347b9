"""Training of the renderer on a clip made here: samples, losses, both stages, resuming, export."""

import json

import numpy as np
import pytest
import torch

from atldiff import ATLDiffPipeline, IdentityUNet3DModel
from atldiff.landmarks import crop_box, to_crop
from atldiff.portrait.face import load_portrait
from atldiff.portrait.photo import crop_square
from atldiff.training.clips import SampleConfig, choose_frames, load_clips, loss_weight, make_sample
from atldiff.training.export import export
from atldiff.training.prepare import STORED_MARGIN, STORED_SIZE, _lag
from atldiff.training.train_diffusion import residual_loss, train_diffusion


@pytest.fixture(scope="module")
def data(tmp_path_factory, portrait_path):
    """Twenty frames of one face that opens and closes its mouth, once to train and once to validate."""
    import cv2

    folder = tmp_path_factory.mktemp("prepared")
    portrait = load_portrait(portrait_path)
    box = crop_box(portrait.landmarks, 1.5 * STORED_MARGIN)
    still = crop_square(portrait.image, box, STORED_SIZE)
    points = np.repeat(to_crop(portrait.landmarks, box)[None], 20, axis=0)
    points[:, [56, 57, 58, 65, 66, 67], 1] += 0.02 * np.sin(np.arange(20))[:, None]
    encoded = [cv2.imencode(".jpg", still[..., ::-1])[1]] * 20
    offsets = np.cumsum([0] + [len(e) for e in encoded])
    arrays = {"jpeg": np.concatenate(encoded), "offsets": offsets, "landmarks": points}
    np.savez(folder / "a.npz", ok=np.ones(20, bool), samples=np.zeros(0, np.float32), **arrays)
    entry = {"stem": "a", "identity": "drawn", "use": "frames"}
    index = [entry | {"split": split} for split in ("train", "val")]
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def sample(data, **config):
    clip = load_clips(data, "train")[0]
    rng = np.random.default_rng(0)
    return make_sample(clip, *choose_frames(clip, config.get("frames", 1), rng), SampleConfig(**config), rng)


def test_sample_has_the_networks_shapes(data):
    made = sample(data, frames=3)
    assert made["prior"].shape == made["target"].shape == (3, 3, 128, 128)
    assert made["identity"].shape == (3, 128, 128)
    assert made["guide"].shape == (3, 3, 128, 128)
    assert made["mask"].shape == made["weight"].shape == (1, 3, 128, 128)
    assert not made["emotion"].any()  # a silent clip


def test_prior_of_a_picture_that_does_not_change_is_near_the_target(data):
    made = sample(data, augment=False, mouth_share=0.0)
    away = made["weight"][0, 0] <= 0.1  # the landmarks of the mouth moved, the picture did not
    assert (made["prior"].float() - made["target"].float()).abs()[:, 0][:, away].mean() < 3


def test_identity_frame_is_never_in_the_window(data):
    clip = load_clips(data, "train")[0]
    for seed in range(20):
        still, first = choose_frames(clip, 5, np.random.default_rng(seed))
        assert not first <= still < first + 5


def test_loss_looks_hardest_at_the_mouth(data):
    clip = load_clips(data, "train")[0]
    in_crop = to_crop(clip.points[:1], np.array([0, 0, STORED_SIZE, STORED_SIZE], np.float32))
    weight = loss_weight(in_crop)[0, 0]
    mouth = (in_crop[0, 60:68].mean(axis=0) * 128).astype(int)
    assert weight[mouth[1], mouth[0]] >= 4
    assert weight[0, 0] == pytest.approx(0.1)


def test_loss_is_zero_only_for_the_residual_itself():
    residual, weight = torch.randn(1, 3, 2, 8, 8), torch.rand(1, 1, 2, 8, 8)
    assert residual_loss(residual, residual, weight) == 0
    assert residual_loss(residual + 0.1, residual, weight) == pytest.approx(0.1, abs=1e-5)


def test_lag_of_a_mouth_that_follows_loudness(monkeypatch):
    rng = np.random.default_rng(0)
    loud = np.convolve(rng.random(200), np.ones(5) / 5, "same") ** 4
    samples = np.repeat(loud, 16_000 // 30) * rng.normal(0, 1, 200 * (16_000 // 30))
    points = np.zeros((200, 68, 2), np.float32)
    points[:, 45, 0] = 1  # inter-ocular distance 1
    points[:, (65, 66, 67), 1] = np.log(np.roll(loud, 3) ** 2 + 1e-6)[:, None]
    points[..., 1] += 20 * (points[..., 1] != 0)  # openings above zero
    lag, correlation = _lag(points, np.ones(200, bool), samples.astype(np.float32))
    assert lag == 3 and correlation > 0.8


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    torch.manual_seed(0)
    run = tmp_path_factory.mktemp("run")
    train_diffusion(data, run / "spatial", "spatial", steps=1, batch=2)
    train_diffusion(data, run / "spatial", "spatial", steps=2, batch=2)  # the same command again: resumes
    train_diffusion(data, run / "temporal", "temporal", steps=1, batch=1, start=run / "spatial" / "last")
    return run


def test_training_resumes_and_logs(trained):
    lines = [json.loads(line) for line in (trained / "spatial" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert {"loss", "mouth_prior", "mouth_1", "face_1"} <= set(lines[0])
    assert list((trained / "spatial").glob("sheet-*.png"))


def test_temporal_stage_starts_from_the_inflated_network(trained):
    unet = IdentityUNet3DModel.from_pretrained(trained / "temporal" / "last" / "unet")
    assert unet.config.temporal_kernel == 3


def test_exported_folder_is_a_pipeline(trained, tmp_path):
    from atldiff.pipeline import STARTER

    export(tmp_path, trained / "temporal" / "last", STARTER)
    pipeline = ATLDiffPipeline.from_pretrained(tmp_path)
    assert pipeline.unet.config.temporal_kernel == 3 and pipeline.unet.dtype == torch.float32
    assert all(p.stat().st_size < 10_000_000 for p in tmp_path.rglob("*.safetensors"))
