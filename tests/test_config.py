"""Presets and their networks."""

import inspect
import json
from dataclasses import asdict, fields

import pytest

from atldiff.config import PRESETS, LandmarkConfig, Preset, UNetConfig, read_preset
from atldiff.errors import InputError
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


def test_presets_are_read_by_name_or_from_a_file(tmp_path):
    assert read_preset("paper-mead") == PRESETS["paper-mead"]
    (tmp_path / "row.json").write_text(json.dumps(asdict(PRESETS["starter"])))
    assert read_preset(str(tmp_path / "row.json")) == PRESETS["starter"]
    (tmp_path / "old.json").write_text('{"name": "starter", "depth": 3}')
    for wrong, words in (("paper-vox", "no preset"), (str(tmp_path / "old.json"), "another version")):
        with pytest.raises(InputError, match=words):
            read_preset(wrong)


def spoilt(**changes) -> dict:
    """The starter's preset with other values; a dictionary changes the part of its name."""
    row = asdict(PRESETS["starter"])
    return row | {name: row[name] | v if isinstance(v, dict) else v for name, v in changes.items()}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"overlap": 16}, "overlap"),
        ({"overlap": -1}, "overlap"),
        ({"overlap": 8}, "overlap"),
        ({"overlap": 2.5}, "overlap"),
        ({"steps": 0}, "steps"),
        ({"steps": "8"}, "steps"),
        ({"prior": "none"}, "prior"),
        ({"emotions": []}, "emotions"),
        ({"view_sizes": []}, "view_sizes"),
        ({"view_sizes": [50]}, "view_sizes"),
        ({"view_sizes": [64, 128, 128]}, "view_sizes"),
        ({"guide": {"kernel": 10}}, "kernel"),
        ({"guide": {"minimum": 2}}, "minimum"),
        ({"unet": {"block_out_channels": []}}, "block_out_channels"),
        ({"unet": {"identity_dim": -64}}, "shape"),
        ({"landmarks": {"layers": None}}, "shape"),
    ],
    ids=str,
)
def test_a_presets_value_out_of_range_is_said_in_a_sentence(changes, name, tmp_path):
    (tmp_path / "row.json").write_text(json.dumps(spoilt(**changes)))
    with pytest.raises(InputError, match=f"preset's .*{name} cannot be used: Give "):
        read_preset(str(tmp_path / "row.json"))


@pytest.mark.parametrize("text", ["[]", "3", '{"unet": 3}', "no JSON"])
def test_a_file_that_is_no_preset_is_refused(text, tmp_path):
    (tmp_path / "row.json").write_text(text)
    with pytest.raises(InputError, match="preset"):
        read_preset(str(tmp_path / "row.json"))
