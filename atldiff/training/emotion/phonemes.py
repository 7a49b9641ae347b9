"""The source of the starter's phonetic encoder: the weights of an openly licensed phoneme recogniser.

- `hama` (PyPI, Apache-2.0, https://github.com/hamanlp/hama) ships a Conformer-CTC of 2 M parameters.
- It recognises 191 IPA symbols; its file is a container of named float arrays.
- `copy_recogniser` puts them into our layout, which computes the same log-probabilities.
"""

import struct
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from atldiff.errors import InputError
from atldiff.speech.mel import LogMel
from atldiff.speech.phonetic_encoder import PhoneticEncoder

MAGIC = b"HAMAPK\x01\x02"
DTYPES = {0: np.float32, 1: np.float16}
ALIGNMENT = 16


def read_container(path: Path | None = None) -> dict[str, Tensor]:
    """The named arrays of a `.hama` file as float32; None = the file of the installed package.

    Raises:
        InputError: the package is not installed, or the file is something else.
    """
    data = Path(path).read_bytes() if path else _read_package()
    if not data.startswith(MAGIC):
        raise InputError("This is not a version-1 .hama file", "Install hama==1.7.0")
    (count,) = struct.unpack_from("<I", data, len(MAGIC))
    at, table = len(MAGIC) + 4, []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        dtype, rank = data[at], data[at + 1]
        shape = struct.unpack_from(f"<{rank}I", data, at + 2)
        offset, _ = struct.unpack_from("<QQ", data, at + 2 + 4 * rank)
        at += 2 + 4 * rank + 16
        table.append((name, DTYPES[dtype], shape, offset))
    base = -(-at // ALIGNMENT) * ALIGNMENT
    return {
        name: torch.from_numpy(
            np.frombuffer(data, dtype, int(np.prod(shape)), base + offset).reshape(shape).astype(np.float32)
        )
        for name, dtype, shape, offset in table
    }


def _read_package() -> bytes:
    try:
        return resources.files("hama.assets").joinpath("asr_waveform.hama").read_bytes()
    except ModuleNotFoundError as error:
        raise InputError(
            "The phoneme recogniser's weights are not here", "Run `pip install hama==1.7.0`"
        ) from error


def copy_recogniser(mel: LogMel, encoder: PhoneticEncoder, path: Path | None = None) -> None:
    """Loads the recogniser's filterbank into `mel` and its weights into `encoder`.

    Its bands lie on whole FFT bins, unlike librosa's. The encoder has width 144, 4 layers, 4
    heads, kernel 31, 191 symbols.
    """
    arrays = read_container(path)
    mel.bank.copy_(arrays["mel_fb"].T)
    # The exported graph numbers its unnamed arrays in the order of use: convolutions are (weight,
    # bias) of the stem, then of each block's depthwise; products are six a block, stored (in, out).
    convolutions = iter([value for name, value in arrays.items() if name.startswith("onnx::Conv")])
    products = iter([value.T for name, value in arrays.items() if name.startswith("onnx::MatMul")])
    state = {"stem.weight": next(convolutions), "stem.bias": next(convolutions)}
    for index in range(len(encoder.blocks)):
        source, target = f"acoustic_model.model.blocks.{index}.", f"blocks.{index}."
        state |= {target + ours: next(products) for ours in _PRODUCTS}
        state[target + "convolution.depthwise.weight"] = next(convolutions)
        state[target + "convolution.depthwise.bias"] = next(convolutions)
        for theirs, ours in _WEIGHTS_BY_NAME.items():
            state[target + ours] = arrays[source + theirs]
    state["head.weight"] = arrays["acoustic_model.model.proj.weight"]
    state["head.bias"] = arrays["acoustic_model.model.proj.bias"]
    shapes = {name: value.shape for name, value in encoder.state_dict().items()}
    encoder.load_state_dict({name: value.reshape(shapes[name]) for name, value in state.items()})


_PRODUCTS = (
    "first.1.weight",
    "first.3.weight",
    "qkv.weight",
    "attention_out.weight",
    "second.1.weight",
    "second.3.weight",
)
_WEIGHTS_BY_NAME = {
    f"{theirs}.{part}": f"{ours}.{part}"
    for theirs, ours, parts in (
        ("ffn1.norm", "first.0", ("weight", "bias")),
        ("ffn1.fc1", "first.1", ("bias",)),
        ("ffn1.fc2", "first.3", ("bias",)),
        ("attn_norm", "attention_norm", ("weight", "bias")),
        ("attn.out_proj", "attention_out", ("bias",)),
        ("conv.norm", "convolution.norm", ("weight", "bias")),
        ("conv.pointwise1", "convolution.gate", ("weight", "bias")),
        ("conv.pointwise2", "convolution.out", ("weight", "bias")),
        ("ffn2.norm", "second.0", ("weight", "bias")),
        ("ffn2.fc1", "second.1", ("bias",)),
        ("ffn2.fc2", "second.3", ("bias",)),
        ("norm", "norm", ("weight", "bias")),
    )
    for part in parts
} | {"attn.in_proj_bias": "qkv.bias"}
