"""Checkpoints of the version before the modules moved load, and their networks give the same numbers.

That version (commit f5ea2e8) wrote `checkpoint_of_the_first_layout.json`: the files of a small fine-tuned
checkpoint, the shapes of its weights, and outputs for the inputs below. `weight` gives the values.
"""

import json
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from atldiff.loading import load_pipeline, translate_index
from atldiff.pipeline import ATLDiffPipeline
from atldiff.training.renderer.networks import make_networks

RECORD = json.loads((Path(__file__).parent / "checkpoint_of_the_first_layout.json").read_text())
INDEX = RECORD["files"]["model_index.json"]


def weight(name: str, shape: list[int]) -> np.ndarray:
    """The value of a weight, by a formula."""
    count = int(np.prod(shape))
    wave = np.sin(0.7 * np.arange(1, count + 1) + crc32(name.encode()) % 1000).reshape(shape)
    if name.endswith("running_var"):
        return 1 + 0.3 * wave
    if name.endswith("grid"):
        return np.tile(np.linspace(-2.2, 2.2, shape[-1]), (*shape[:-1], 1))
    if len(shape) > 1:
        return wave / np.sqrt(np.prod(shape[1:]))
    return 0.3 * wave + name.endswith("weight")


def wave(*shape: int) -> torch.Tensor:
    """Any input of a network."""
    return torch.sin(torch.arange(int(np.prod(shape)), dtype=torch.float32) * 0.37).view(shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The checkpoint, its U-Net in half precision as `train person` and `train export` write it."""
    root = tmp_path_factory.mktemp("old")
    for name, content in RECORD["files"].items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(json.dumps(content))
    for part, shapes in RECORD["weights"].items():
        kind = torch.float16 if part == "unet" else torch.float32
        arrays = {
            name: torch.tensor(weight(name, shape)).to(kind) if shape else torch.tensor(0)
            for name, shape in shapes.items()
        }
        save_file(arrays, root / part / "diffusion_pytorch_model.safetensors")
    return root


@pytest.fixture(scope="module")
def pipeline(folder) -> ATLDiffPipeline:
    return load_pipeline(str(folder), dtype=torch.float32)


def test_the_record_names_modules_that_are_gone():
    assert INDEX["unet"][0] == "atldiff.rendering.unet3d"
    assert INDEX["speech_encoder"][0] == "atldiff.speech.speech_encoder"
    assert translate_index(INDEX)["unet"] == ["atldiff", "IdentityUNet3DModel"]
    assert translate_index(INDEX)["scheduler"] == INDEX["scheduler"]


@torch.no_grad()
def test_networks_of_an_old_checkpoint_give_the_same_numbers(pipeline):
    frames, identity = wave(1, 3, 4, 16, 16), wave(1, 64)
    speech = pipeline.speech_encoder(0.1 * wave(1, 8000))
    results = {
        "unet": pipeline.unet(frames, 999, 0.5 * frames, identity, identity, frames.abs()).sample,
        "identity_encoder": pipeline.identity_encoder(wave(1, 3, 32, 32)),
        "acoustic": speech.acoustic,
        "context": speech.context,
        "emotion": speech.emotion,
        "bilabial": speech.bilabial,
        "landmark_generator": pipeline.landmark_generator(speech, wave(1, 68, 2), 15),
    }
    assert set(results) == set(RECORD["outputs"])
    for name, expected in RECORD["outputs"].items():
        flat = results[name].flatten().numpy()
        values = flat[:: max(1, len(flat) // 24)][:24]
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_an_old_checkpoint_is_saved_with_the_new_names_and_trains_on(pipeline, folder, tmp_path):
    pipeline.save_config(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["unet"] == ["atldiff", "IdentityUNet3DModel"]
    start = make_networks(pipeline.preset, "temporal", folder)
    assert torch.equal(start.unet.conv_out.weight, pipeline.unet.conv_out.weight)


TRUE_CLASSES = """
import sys
from atldiff.diffusers_base import DiffusionPipeline, ModelMixin, without_compiler
import torch
import diffusers
from diffusers.pipelines import pipeline_loading_utils, pipeline_utils
absent = pipeline_loading_utils.PreTrainedModel
assert not isinstance(torch.nn.Linear(1, 1), absent) and not issubclass(ModelMixin, absent)
assert 'transformers.modeling_utils' not in sys.modules and 'torch._dynamo' not in sys.modules
from transformers import ResNetConfig, ResNetModel  # brings the true classes
network = ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1]))
assert isinstance(network, absent) and issubclass(ResNetModel, absent)
assert not isinstance(torch.nn.Linear(1, 1), absent)
autoencoder = diffusers.AutoencoderKL(block_out_channels=[8], norm_num_groups=4)
assert isinstance(autoencoder, pipeline_utils.AutoencoderKL)
assert not isinstance(network, pipeline_utils.AutoencoderKL)
with without_compiler():
    assert sys.modules['torch._dynamo'].disable is not None
double = torch.compile(lambda x: 2 * x, backend='eager')
assert double(torch.ones(1)) == 2
assert isinstance(torch.compile(network), torch._dynamo.eval_frame.OptimizedModule)
"""


def test_stand_ins_become_the_true_classes_as_soon_as_those_are_imported():
    done = subprocess.run([sys.executable, "-c", TRUE_CLASSES], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
