"""Converts MediaPipe's face models (.tflite) to the ONNX files in atldiff/weights/face.

python tools/convert_face_models.py MEDIAPIPE/modules OUT

- MEDIAPIPE is the package folder of mediapipe 0.10.21, the last version that carries the models.
- The file of the detector of large faces is copied, too, for `--detector mediapipe-tasks`.
- It needs the packages tflite, flatbuffers, onnx and numpy.
- Weights stay float16 as in the source. The graphs compute in float32, in NCHW, for any batch size.
- `tflite_reader` reads the source, `onnx_builder` builds the result.
"""

import hashlib
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tflite
from flatbuffers import flexbuffers
from onnx import TensorProto, helper
from onnx_builder import OnnxBuilder
from tflite_reader import TFLiteReader

MODELS = {  # name of our file: MediaPipe's file, new names of the outputs
    "detector_near": ("face_detection/face_detection_short_range", {}),
    "detector_far": (
        "face_detection/face_detection_full_range_sparse",
        {"Identity": "regressors", "Identity_1": "classificators"},
    ),
    "mesh": ("face_landmark/face_landmark_with_attention", {}),
    "segmenter": ("selfie_segmentation/selfie_segmentation", {"activation_10": "mask"}),
}
OPSET = 16


class Converter:
    """Translates one .tflite graph, operator by operator; a method translates each kind of operator."""

    def __init__(self, path: Path) -> None:
        self.source, self.result = TFLiteReader(path), OnnxBuilder()
        self.parts: list[list[int]] = []  # mesh points of each region that attention refines

    def convert(self, names: dict[str, str]) -> onnx.ModelProto:
        """Converts the graph; `names` renames outputs."""
        for kind, operator, inputs, output in self.source.operators():
            getattr(self, f"_{kind}")(operator, inputs, output)
        first = self.source.input
        shape = self.source.shape(first)
        source = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", shape[3], *shape[1:3]])
        outputs = []
        for tensor, name in self.source.outputs:
            self.result.add("Identity", [f"t{tensor}"], names.get(name, name))
            shape = self.source.shape(tensor)
            size = ["n", shape[3], *shape[1:3]] if len(shape) == 4 else ["n", *shape[1:]]
            outputs.append(helper.make_tensor_value_info(names.get(name, name), TensorProto.FLOAT, size))
        graph = helper.make_graph(self.result.nodes, "face", [source], outputs, self.result.initialisers)
        graph.node.insert(0, helper.make_node("Identity", ["input"], [f"t{first}"]))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        for number, part in enumerate(self.parts):
            entry = model.metadata_props.add()
            entry.key, entry.value = f"part{number}", " ".join(map(str, part))
        onnx.checker.check_model(model)
        return model

    def _finish(self, value: str, activation: int, output: int) -> None:
        """Applies a fused activation and names the result."""
        if activation == tflite.ActivationFunctionType.RELU:
            value = self.result.add("Relu", [value])
        elif activation == tflite.ActivationFunctionType.RELU6:
            value = self.result.add(
                "Clip", [value, self.result.add_weight(np.float32(0)), self.result.add_weight(np.float32(6))]
            )
        else:
            assert activation == 0, activation
        self.result.add("Identity", [value], f"t{output}")

    def _dequantize(self, operator: Any, inputs: list[int], output: int) -> None:
        self.source.aliases[output] = self.source.aliases.get(inputs[0], inputs[0])

    def _densify(self, operator: Any, inputs: list[int], output: int) -> None:
        self.source.dense[output] = self.source.densify(inputs[0])

    def _conv_2d(self, operator: Any, inputs: list[int], output: int, deep: bool = False) -> None:
        options = self.source.options(operator, "DepthwiseConv2DOptions" if deep else "Conv2DOptions")
        weights = self.source.constant(inputs[1]).astype(np.float32)
        height, width, stride = *weights.shape[1:3], options.StrideH()
        assert options.DilationHFactor() == 1 and height == width
        pads = [0, 0, 0, 0]
        if options.Padding() == tflite.Padding.SAME:  # an odd pixel goes right and below
            for axis in (0, 1):
                length = self.source.shape(inputs[0])[1 + axis]
                more = max((math.ceil(length / stride) - 1) * stride + height - length, 0)
                pads[axis], pads[axis + 2] = more // 2, more - more // 2
        weight = self.result.add_weight(weights.transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2)))
        bias = self.result.add_weight(self.source.constant(inputs[2]).astype(np.float32))
        value = self.result.add(
            "Conv",
            [f"t{inputs[0]}", weight, bias],
            kernel_shape=[height, width],
            strides=[stride, stride],
            pads=pads,
            group=weights.shape[3] if deep else 1,
        )
        self._finish(value, options.FusedActivationFunction(), output)

    def _depthwise_conv_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        self._conv_2d(operator, inputs, output, deep=True)

    def _convolution2dtransposebias(self, operator: Any, inputs: list[int], output: int) -> None:
        weights = self.source.constant(inputs[1]).astype(np.float32)  # (out, height, width, in)
        assert weights.shape[1:3] == (2, 2)
        weight = self.result.add_weight(weights.transpose(3, 0, 1, 2))
        bias = self.result.add_weight(self.source.constant(inputs[2]).astype(np.float32))
        self.result.add("ConvTranspose", [f"t{inputs[0]}", weight, bias], f"t{output}", strides=[2, 2])

    def _prelu(self, operator: Any, inputs: list[int], output: int) -> None:
        slope = self.source.constant(inputs[1]).astype(np.float32).reshape(-1, 1, 1)
        value = f"t{inputs[0]}"  # ONNX Runtime computes PRelu slowly
        if slope.max() <= 1:
            self.result.add(
                "Max", [value, self.result.add("Mul", [value, self.result.add_weight(slope)])], f"t{output}"
            )
            return
        above = self.result.add("Relu", [value])
        below = self.result.add(
            "Mul", [self.result.add("Sub", [value, above]), self.result.add_weight(slope)]
        )
        self.result.add("Add", [above, below], f"t{output}")

    def _relu(self, operator: Any, inputs: list[int], output: int) -> None:
        self.result.add("Relu", [f"t{inputs[0]}"], f"t{output}")

    def _hard_swish(self, operator: Any, inputs: list[int], output: int) -> None:
        self.result.add("HardSwish", [f"t{inputs[0]}"], f"t{output}")

    def _logistic(self, operator: Any, inputs: list[int], output: int) -> None:
        self.result.add("Sigmoid", [f"t{inputs[0]}"], f"t{output}")

    def _value(self, tensor: int) -> str:
        """The name of a tensor: a value of the graph, or a constant in NCHW."""
        if self.source.is_constant(tensor):
            value = self.source.constant(tensor).astype(np.float32)
            if value.shape[-2:] == (4, 4):  # matrices are (n, 2, 3) here
                return self.result.add_weight(value.reshape(1, 4, 4)[:, :2, [0, 1, 3]])
            return self.result.add_weight(value.transpose(0, 3, 1, 2) if value.ndim == 4 else value)
        return f"t{tensor}"

    def _add(self, operator: Any, inputs: list[int], output: int) -> None:
        value = self.result.add("Add", [self._value(index) for index in inputs])
        self._finish(value, self.source.options(operator, "AddOptions").FusedActivationFunction(), output)

    def _mul(self, operator: Any, inputs: list[int], output: int) -> None:
        value = self.result.add("Mul", [self._value(index) for index in inputs])
        self._finish(value, self.source.options(operator, "MulOptions").FusedActivationFunction(), output)

    def _pad(self, operator: Any, inputs: list[int], output: int) -> None:
        before, after = self.source.constant(inputs[1])[[0, 3, 1, 2]].T
        pads = self.result.add_weight(np.concatenate([before, after]))
        self.result.add("Pad", [f"t{inputs[0]}", pads], f"t{output}")

    def _pool(self, operator: Any, inputs: list[int], output: int, kind: str) -> None:
        options = self.source.options(operator, "Pool2DOptions")
        kernel, strides = (
            [options.FilterHeight(), options.FilterWidth()],
            [options.StrideH(), options.StrideW()],
        )
        shape = self.source.shape(inputs[0])[1:3]
        valid = options.Padding() == tflite.Padding.VALID
        assert valid or all(length % stride == 0 for length, stride in zip(shape, strides, strict=True))
        value = self.result.add(kind, [f"t{inputs[0]}"], kernel_shape=kernel, strides=strides)
        self._finish(value, options.FusedActivationFunction(), output)

    def _max_pool_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        self._pool(operator, inputs, output, "MaxPool")

    def _average_pool_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        self._pool(operator, inputs, output, "AveragePool")

    def _resize_bilinear(self, operator: Any, inputs: list[int], output: int) -> None:
        options = self.source.options(operator, "ResizeBilinearOptions")
        assert options.HalfPixelCenters() and not options.AlignCorners()
        source, target = self.source.shape(inputs[0])[1:3], self.source.shape(output)[1:3]
        scales = self.result.add_weight(np.float32([1, 1, target[0] / source[0], target[1] / source[1]]))
        self.result.add("Resize", [f"t{inputs[0]}", "", scales], f"t{output}", mode="linear")

    def _depth_to_space(self, operator: Any, inputs: list[int], output: int) -> None:
        size = self.source.options(operator, "DepthToSpaceOptions").BlockSize()
        self.result.add("DepthToSpace", [f"t{inputs[0]}"], f"t{output}", blocksize=size, mode="DCR")

    def _reshape(self, operator: Any, inputs: list[int], output: int) -> None:
        value = f"t{inputs[0]}"
        if len(self.source.shape(inputs[0])) == 4 and self.source.shape(inputs[0])[1:3] != [1, 1]:
            value = self.result.add("Transpose", [value], perm=[0, 2, 3, 1])
        target = self.source.shape(output)
        target = [target[0], target[3], *target[1:3]] if len(target) == 4 else target
        shape = self.result.add_weight(np.int64([-1, *target[1:]]))
        self.result.add("Reshape", [value, shape], f"t{output}")

    def _strided_slice(self, operator: Any, inputs: list[int], output: int) -> None:
        assert self.source.shape(inputs[0]) == self.source.shape(output)  # the slice is the full tensor
        self.result.add("Identity", [f"t{inputs[0]}"], f"t{output}")

    def _concatenation(self, operator: Any, inputs: list[int], output: int) -> None:
        assert len(self.source.shape(output)) == 3
        axis = self.source.options(operator, "ConcatenationOptions").Axis()
        self.result.add("Concat", [f"t{index}" for index in inputs], f"t{output}", axis=axis)

    def _landmarks2transformmatrix(self, operator: Any, inputs: list[int], output: int) -> None:
        options = flexbuffers.Loads(bytes(operator.CustomOptionsAsNumpy()))
        self.parts.append([int(index) for index in options["subset_idxs"]])
        self.result.region_matrix(f"t{inputs[0]}", options, f"t{output}")

    def _transformtensorbilinear(self, operator: Any, inputs: list[int], output: int) -> None:
        options = flexbuffers.Loads(bytes(operator.CustomOptionsAsNumpy()))
        size, shape = (options["output_height"], options["output_width"]), self.source.shape(inputs[0])
        self.result.sample_region(f"t{inputs[0]}", shape, f"t{inputs[1]}", size, f"t{output}")

    def _transformlandmarks(self, operator: Any, inputs: list[int], output: int) -> None:
        points = self.result.transform(f"t{inputs[0]}", f"t{inputs[1]}")
        self.result.add("Identity", [points], f"t{output}")


def main(modules: Path, out: Path) -> None:
    """Converts all models and writes their checksums."""
    sums = []
    for name, (source, names) in MODELS.items():
        path = out / f"{name}.onnx"
        path.write_bytes(Converter(modules / f"{source}.tflite").convert(names).SerializeToString())
        made = [path]
        if name == "detector_near":
            made.append(Path(shutil.copy(modules / f"{source}.tflite", out / f"{name}.tflite")))
        for file in made:
            sums.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}")
            print(file, f"{file.stat().st_size / 1e6:.2f} MB")
    (out / "SHA256SUMS").write_text("\n".join(sums) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
