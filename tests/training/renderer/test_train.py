"""Training of the renderer on a clip made here: samples, losses, both stages, resuming, export."""

import itertools
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate
from training.made_speech import SMALLEST, narrow_critic

from atldiff import ATLDiffPipeline, IdentityUNet3DModel, InputError
from atldiff.config import PRESETS
from atldiff.landmarks import LOWER_INNER_LIP, mouth_opening, to_crop
from atldiff.pipeline import STARTER
from atldiff.rendering.diffusion.mouth_style import MIN_OPENING, mouth_style
from atldiff.training.data.extract import STORED_SIZE
from atldiff.training.export import export
from atldiff.training.renderer import networks as renderer_networks
from atldiff.training.renderer import step as renderer_step
from atldiff.training.renderer.batches import Batches, DataConfig
from atldiff.training.renderer.clips import StoredClip, choose_frames, load_clips
from atldiff.training.renderer.losses import residual_loss, shading_loss
from atldiff.training.renderer.networks import STYLE_RATE, make_networks
from atldiff.training.renderer.reopened import reopen_mouth
from atldiff.training.renderer.samples import PhotoDraw, SampleConfig, WindowDataset, face_weight, loss_weight
from atldiff.training.renderer.stages import Stage
from atldiff.training.renderer.step import RendererStep
from atldiff.training.renderer.train import Trainer, train_diffusion
from atldiff.training.renderer.validation import contact_sheet
from atldiff.training.runs.checkpoints import save_networks
from atldiff.training.runs.processes import sample_numbers, start_processes


@pytest.fixture(scope="module", autouse=True)
def narrow():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renderer_step, "MouthCritic", narrow_critic)
        yield


def dataset(data, frames=1, augment=True, photos=(), preset=PRESETS["starter"]):
    config = SampleConfig.from_preset(preset, frames, augment)
    return WindowDataset(load_clips(data, "train"), config, 0, photos)


def batch_of(data, *numbers) -> tuple:
    """Small pictures, from which a small network learns in a moment."""
    samples = dataset(data, preset=SMALLEST)
    return numbers, default_collate([samples[number] for number in numbers])


def trainer_of(out, stage, channels=(8, 8), accumulate=1) -> Trainer:
    torch.manual_seed(0)
    preset = replace(PRESETS["starter"], unet=replace(PRESETS["starter"].unet, block_out_channels=channels))
    accelerator = start_processes("cpu", out, accumulate)
    step = RendererStep(make_networks(preset, "spatial", None), stage, accelerator, 0, use_critic=True)
    return Trainer(step, accelerator, None, {})


def test_sample_has_the_networks_shapes(data):
    made = dataset(data, frames=3)[0]
    assert made["identity"].shape == (3, 128, 128)
    assert not made["emotion"].any()  # a silent clip
    for view, size in zip(made["views"], PRESETS["starter"].view_sizes, strict=True):
        assert view["prior"].shape == view["target"].shape == view["guide"].shape == (3, 3, size, size)
        assert view["mask"].shape == view["weight"].shape == (1, 3, size, size)


def test_paper_presets_see_the_face_alone(data):
    config = SampleConfig.from_preset(PRESETS["paper-mead"], 2)
    (view,) = WindowDataset(load_clips(data, "train"), config, 0)[0]["views"]
    assert view["prior"].shape == (3, 2, 128, 128) and "guide" not in view
    assert torch.equal(view["prior"][:, 0], view["prior"][:, 1])  # the still photo


def test_prior_of_a_picture_that_does_not_change_is_near_the_target(data):
    view = dataset(data, augment=False)[0]["views"][0]
    away = view["weight"][0, 0] <= 0.1  # the landmarks of the mouth moved, the picture did not
    assert (view["prior"].float() - view["target"].float()).abs()[:, 0][:, away].mean() < 3


def test_processes_and_workers_share_the_samples_by_number(data, tmp_path):
    accelerator = start_processes("cpu", tmp_path)
    source = DataConfig(data, batch=2)
    batches = iter(Batches(source, SampleConfig.from_preset(PRESETS["starter"]), accelerator, first=3))
    for wanted in ([6, 7], [8, 9]):  # the fourth and fifth batch of two
        numbers, batch = next(batches)
        assert list(numbers) == wanted
        for number, target in zip(numbers, batch["views"][0]["target"], strict=True):
            assert torch.equal(target, dataset(data)[number]["views"][0]["target"])
    other = SimpleNamespace(num_processes=3, process_index=1)
    assert list(next(sample_numbers(other, batch=2, first=1))) == [8, 9]


