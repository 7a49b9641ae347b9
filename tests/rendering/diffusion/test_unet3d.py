"""The 3D Identity U-Net: shapes, its untrained state, inflation, saving."""

import pytest
import torch

from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel, channels_last, inflate
from atldiff.rendering.diffusion.unet_blocks import (
    ResidualBlock3D,
    depth_to_space,
    identity_map,
    space_to_depth,
)

TINY = {"block_out_channels": (8, 16), "identity_dim": 4, "emotion_dim": 4}


def inputs(frames: int = 3, guide: int = 0, batch: int = 1) -> dict:
    generator = torch.Generator().manual_seed(0)
    picture = (batch, 3, frames, 16, 16)
    return {
        "sample": torch.randn(picture, generator=generator),
        "timestep": 500,
        "prior": torch.randn(picture, generator=generator),
        "identity": torch.randn(batch, 4, generator=generator),
        "emotion": torch.randn(batch, 4, generator=generator),
        "guide": torch.rand(batch, guide, frames, 16, 16, generator=generator) if guide else None,
    }


def awake(**config) -> IdentityUNet3DModel:
    """A network with random weights in its zero-initialised layers, so that its output is not zero."""
    torch.manual_seed(0)
    unet = IdentityUNet3DModel(**{**TINY, **config})
    for parameter in unet.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return unet.eval()


def test_a_patch_becomes_channels_row_by_row():
    x = torch.arange(16.0).view(1, 1, 1, 4, 4).expand(1, 1, 3, 4, 4)
    patches = space_to_depth(x, 2)
    assert patches.shape == (1, 4, 3, 2, 2)
    assert patches[0, :, 2, 0, 1].tolist() == [2, 3, 6, 7]


def test_the_papers_identity_map_fits_its_latents():
    """2048 x 4 x 4 become 128 x 16 x 16, four by four cells for each; then they are enlarged."""
    features = torch.randn(1, 2048, 4, 4)
    shaped = identity_map(features, 128, (16, 16))
    assert shaped.shape == (1, 128, 16, 16)
    torch.testing.assert_close(shaped[0, 3, 4:8, 8:12].flatten(), features[0, 48:64, 1, 2])
    enlarged = identity_map(features, 128, (32, 32))
    torch.testing.assert_close(enlarged[..., ::2, ::2], shaped)


def test_latents_are_multiplied_by_the_identity_map():
    unet, arguments = awake(identity_fusion="map", identity_dim=64), inputs()
    ones, latents = torch.ones(1, 64, 4, 4), []
    unet.mid_block.register_forward_pre_hook(lambda _, args: latents.append(args[0]))
    for factor in (1.0, 2.0):
        unet(**{**arguments, "identity": factor * ones})
    torch.testing.assert_close(latents[1], 2 * latents[0])
    assert unet.identity_gain is None


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_first_convolution_of_the_papers_blocks_sees_frames_too(kernel):
    for first in (False, True):
        block = ResidualBlock3D(8, 8, 4, kernel, separable=False, temporal_first=first)
        x = torch.zeros(1, 8, 5, 4, 4)
        x[:, :, 2] = 1
        reached = block.conv1(x) - block.conv1(0 * x)
        frames = reached.abs().amax(dim=(0, 1, 3, 4)) > 0
        assert frames.tolist() == [i == 2 or (first and kernel == 3 and i in (1, 3)) for i in range(5)]


def test_patches_are_inverse():
    x = torch.randn(2, 3, 4, 8, 8)
    torch.testing.assert_close(depth_to_space(space_to_depth(x, 2), 2), x)


@pytest.mark.parametrize(
    "config", [{}, {"patch_size": 2, "guide_channels": 3}, {"temporal_kernel": 1}, {"separable": True}]
)
def test_residual_has_the_frames_shape(config):
    arguments = inputs(guide=config.get("guide_channels", 0), batch=2)
    assert awake(**config)(**arguments).sample.shape == arguments["sample"].shape


