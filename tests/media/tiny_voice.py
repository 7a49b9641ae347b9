"""A model of a few bytes for the package supertonic: noise as long as the text is."""

import json
import struct
from pathlib import Path

RATE, CHUNK = 8000, 400  # samples a second, samples of one step of the latents
FLOAT, INT64 = 1, 7  # ONNX's element types


def make_model(folder: Path) -> None:
    """Writes what the package reads: four networks, their settings, the letters and one style."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "voice_styles").mkdir()
    seconds = [_node("ReduceSum", ["text_mask"], "letters", _ints("axes", [1, 2]), _integer("keepdims", 0)),
               _node("Constant", [], "each", _real("value_float", 0.05)),
               _node("Mul", ["letters", "each"], "duration")]  # fmt: skip
    text = {"text_ids": INT64, "text_mask": FLOAT}
    latents = ["noisy_latent", "text_emb", "style_ttl", "text_mask", "latent_mask", "current_step"]
    sound = [
        _node("Flatten", ["latent"], "flat", _integer("axis", 1)),
        _node("Tanh", ["flat"], "wav"),
    ]
    networks = {
        "duration_predictor": (seconds, text | {"style_dp": FLOAT}, "duration"),
        "text_encoder": ([_node("Identity", ["text_mask"], "emb")], text | {"style_ttl": FLOAT}, "emb"),
        "vector_estimator": (
            [_node("Identity", ["noisy_latent"], "next")],
            dict.fromkeys([*latents, "total_step"], FLOAT),
            "next",
        ),
        "vocoder": (sound, {"latent": FLOAT}, "wav"),
    }
    for name, (nodes, inputs, output) in networks.items():
        (folder / "onnx" / f"{name}.onnx").write_bytes(_model(nodes, inputs, output))
    settings = {
        "ae": {"sample_rate": RATE, "base_chunk_size": CHUNK // 5},
        "ttl": {"chunk_compress_factor": 5, "latent_dim": CHUNK // 5},
    }
    (folder / "onnx" / "tts.json").write_text(json.dumps(settings))
    (folder / "onnx" / "unicode_indexer.json").write_text(json.dumps(list(range(0x370))))
    vector = {"dims": [1, 1, 2], "data": [[[0, 0]]]}
    (folder / "voice_styles" / "F1.json").write_text(json.dumps({"style_ttl": vector, "style_dp": vector}))


def _model(nodes: list[bytes], inputs: dict[str, int], output: str) -> bytes:
    """A file of ONNX, in the format of protocol buffers: numbered fields."""
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"tiny")
    graph += b"".join(_field(11, _value(name, kind)) for name, kind in inputs.items())
    graph += _field(12, _value(output, FLOAT))
    return _number(1, 7) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, 12))


def _value(name: str, kind: int) -> bytes:
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, kind)))


def _node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    named = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
    return named + _field(4, kind.encode()) + b"".join(_field(5, each) for each in attributes)


def _real(name: str, value: float) -> bytes:
    return _field(1, name.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)


def _integer(name: str, value: int) -> bytes:
    return _field(1, name.encode()) + _number(3, value) + _number(20, 2)


def _ints(name: str, values: list[int]) -> bytes:
    return _field(1, name.encode()) + b"".join(_number(8, value) for value in values) + _number(20, 7)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that another one follows."""
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
