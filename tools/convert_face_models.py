"""Converts MediaPipe's face models (.tflite) to the ONNX files in atldiff/weights/face.

python tools/convert_face_models.py MEDIAPIPE/modules OUT

- MEDIAPIPE is the package folder of mediapipe 0.10.21, the last version that carries the models.
- The file of the detector of large faces is copied, too, for `--detector mediapipe-tasks`.
- It needs the packages tflite, flatbuffers, onnx and numpy.
- Weights stay float16 as in the source. The graphs compute in float32, in NCHW, for any batch size.
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
from onnx import TensorProto, helper, numpy_helper

MODELS = {  # name of our file: MediaPipe's file, new names of the outputs
    "detector_near": ("face_detection/face_detection_short_range", {}),
    "detector_far": (
        "face_detection/face_detection_full_range_sparse",
        {"Identity": "regressors", "Identity_1": "classificators"},
    ),
    "mesh": ("face_landmark/face_landmark_with_attention", {}),
    "segmenter": ("selfie_segmentation/selfie_segmentation", {"activation_10": "mask"}),
}
NAMES = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
TYPES = {tflite.TensorType.FLOAT16: "<f2", tflite.TensorType.FLOAT32: "<f4", tflite.TensorType.INT32: "<i4"}
OPSET = 16


class Converter:
    """Translates one .tflite graph, operator by operator."""

    def __init__(self, path: Path) -> None:
        self.model = tflite.Model.GetRootAs(path.read_bytes(), 0)
        self.graph = self.model.Subgraphs(0)
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []
        self.widened: dict[int, int] = {}  # float32 tensor -> the float16 constant that it repeats
        self.dense: dict[int, np.ndarray] = {}  # tensor -> a sparse constant in dense form
        self.parts: list[list[int]] = []  # mesh points of each region that attention refines

    def convert(self, names: dict[str, str]) -> onnx.ModelProto:
        """Converts the graph; `names` renames outputs."""
        for index in range(self.graph.OperatorsLength()):
            self._operator(self.graph.Operators(index))
        (first,) = self.graph.InputsAsNumpy()
        shape = self.shape(first)
        source = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", shape[3], *shape[1:3]])
        outputs = []
        for index in self.graph.OutputsAsNumpy():
            name = self.graph.Tensors(int(index)).Name().decode()
            self.add("Identity", [f"t{index}"], names.get(name, name))
            size = self.shape(index)
            size = ["n", size[3], *size[1:3]] if len(size) == 4 else ["n", *size[1:]]
            outputs.append(helper.make_tensor_value_info(names.get(name, name), TensorProto.FLOAT, size))
        graph = helper.make_graph(self.nodes, "face", [source], outputs, self.initialisers)
        graph.node.insert(0, helper.make_node("Identity", ["input"], [f"t{first}"]))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        for number, part in enumerate(self.parts):
            entry = model.metadata_props.add()
            entry.key, entry.value = f"part{number}", " ".join(map(str, part))
        onnx.checker.check_model(model)
        return model

    def shape(self, tensor: int) -> list[int]:
        """The shape of a tensor in the source, NHWC."""
        return [int(length) for length in self.graph.Tensors(int(tensor)).ShapeAsNumpy()]

    def constant(self, tensor: int) -> np.ndarray:
        """The value of a constant, in dense form."""
        tensor = self.widened.get(int(tensor), int(tensor))
        if tensor in self.dense:
            return self.dense[tensor]
        source = self.graph.Tensors(tensor)
        raw = self.model.Buffers(source.Buffer()).DataAsNumpy().tobytes()
        return np.frombuffer(raw, TYPES[source.Type()]).reshape(self.shape(tensor))

    def add_weight(self, value: np.ndarray) -> str:
        """Adds a float32 constant, stored as float16 if that loses nothing; returns its name."""
        name = f"w{len(self.initialisers)}"
        half = value.astype(np.float16)
        if value.dtype.kind == "f" and np.array_equal(half.astype(np.float32), value.astype(np.float32)):
            self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(half), f"{name}h"))
            return self.add("Cast", [f"{name}h"], name, to=TensorProto.FLOAT)
        kind = np.int64 if value.dtype.kind == "i" else np.float32
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value, kind), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Adds an operator; returns the name of its output."""
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _operator(self, operator: Any) -> None:
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        name = NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        name = code.CustomCode().decode() if name == "CUSTOM" else name
        inputs = [int(index) for index in operator.InputsAsNumpy()]
        output = int(operator.OutputsAsNumpy()[0])
        getattr(self, f"_{name.lower()}")(operator, inputs, output)

    def _options(self, operator: Any, kind: str) -> Any:
        options = getattr(tflite, kind)()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        return options

    def _finish(self, value: str, activation: int, output: int) -> None:
        """Applies a fused activation and names the result."""
        if activation == tflite.ActivationFunctionType.RELU:
            value = self.add("Relu", [value])
        elif activation == tflite.ActivationFunctionType.RELU6:
            value = self.add("Clip", [value, self.add_weight(np.float32(0)), self.add_weight(np.float32(6))])
        else:
            assert activation == 0, activation
        self.add("Identity", [value], f"t{output}")

    def _dequantize(self, operator: Any, inputs: list[int], output: int) -> None:
        self.widened[output] = self.widened.get(inputs[0], inputs[0])

    def _densify(self, operator: Any, inputs: list[int], output: int) -> None:
        tensor = self.graph.Tensors(inputs[0])
        sparsity, shape = tensor.Sparsity(), self.shape(inputs[0])
        raw = self.model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        values = iter(np.frombuffer(raw, TYPES[tensor.Type()]))
        assert list(sparsity.TraversalOrderAsNumpy()) == list(range(len(shape)))
        assert sparsity.BlockMapLength() == 0
        dense = np.zeros(shape, np.float32)

        def vector(union: Any, kind: int) -> np.ndarray:
            types = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}
            holder = types[kind]()
            holder.Init(union.Bytes, union.Pos)
            return holder.ValuesAsNumpy()

        def fill(axis: int, place: tuple[int, ...], row: int) -> None:
            if axis == len(shape):
                dense[place] = next(values)
                return
            level = sparsity.DimMetadata(axis)
            if level.Format() == tflite.DimensionType.DENSE:
                for index in range(level.DenseSize()):
                    fill(axis + 1, (*place, index), row * level.DenseSize() + index)
                return
            segments = vector(level.ArraySegments(), level.ArraySegmentsType())
            indices = vector(level.ArrayIndices(), level.ArrayIndicesType())
            for entry in range(int(segments[row]), int(segments[row + 1])):
                fill(axis + 1, (*place, int(indices[entry])), entry)

        fill(0, (), 0)
        self.dense[output] = dense

    def _conv_2d(self, operator: Any, inputs: list[int], output: int, deep: bool = False) -> None:
        options = self._options(operator, "DepthwiseConv2DOptions" if deep else "Conv2DOptions")
        weights = self.constant(inputs[1]).astype(np.float32)
        height, width, stride = *weights.shape[1:3], options.StrideH()
        assert options.DilationHFactor() == 1 and height == width
        pads = [0, 0, 0, 0]
        if options.Padding() == tflite.Padding.SAME:  # an odd pixel goes right and below
            for axis in (0, 1):
                length = self.shape(inputs[0])[1 + axis]
                more = max((math.ceil(length / stride) - 1) * stride + height - length, 0)
                pads[axis], pads[axis + 2] = more // 2, more - more // 2
        weight = self.add_weight(weights.transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2)))
        bias = self.add_weight(self.constant(inputs[2]).astype(np.float32))
        value = self.add(
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
        weights = self.constant(inputs[1]).astype(np.float32)  # (out, height, width, in)
        assert weights.shape[1:3] == (2, 2)
        weight = self.add_weight(weights.transpose(3, 0, 1, 2))
        bias = self.add_weight(self.constant(inputs[2]).astype(np.float32))
        self.add("ConvTranspose", [f"t{inputs[0]}", weight, bias], f"t{output}", strides=[2, 2])

    def _prelu(self, operator: Any, inputs: list[int], output: int) -> None:
        slope = self.constant(inputs[1]).astype(np.float32).reshape(-1, 1, 1)
        value = f"t{inputs[0]}"  # ONNX Runtime computes PRelu slowly
        if slope.max() <= 1:
            self.add("Max", [value, self.add("Mul", [value, self.add_weight(slope)])], f"t{output}")
            return
        above = self.add("Relu", [value])
        below = self.add("Mul", [self.add("Sub", [value, above]), self.add_weight(slope)])
        self.add("Add", [above, below], f"t{output}")

    def _relu(self, operator: Any, inputs: list[int], output: int) -> None:
        self.add("Relu", [f"t{inputs[0]}"], f"t{output}")

    def _hard_swish(self, operator: Any, inputs: list[int], output: int) -> None:
        self.add("HardSwish", [f"t{inputs[0]}"], f"t{output}")

    def _logistic(self, operator: Any, inputs: list[int], output: int) -> None:
        self.add("Sigmoid", [f"t{inputs[0]}"], f"t{output}")

    def _value(self, tensor: int) -> str:
        """The name of a tensor: a value of the graph, or a constant in NCHW."""
        if tensor in self.widened or tensor in self.dense:
            value = self.constant(tensor).astype(np.float32)
            if value.shape[-2:] == (4, 4):  # matrices are (n, 2, 3) here
                return self.add_weight(value.reshape(1, 4, 4)[:, :2, [0, 1, 3]])
            return self.add_weight(value.transpose(0, 3, 1, 2) if value.ndim == 4 else value)
        return f"t{tensor}"

    def _add(self, operator: Any, inputs: list[int], output: int) -> None:
        value = self.add("Add", [self._value(index) for index in inputs])
        self._finish(value, self._options(operator, "AddOptions").FusedActivationFunction(), output)

    def _mul(self, operator: Any, inputs: list[int], output: int) -> None:
        value = self.add("Mul", [self._value(index) for index in inputs])
        self._finish(value, self._options(operator, "MulOptions").FusedActivationFunction(), output)

    def _pad(self, operator: Any, inputs: list[int], output: int) -> None:
        before, after = self.constant(inputs[1])[[0, 3, 1, 2]].T
        pads = self.add_weight(np.concatenate([before, after]))
        self.add("Pad", [f"t{inputs[0]}", pads], f"t{output}")

    def _pool(self, operator: Any, inputs: list[int], output: int, kind: str) -> None:
        options = self._options(operator, "Pool2DOptions")
        kernel, strides = (
            [options.FilterHeight(), options.FilterWidth()],
            [options.StrideH(), options.StrideW()],
        )
        shape = self.shape(inputs[0])[1:3]
        valid = options.Padding() == tflite.Padding.VALID
        assert valid or all(length % stride == 0 for length, stride in zip(shape, strides, strict=True))
        value = self.add(kind, [f"t{inputs[0]}"], kernel_shape=kernel, strides=strides)
        self._finish(value, options.FusedActivationFunction(), output)

    def _max_pool_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        self._pool(operator, inputs, output, "MaxPool")

    def _average_pool_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        self._pool(operator, inputs, output, "AveragePool")

    def _resize_bilinear(self, operator: Any, inputs: list[int], output: int) -> None:
        options = self._options(operator, "ResizeBilinearOptions")
        assert options.HalfPixelCenters() and not options.AlignCorners()
        source, target = self.shape(inputs[0])[1:3], self.shape(output)[1:3]
        scales = self.add_weight(np.float32([1, 1, target[0] / source[0], target[1] / source[1]]))
        self.add("Resize", [f"t{inputs[0]}", "", scales], f"t{output}", mode="linear")

    def _depth_to_space(self, operator: Any, inputs: list[int], output: int) -> None:
        size = self._options(operator, "DepthToSpaceOptions").BlockSize()
        self.add("DepthToSpace", [f"t{inputs[0]}"], f"t{output}", blocksize=size, mode="DCR")

    def _reshape(self, operator: Any, inputs: list[int], output: int) -> None:
        value = f"t{inputs[0]}"
        if len(self.shape(inputs[0])) == 4 and self.shape(inputs[0])[1:3] != [1, 1]:
            value = self.add("Transpose", [value], perm=[0, 2, 3, 1])
        target = self.shape(output)
        target = [target[0], target[3], *target[1:3]] if len(target) == 4 else target
        shape = self.add_weight(np.int64([-1, *target[1:]]))
        self.add("Reshape", [value, shape], f"t{output}")

    def _strided_slice(self, operator: Any, inputs: list[int], output: int) -> None:
        assert self.shape(inputs[0]) == self.shape(output)  # the slice is the full tensor
        self.add("Identity", [f"t{inputs[0]}"], f"t{output}")

    def _concatenation(self, operator: Any, inputs: list[int], output: int) -> None:
        assert len(self.shape(output)) == 3
        axis = self._options(operator, "ConcatenationOptions").Axis()
        self.add("Concat", [f"t{index}" for index in inputs], f"t{output}", axis=axis)

    def _landmarks2transformmatrix(self, operator: Any, inputs: list[int], output: int) -> None:
        """The matrix (n, 2, 3) from a region's pixels to pixels of the feature map.

        The region is an enlarged box round the listed points, parallel to the line through two points.
        """
        o = flexbuffers.Loads(bytes(operator.CustomOptionsAsNumpy()))
        self.parts.append([int(index) for index in o["subset_idxs"]])
        xy = self.add("Slice", [f"t{inputs[0]}", *map(self.add_weight, map(np.int64, ([0], [2], [2])))])
        ends = [
            self.add("Gather", [xy, self.add_weight(np.int64([o[key]]))], axis=1)
            for key in ("left_rotation_idx", "right_rotation_idx")
        ]
        line = self.add("Sub", [ends[1], ends[0]])
        length = self.add("ReduceL2", [line], axes=[2], keepdims=1)
        level = self.add("Div", [line, length])  # (n, 1, 2): cosine and sine of the line's angle
        angle = float(o["target_rotation_radians"])
        turns = [
            np.float32([[math.cos(angle)], [math.sin(angle)]]),
            np.float32([[-math.sin(angle)], [math.cos(angle)]]),
        ]
        cos, sin = (self.add("MatMul", [level, self.add_weight(turn)]) for turn in turns)
        rows = [self.add("Concat", pair, axis=2) for pair in ([cos, self.add("Neg", [sin])], [sin, cos])]
        turn = self.add("Concat", rows, axis=1)  # (n, 2, 2), level frame to map
        points = self.add("Gather", [xy, self.add_weight(np.int64(self.parts[-1]))], axis=1)
        levelled = self.add("MatMul", [points, turn])
        low = self.add("ReduceMin", [levelled], axes=[1], keepdims=1)
        high = self.add("ReduceMax", [levelled], axes=[1], keepdims=1)
        size = np.float32([o["output_width"], o["output_height"]])
        scale = self.add(
            "Mul",
            [self.add("Sub", [high, low]), self.add_weight(np.float32([o["scale_x"], o["scale_y"]]) / size)],
        )
        linear = self.add("Mul", [turn, scale])  # (n, 2, 2)
        centre = self.add("Mul", [self.add("Add", [low, high]), self.add_weight(np.float32(0.5))])
        back = self.add("Transpose", [turn], perm=[0, 2, 1])
        middle = self.add("MatMul", [centre, back])  # (n, 1, 2)
        half = self.add(
            "MatMul",
            [self.add_weight(size.reshape(1, 1, 2) / 2), self.add("Transpose", [linear], perm=[0, 2, 1])],
        )
        shift = self.add("Transpose", [self.add("Sub", [middle, half])], perm=[0, 2, 1])
        self.add("Concat", [linear, shift], f"t{output}", axis=2)

    def _apply(self, points: str, matrix: str) -> str:
        """Transforms points (n, m, 2) by a matrix (n, 2, 3)."""
        cut = [np.int64([0]), np.int64([2]), np.int64([2])]
        linear = self.add("Slice", [matrix, *map(self.add_weight, cut)])
        shift = self.add("Slice", [matrix, *map(self.add_weight, map(np.int64, ([2], [3], [2])))])
        moved = self.add("MatMul", [points, self.add("Transpose", [linear], perm=[0, 2, 1])])
        return self.add("Add", [moved, self.add("Transpose", [shift], perm=[0, 2, 1])])

    def _transformtensorbilinear(self, operator: Any, inputs: list[int], output: int) -> None:
        """Samples a region of the feature map; pixel centres lie at a half, and values beyond are zero."""
        o = flexbuffers.Loads(bytes(operator.CustomOptionsAsNumpy()))
        height, width = o["output_height"], o["output_width"]
        rows, columns = np.mgrid[:height, :width]
        grid = np.stack([columns, rows], -1).reshape(1, -1, 2).astype(np.float32) + 0.5
        at = self._apply(self.add_weight(grid), f"t{inputs[1]}")
        at = self.add("Sub", [at, self.add_weight(np.float32(0.5))])
        shape = self.shape(inputs[0])
        last = np.float32([shape[2] - 1, shape[1] - 1])
        where = self.add("Mul", [at, self.add_weight(2 / last)])
        where = self.add("Sub", [where, self.add_weight(np.float32(1))])
        inside = self.add("LessOrEqual", [self.add("Abs", [where]), self.add_weight(np.float32(1))])
        inside = self.add(
            "ReduceMin", [self.add("Cast", [inside], to=TensorProto.FLOAT)], axes=[2], keepdims=0
        )
        places = self.add("Reshape", [where, self.add_weight(np.int64([-1, height, width, 2]))])
        crop = self.add("GridSample", [f"t{inputs[0]}", places], align_corners=1, mode="bilinear")
        mask = self.add("Reshape", [inside, self.add_weight(np.int64([-1, 1, height, width]))])
        self.add("Mul", [crop, mask], f"t{output}")

    def _transformlandmarks(self, operator: Any, inputs: list[int], output: int) -> None:
        self.add("Identity", [self._apply(f"t{inputs[0]}", f"t{inputs[1]}")], f"t{output}")


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