def test_photo_is_closed_and_opened_again(data):
    clip = load_clips(data, "train")[0]
    photo = StoredClip("p", "p", clip.jpeg, clip.offsets[:2], clip.points[7:8], clip.usable[:1])
    photo.points[0, list(LOWER_INNER_LIP), 1] += 12
    moment = reopen_mouth(photo, np.random.default_rng(0))
    assert mouth_opening(moment.photo_points) == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(moment.frames[0], photo.frame(0))
    np.testing.assert_array_equal(moment.points, photo.points)
    assert (moment.photo != photo.frame(0)).any()
    made = dataset(data, frames=2, photos=[photo])[3]
    assert made["views"][0]["prior"].shape[1] == 2


def test_a_sample_tells_the_style_of_its_clips_open_mouths(data):
    clip = load_clips(data, "train")[0]
    shut = replace(clip, usable=mouth_opening(clip.points) < MIN_OPENING)
    np.testing.assert_array_equal(shut.style, np.zeros(4, np.float32))
    points = clip.points[:1].copy()
    points[0, list(LOWER_INNER_LIP), 1] += 12
    photo = StoredClip("p", "p", clip.jpeg, clip.offsets[:2], points, np.ones(1, bool))
    np.testing.assert_array_equal(photo.style, mouth_style(photo.frame(0), points[0]))
    told = PhotoDraw([photo], SampleConfig(photo_share=1.0)).draw(np.random.default_rng(0))
    np.testing.assert_array_equal(told["style"], photo.style)


def test_identity_frame_is_never_in_the_window(data):
    clip = load_clips(data, "train")[0]
    for seed in range(20):
        still, first = choose_frames(clip, 5, np.random.default_rng(seed))
        assert not first <= still < first + 5


def test_a_window_as_long_as_its_clip_holds_its_own_portrait(data):
    clip = load_clips(data, "train")[0]
    chosen = [choose_frames(clip, len(clip.points), np.random.default_rng(seed)) for seed in range(5)]
    assert all(first == 0 and 0 <= still < len(clip.points) for still, first in chosen)


def test_loss_looks_hardest_at_the_mouth(data):
    clip = load_clips(data, "train")[0]
    in_crop = to_crop(clip.points[:1], np.array([0, 0, STORED_SIZE, STORED_SIZE], np.float32))
    weight = loss_weight(in_crop, 128)[0, 0]
    mouth = (in_crop[0, 60:68].mean(axis=0) * 128).astype(int)
    assert weight[mouth[1], mouth[0]] >= 4
    assert weight[0, 0] == pytest.approx(0.1)


def test_a_face_view_beside_a_mouth_view_looks_at_the_face_alike(data):
    """The mouth's own view takes the mouth's place: here it weighs no more than the cheeks."""
    clip = load_clips(data, "train")[0]
    in_crop = to_crop(clip.points[:1], np.array([0, 0, STORED_SIZE, STORED_SIZE], np.float32))
    weight = face_weight(in_crop, 64)[0, 0]
    mouth, eye = ((in_crop[0, part].mean(axis=0) * 64).astype(int) for part in (slice(60, 68), slice(36, 42)))
    assert weight[mouth[1], mouth[0]] == 1 and weight[0, 0] == pytest.approx(0.1)
    assert weight[eye[1], eye[0]] > 1


def test_shading_is_the_mean_and_not_the_median():
    """Of residuals that are nought but for a few, L1 is least for nought, L2 for their mean."""
    residual = torch.zeros(1, 3, 1, 4, 5)
    residual[..., 0] = 0.5
    view, mean = {"weight": torch.ones(1, 1, 1, 4, 5)}, torch.full_like(residual, 0.1)
    assert shading_loss(mean, residual, view) < shading_loss(0 * mean, residual, view)
    assert residual_loss(mean, residual, view) > residual_loss(0 * mean, residual, view)
    assert shading_loss(residual + 0.05, residual, view) == pytest.approx(0.05)


def test_loss_is_zero_only_for_the_residual_itself():
    residual, view = torch.randn(1, 3, 2, 8, 8), {"weight": torch.rand(1, 1, 2, 8, 8)}
    assert residual_loss(residual, residual, view) == 0
    assert residual_loss(residual + 0.1, residual, view) == pytest.approx(0.1, abs=1e-5)


