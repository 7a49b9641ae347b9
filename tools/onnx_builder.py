"""Builds ONNX graphs, with the operators that cut a region out of a feature map."""

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class OnnxBuilder:
    """A graph under construction.

    Attributes:
        nodes: its operators.
        initialisers: its constants.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Adds an operator; returns the name of its output."""
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

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

    def region_matrix(self, mesh: str, options: dict[str, Any], output: str) -> None:
        """Adds the matrix (n, 2, 3) from a region's pixels to pixels of the feature map.

        The region is an enlarged box round the listed points, parallel to the line through two points.

        Args:
            mesh: name of the points (n, m, >= 2), pixels of the feature map.
            options: of MediaPipe's operator Landmarks2TransformMatrix.
            output: name of the matrix.
        """
        xy = self.add("Slice", [mesh, *map(self.add_weight, map(np.int64, ([0], [2], [2])))])
        ends = [
            self.add("Gather", [xy, self.add_weight(np.int64([options[key]]))], axis=1)
            for key in ("left_rotation_idx", "right_rotation_idx")
        ]
        line = self.add("Sub", [ends[1], ends[0]])
        length = self.add("ReduceL2", [line], axes=[2], keepdims=1)
        level = self.add("Div", [line, length])  # (n, 1, 2): cosine and sine of the line's angle
        angle = float(options["target_rotation_radians"])
        turns = [
            np.float32([[math.cos(angle)], [math.sin(angle)]]),
            np.float32([[-math.sin(angle)], [math.cos(angle)]]),
        ]
        cos, sin = (self.add("MatMul", [level, self.add_weight(turn)]) for turn in turns)
        rows = [self.add("Concat", pair, axis=2) for pair in ([cos, self.add("Neg", [sin])], [sin, cos])]
        turn = self.add("Concat", rows, axis=1)  # (n, 2, 2), level frame to map
        subset = np.int64([int(index) for index in options["subset_idxs"]])
        points = self.add("Gather", [xy, self.add_weight(subset)], axis=1)
        levelled = self.add("MatMul", [points, turn])
        low = self.add("ReduceMin", [levelled], axes=[1], keepdims=1)
        high = self.add("ReduceMax", [levelled], axes=[1], keepdims=1)
        size = np.float32([options["output_width"], options["output_height"]])
        extent = self.add("Sub", [high, low])
        margin = self.add_weight(np.float32([options["scale_x"], options["scale_y"]]) / size)
        scale = self.add("Mul", [extent, margin])
        linear = self.add("Mul", [turn, scale])  # (n, 2, 2)
        centre = self.add("Mul", [self.add("Add", [low, high]), self.add_weight(np.float32(0.5))])
        back = self.add("Transpose", [turn], perm=[0, 2, 1])
        middle = self.add("MatMul", [centre, back])  # (n, 1, 2)
        half_size = self.add_weight(size.reshape(1, 1, 2) / 2)
        half = self.add("MatMul", [half_size, self.add("Transpose", [linear], perm=[0, 2, 1])])
        shift = self.add("Transpose", [self.add("Sub", [middle, half])], perm=[0, 2, 1])
        self.add("Concat", [linear, shift], output, axis=2)

    def transform(self, points: str, matrix: str) -> str:
        """Transforms points (n, m, 2) by a matrix (n, 2, 3); returns the name of the result."""
        cut = [np.int64([0]), np.int64([2]), np.int64([2])]
        linear = self.add("Slice", [matrix, *map(self.add_weight, cut)])
        shift = self.add("Slice", [matrix, *map(self.add_weight, map(np.int64, ([2], [3], [2])))])
        moved = self.add("MatMul", [points, self.add("Transpose", [linear], perm=[0, 2, 1])])
        return self.add("Add", [moved, self.add("Transpose", [shift], perm=[0, 2, 1])])

    def sample_region(
        self, features: str, shape: list[int], matrix: str, size: tuple[int, int], output: str
    ) -> None:
        """Adds the bilinear samples of a region; pixel centres lie at a half, and values beyond are zero.

        Args:
            features: name of the feature map.
            shape: of the map, NHWC.
            matrix: name of the region's matrix.
            size: (height, width) of the samples.
            output: name of the samples (n, c, height, width).
        """
        height, width = size
        rows, columns = np.mgrid[:height, :width]
        grid = np.stack([columns, rows], -1).reshape(1, -1, 2).astype(np.float32) + 0.5
        at = self.transform(self.add_weight(grid), matrix)
        at = self.add("Sub", [at, self.add_weight(np.float32(0.5))])
        last = np.float32([shape[2] - 1, shape[1] - 1])
        where = self.add("Mul", [at, self.add_weight(2 / last)])
        where = self.add("Sub", [where, self.add_weight(np.float32(1))])
        inside = self.add("LessOrEqual", [self.add("Abs", [where]), self.add_weight(np.float32(1))])
        inside = self.add("Cast", [inside], to=TensorProto.FLOAT)
        inside = self.add("ReduceMin", [inside], axes=[2], keepdims=0)
        places = self.add("Reshape", [where, self.add_weight(np.int64([-1, height, width, 2]))])
        crop = self.add("GridSample", [features, places], align_corners=1, mode="bilinear")
        mask = self.add("Reshape", [inside, self.add_weight(np.int64([-1, 1, height, width]))])
        self.add("Mul", [crop, mask], output)
