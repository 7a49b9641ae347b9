"""What training sees of a frame is what rendering shows of it: prior, guide, mask, identity."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from atldiff.config import PRESETS
from atldiff.evaluation.validate import _prior, make_trial
from atldiff.landmarks import square_box
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.diffusion.sampler import make_scheduler
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DOutput
from atldiff.rendering.face_parts.mouth_layers import MouthShape
from atldiff.rendering.levels import from_signed, to_signed
from atldiff.rendering.output.composite import crop_view
from atldiff.rendering.renderer import Renderer
from atldiff.rendering.warp.canvas import make_canvas
from atldiff.sequence import LandmarkSequence
from atldiff.training.data.extract import STORED_MARGIN, STORED_SIZE
from atldiff.training.renderer.clips import Moment, load_clips
from atldiff.training.renderer.fit_mouth import MOUTH_VIEW, OpenMouth
from atldiff.training.renderer.samples import SampleConfig, make_sample

FRAMES = 5


@pytest.fixture(scope="module")
def moment(data) -> Moment:
    """A head that sways while its mouth opens from closed."""
    clip = load_clips(data, "train")[0]
    points = np.stack([clip.points[0] + (2 * np.sin(i), i / 2) for i in range(FRAMES)]).astype(np.float32)
    points[:, [55, 56, 57, 58, 59, 65, 66, 67], 1] += 3 * np.arange(FRAMES, dtype=np.float32)[:, None]
    frames = np.stack([np.roll(clip.frame(0), i, axis=0) for i in range(FRAMES)])
    return Moment(clip.frame(0), clip.points[0].astype(np.float32), frames, points, np.zeros(64, np.float32))


class Recorder:
    """A network that adds nothing and keeps what it is shown."""

    device, dtype = torch.device("cpu"), torch.float32
    config = SimpleNamespace(emotion_dim=64)

    def __init__(self) -> None:
        self.views: list[dict] = []

    def __call__(self, sample, timestep, prior, identity, emotion, guide=None, style=None):
        self.views.append({"prior": prior, "guide": guide, "identity": identity, "noisy": sample})
        return IdentityUNet3DOutput(sample=torch.zeros_like(sample))


@pytest.mark.parametrize("prior", ["warp", "identity"])
def test_training_sees_what_rendering_shows(moment, prior):
    preset = replace(PRESETS["starter"], prior=prior)
    sample = make_sample(
        moment, SampleConfig.from_preset(preset, FRAMES, augment=False), np.random.default_rng(0)
    )
    face = square_box(np.full(2, STORED_SIZE / 2), STORED_SIZE / STORED_MARGIN)
    portrait = Portrait(moment.photo, moment.photo_points, face)
    sequence = LandmarkSequence(moment.points, moment.photo_points, moment.emotion)
    canvas = make_canvas(portrait, np.concatenate([moment.points, moment.photo_points[None]]))

    def encoder(still):
        return still

    encoder.dtype = torch.float32
    unet = Recorder()
    list(Renderer(unet, encoder, make_scheduler(), preset).frames(portrait, sequence, canvas, 1, seed=0))
    assert len(unet.views) == len(sample["views"]) == 2
    for shown, seen in zip(unet.views, sample["views"], strict=True):
        apart = from_signed(shown["prior"][0]).int() - seen["prior"].int()
        assert apart.abs().max() <= 1
        torch.testing.assert_close(shown["guide"][0], seen["guide"])
        noise = shown["noisy"] - shown["prior"]
        assert noise.abs().le(seen["mask"] + 1e-6).all()
        torch.testing.assert_close(shown["identity"][0], to_signed(sample["identity"]))


def test_the_target_of_the_portrait_itself_is_its_still_prior(moment):
    """Prior and target pass the same resampling: a face that does not move leaves no residual."""
    still = replace(moment, frames=moment.photo[None], points=moment.photo_points[None])
    preset = replace(PRESETS["starter"], prior="identity")
    sample = make_sample(still, SampleConfig.from_preset(preset, augment=False), np.random.default_rng(0))
    assert len(sample["views"]) == len(preset.view_sizes)
    for view in sample["views"]:
        assert torch.equal(view["prior"], view["target"])


def test_the_mouth_is_fitted_in_the_prior_that_is_rendered(moment):
    wide = replace(moment, frames=moment.frames[-1:], points=moment.points[-1:])
    mouth = OpenMouth.from_moment(wide)
    (part,) = mouth.photo.frames(wide.points)
    np.testing.assert_array_equal(mouth.paint(MouthShape()), crop_view(mouth.photo.canvas, part, MOUTH_VIEW))
    assert (mouth.paint(MouthShape(upper_light=0.5, lower_light=0.3)) != mouth.paint(MouthShape())).any()


def test_the_prior_alone_is_the_presets_own(data):
    """A still prior does not move, a warped one does."""
    trial = make_trial(load_clips(data, "train")[0])
    still, warped = (_prior(replace(PRESETS["starter"], prior=kind), trial) for kind in ("identity", "warp"))
    assert (still == still[0]).all() and (warped != warped[0]).any()
    assert still.shape == warped.shape == trial.truth.shape