def test_inside_the_mouth_coarse_errors_cost_more_than_fine_ones():
    residual, guide = torch.zeros(1, 3, 1, 32, 32), torch.zeros(1, 3, 1, 32, 32)
    guide[:, 1, :, 8:24, 8:24] = 1
    view = {"weight": torch.ones(1, 1, 1, 32, 32), "guide": guide}
    flat = 0.1 * guide[:, 1:2].expand(-1, 3, -1, -1, -1)
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1

    def losses(coarse_share: float = 1.0) -> list[float]:
        errors = flat, flat * checks
        return [float(residual_loss(residual + c, residual, view, 0.25, coarse_share)) for c in errors]

    terms, light = losses(), losses(0.5)
    assert light[0] < 0.8 * terms[0] and light[1] == pytest.approx(terms[1], rel=0.2)
    view["guide"] = torch.zeros_like(guide)
    outside = losses()
    assert terms[0] > 1.8 * outside[0] and terms[1] < 0.5 * outside[1]


def test_outside_the_mouth_a_faint_change_of_light_is_worth_learning():
    """Residuals that are nought but for a few: their mean is better than their median there."""
    residual, guide = torch.zeros(1, 3, 1, 4, 5), torch.zeros(1, 3, 1, 4, 5)
    residual[..., 0] = 2.0
    view, mean = {"weight": torch.ones(1, 1, 1, 4, 5)}, torch.full_like(residual, 0.4)
    assert residual_loss(mean, residual, view) > residual_loss(0 * mean, residual, view)
    view["guide"] = guide
    assert residual_loss(mean, residual, view) < residual_loss(0 * mean, residual, view)


def test_coarse_colours_of_a_mouth_are_learnt_by_their_mean():
    """Teeth that are seen in three of four mouths are not to be seen in all of them."""
    residual, guide = torch.zeros(4, 3, 1, 32, 32), torch.ones(4, 3, 1, 32, 32)
    residual[:3] = 0.8
    view = {"weight": torch.ones(4, 1, 1, 32, 32), "guide": guide}
    mean, median = torch.full_like(residual, 0.6), torch.full_like(residual, 0.8)
    coarse = [residual_loss(r, residual, view, 0.01) for r in (mean, median)]
    assert coarse[0] < coarse[1]


@pytest.mark.parametrize(("dropout", "rate"), [(0.0, STYLE_RATE * 1e-3), (1.0, 0.0)])
def test_the_styles_weights_learn_at_their_own_rate_where_it_is_seen(
    data, tmp_path, monkeypatch, dropout, rate
):
    monkeypatch.setattr(renderer_networks, "STYLE_DROPOUT", dropout)
    trainer = trainer_of(tmp_path, Stage(1, 2, 100, 1e-3, critic_from=100, warmup=1))
    networks, batches = trainer.take_step.networks, itertools.repeat(batch_of(data, 2, 3))
    torch.nn.init.normal_(networks.unet.conv_out.weight, std=0.1)  # else nothing of the style comes out
    before = {name: weight.detach().clone() for name, weight in networks.named_parameters()}
    trainer.train_step(batches)
    moved = {name: (w - before[name]).abs().max().item() for name, w in networks.named_parameters()}
    assert moved["unet.style_embedding.weight"] == pytest.approx(rate, rel=0.01)
    assert moved["unet.conv_out.weight"] == pytest.approx(1e-3, rel=0.01)


def test_a_new_critic_learns_alone_at_first(data, tmp_path):
    stage = Stage(1, 2, 100, 1e-3, critic_from=0, critic_lead=1, warmup=1)
    trainer = trainer_of(tmp_path, stage)
    batches = itertools.repeat(batch_of(data, 2, 3))
    before, judge = ([p.detach().clone() for p in x] for x in _both(trainer.take_step))
    assert set(trainer.train_step(batches)) == {"critic"}
    after, judged = _both(trainer.take_step)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(judge, judged, strict=True))
    assert {"loss", "adversarial"} < set(trainer.train_step(batches))
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def _both(step: RendererStep) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return step.weights, list(step.critic.parameters())


def test_one_batch_can_be_learnt(data, tmp_path):
    trainer = trainer_of(tmp_path, Stage(1, 2, 1000, 3e-3, critic_from=1000, warmup=1), (32, 32))
    batches = itertools.repeat(batch_of(data, 2, 3))  # the same colours and the same noise too
    losses = (float(trainer.train_step(batches)["loss"]) for _ in range(90))
    first = next(losses)
    assert any(loss < 0.5 * first for loss in losses)  # it ends as soon as that is so


