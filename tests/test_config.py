"""Presets and their networks."""

import inspect
import json
from dataclasses import asdict, fields

import pytest

from atldiff.config import PRESETS, LandmarkConfig, Preset, UNetConfig
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel
from atldiff.speech.landmark_generator import LandmarkGenerator


@pytest.mark.parametrize(
    ("config", "network"), [(UNetConfig, IdentityUNet3DModel), (LandmarkConfig, LandmarkGenerator)]
)
def test_a_shape_has_the_networks_defaults(config, network):
    arguments = inspect.signature(network.__init__).parameters
    for field in fields(config):
        assert arguments[field.name].default == field.default, field.name
    beside = set(arguments) - {field.name for field in fields(config)} - {"self"}
    assert beside <= {"feature_dim"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_back_from_json(name):
    assert Preset.from_dict(json.loads(json.dumps(asdict(PRESETS[name])))) == PRESETS[name]


def test_a_preset_without_the_newer_fields_is_the_former_network():
    values = asdict(PRESETS["paper-mead"])
    for part, names in (("unet", ("identity_fusion", "temporal_first")), ("landmarks", ("global_input",))):
        for name in names:
            del values[part][name]
    del values["training_frames"]
    row = Preset.from_dict(values)
    assert row.unet.identity_fusion == "channels" and not row.unet.temporal_first
    assert row.landmarks.global_input == "features" and row.training_frames == 6