@pytest.mark.parametrize("separable", [False, True])
def test_memory_layout_changes_no_result(separable):
    unet, arguments = awake(separable=separable), inputs()
    before = unet(**arguments).sample
    torch.testing.assert_close(channels_last(unet)(**arguments).sample, before, atol=1e-5, rtol=1e-5)


def test_style_counts_once_it_is_learnt_and_none_is_the_mean():
    torch.manual_seed(0)
    arguments, style = inputs(), torch.randn(1, 2)
    before, new = awake(), IdentityUNet3DModel(**TINY, style_dim=2).eval()
    new.load_state_dict(before.state_dict() | {"style_embedding.weight": new.style_embedding.weight})
    plain = before(**arguments).sample
    torch.testing.assert_close(new(**arguments, style=style).sample, plain)
    torch.nn.init.normal_(new.style_embedding.weight, std=0.5)
    assert not torch.allclose(new(**arguments, style=style).sample, plain, atol=1e-3)
    torch.testing.assert_close(new(**arguments, style=torch.zeros(1, 2)).sample, new(**arguments).sample)


def test_any_square_that_the_levels_divide_is_taken():
    arguments = inputs()
    halved = {k: v[..., :8, :8] if k in ("sample", "prior") else v for k, v in arguments.items()}
    assert awake()(**halved).sample.shape == (1, 3, 3, 8, 8)


def test_untrained_network_adds_nothing():
    assert not IdentityUNet3DModel(**TINY)(**inputs()).sample.any()


@pytest.mark.parametrize("name", ["identity", "emotion", "prior", "sample"])
def test_every_condition_matters(name):
    unet, arguments = awake(), inputs()
    before = unet(**arguments).sample
    after = unet(**{**arguments, name: arguments[name] + 1}).sample
    assert not torch.allclose(before, after)


def test_timestep_matters():
    unet, arguments = awake(), inputs()
    assert not torch.allclose(unet(**arguments).sample, unet(**{**arguments, "timestep": 1}).sample)


@pytest.mark.parametrize("shape", [{}, {"separable": True}, {"temporal_first": True}], ids=str)
def test_inflated_network_equals_its_2d_parent_on_every_frame(shape):
    parent, arguments = awake(temporal_kernel=1, **shape), inputs(frames=5)
    child = inflate(parent)
    assert child.config.temporal_kernel == 3
    torch.testing.assert_close(child(**arguments).sample, parent(**arguments).sample, atol=1e-5, rtol=1e-5)


def test_neighbouring_frames_are_seen_only_in_3d():
    arguments = inputs(frames=3)
    changed = {**arguments, "prior": arguments["prior"].clone()}
    changed["prior"][:, :, 2] += 1
    for kernel, separable, sees in ((1, False, False), (3, False, True), (1, True, False), (3, True, True)):
        unet = awake(temporal_kernel=kernel, separable=separable)
        same = torch.equal(unet(**arguments).sample[:, :, 1], unet(**changed).sample[:, :, 1])
        assert same is not sees


def test_saved_network_comes_back(tmp_path):
    unet, arguments = awake(patch_size=2, guide_channels=3), inputs(guide=3)
    unet.save_pretrained(tmp_path)
    assert [p.suffix for p in sorted(tmp_path.iterdir())] == [".json", ".safetensors"]
    again = IdentityUNet3DModel.from_pretrained(tmp_path)
    torch.testing.assert_close(again(**arguments).sample, unet(**arguments).sample, atol=1e-5, rtol=1e-5)


def test_gradients_are_the_same_with_less_memory():
    unet, arguments, gradients = awake(), inputs(), []
    for _ in range(2):
        unet.zero_grad()
        unet(**arguments).sample.square().sum().backward()
        gradients.append([p.grad.clone() for p in unet.parameters()])
        unet.enable_gradient_checkpointing()
    torch.testing.assert_close(*gradients)


def test_a_cast_warns_of_nothing(monkeypatch):
    warned = []
    monkeypatch.setattr(
        "diffusers.models.modeling_utils.logger.warning", lambda *words, **_: warned.append(words)
    )
    assert IdentityUNet3DModel(**TINY).to(dtype=torch.bfloat16).dtype is torch.bfloat16
    assert not warned