def test_a_batch_in_halves_gives_the_gradients_of_the_whole(data, tmp_path):
    """Without the critic, which learns between them, and with halves alike, whose divisors are too."""
    weights = []
    for batches, accumulate in (([(2, 3, 2, 3)], 1), ([(2, 3), (2, 3)], 2)):
        stage = Stage(1, 2, 100, 1e-3, critic_from=9, warmup=1)
        trainer = trainer_of(tmp_path, stage, accumulate=accumulate)
        trainer.train_step(iter([batch_of(data, *numbers) for numbers in batches]))
        weights.append(torch.cat([p.flatten() for p in trainer.take_step.weights]))
    torch.testing.assert_close(*weights, rtol=0, atol=2e-4)


def test_one_batch_is_learned_by_heart(data, tmp_path):
    """The same two samples with the same draws: their residuals are found again from guided noise alone."""
    stage = Stage(1, 2, 500, 5e-3, critic_from=500, coarse_share=1.0, share_of_last=1.0, warmup=1)
    step = trainer_of(tmp_path, stage, channels=(32, 32)).take_step
    batch = batch_of(data, 0, 1)
    losses = (float(step([batch], number)["loss"]) for number in range(60))
    first = next(losses)
    assert any(np.mean(five) < 0.6 * first for five in zip(*[losses] * 5, strict=False))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Runs of a small renderer, and an untrained one beside them, stored in half precision."""
    torch.manual_seed(0)
    run = tmp_path_factory.mktemp("run")
    save_new(run / "new", SMALLEST, "spatial")
    for steps in (1, 2):  # the same command again: resumes
        train_diffusion(data, run / "spatial", "spatial", SMALLEST, steps=steps, batch=2)
    start = run / "spatial" / "last"
    train_diffusion(data, run / "temporal", "temporal", SMALLEST, steps=1, batch=1, start=start, frames=3)
    return run


def save_new(folder, preset, stage) -> None:
    networks = make_networks(preset, stage, None)
    save_networks(folder, {"unet": networks.unet.half(), "identity_encoder": networks.identity})


def test_training_resumes_and_logs(trained):
    lines = [json.loads(line) for line in (trained / "spatial" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert {"loss", "lips_prior", "lips_1", "face_1", "gradient_1"} <= set(lines[0])
    assert list((trained / "spatial").glob("sheet-*.png"))


def test_temporal_stage_starts_from_the_inflated_network(trained):
    unet = IdentityUNet3DModel.from_pretrained(trained / "temporal" / "last" / "unet")
    assert unet.config.temporal_kernel == 3


def test_exported_folder_is_a_pipeline(trained, tmp_path):
    export(tmp_path, [trained / "temporal" / "last"], [STARTER], SMALLEST)
    pipeline = ATLDiffPipeline.from_pretrained(tmp_path)
    assert pipeline.unet.config.temporal_kernel == 3 and pipeline.unet.dtype == torch.float32
    told = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert str(trained) not in told and str(STARTER) not in told


def test_files_of_an_exported_folder_are_small(tmp_path):
    """Of networks of full size."""
    save_new(tmp_path / "run", PRESETS["starter"], "temporal")
    export(tmp_path / "out", [tmp_path / "run"], [STARTER])
    sizes = [path.stat().st_size for path in (tmp_path / "out").rglob("*.safetensors")]
    assert 4_000_000 < max(sizes) < 10_000_000


@pytest.mark.parametrize("shares", [None, [1.2, -0.2]])
def test_of_several_renderers_the_mean_is_exported(trained, tmp_path, shares):
    folders = [trained / "new", trained / "spatial" / "last"]
    export(tmp_path, folders, [STARTER], SMALLEST, shares)
    own, other = shares or [0.5, 0.5]
    *parts, mean = (
        dict(IdentityUNet3DModel.from_pretrained(folder / "unet").named_parameters())
        for folder in (*folders, tmp_path)
    )
    for name, weight in mean.items():  # float16
        wanted = own * parts[0][name].float() + other * parts[1][name].float()
        torch.testing.assert_close(weight.float(), wanted, atol=1e-3, rtol=1e-3)
    with pytest.raises(InputError, match="different shapes"):
        export(tmp_path, [trained / "spatial" / "last", trained / "temporal" / "last"], [STARTER], SMALLEST)
    for wrong in ([1.0], [0.5, 0.6], [0.5, math.nan]):
        with pytest.raises(InputError, match="2 renderers cannot have the shares"):
            export(tmp_path, folders, [STARTER], SMALLEST, wrong)


def test_a_full_disk_leaves_no_half_of_a_sheet(tmp_path, monkeypatch):
    def half(_image, path, _kind):
        path.write_bytes(b"")
        raise OSError("No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", half)
    with pytest.raises(OSError, match="No space"):
        contact_sheet([torch.zeros(2, 3, 4, 4, dtype=torch.uint8)], tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())
