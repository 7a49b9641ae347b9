"""Reads the graph of a .tflite file: shapes, options and constants, also half precision and sparse ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tflite

NAMES = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
TYPES = {tflite.TensorType.FLOAT16: "<f2", tflite.TensorType.FLOAT32: "<f4", tflite.TensorType.INT32: "<i4"}
_VECTORS = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}


class TFLiteReader:
    """The graph of one file. Its tensors are numbers.

    Attributes:
        aliases: float32 tensor -> the float16 constant with its values.
        dense: tensor -> a sparse constant in dense form.
    """

    def __init__(self, path: Path) -> None:
        self._model = tflite.Model.GetRootAs(path.read_bytes(), 0)
        self._graph = self._model.Subgraphs(0)
        self.aliases: dict[int, int] = {}
        self.dense: dict[int, np.ndarray] = {}

    @property
    def input(self) -> int:
        """The graph's input."""
        (tensor,) = self._graph.InputsAsNumpy()
        return int(tensor)

    @property
    def outputs(self) -> list[tuple[int, str]]:
        """(tensor, name) of each output."""
        numbers = [int(tensor) for tensor in self._graph.OutputsAsNumpy()]
        return [(number, self._graph.Tensors(number).Name().decode()) for number in numbers]

    def operators(self) -> Iterator[tuple[str, Any, list[int], int]]:
        """(kind, operator, input tensors, output tensor) of each operator, in order of execution."""
        for index in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(index)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            kind = NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            kind = code.CustomCode().decode() if kind == "CUSTOM" else kind
            inputs = [int(tensor) for tensor in operator.InputsAsNumpy()]
            yield kind.lower(), operator, inputs, int(operator.OutputsAsNumpy()[0])

    def shape(self, tensor: int) -> list[int]:
        """The shape of a tensor, NHWC."""
        return [int(length) for length in self._graph.Tensors(tensor).ShapeAsNumpy()]

    def options(self, operator: Any, kind: str) -> Any:
        """The options of an operator, of the class `kind` of the package tflite."""
        options = getattr(tflite, kind)()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        return options

    def is_constant(self, tensor: int) -> bool:
        """Whether a float tensor is a constant that an operator of the graph unpacks."""
        return tensor in self.aliases or tensor in self.dense

    def constant(self, tensor: int) -> np.ndarray:
        """The value of a constant, in dense form."""
        tensor = self.aliases.get(tensor, tensor)
        return (
            self.dense[tensor] if tensor in self.dense else self._values(tensor).reshape(self.shape(tensor))
        )

    def densify(self, tensor: int) -> np.ndarray:
        """The dense form of a sparse constant, float32.

        The file stores its axes in order. Each axis is dense, or lists the indices that have values.
        """
        sparsity, shape = self._graph.Tensors(tensor).Sparsity(), self.shape(tensor)
        assert list(sparsity.TraversalOrderAsNumpy()) == list(range(len(shape)))
        assert sparsity.BlockMapLength() == 0
        dense = np.zeros(shape, np.float32)
        for place, value in zip(_places(sparsity, shape), self._values(tensor), strict=True):
            dense[place] = value
        return dense

    def _values(self, tensor: int) -> np.ndarray:
        """The stored values (n,) of a constant."""
        source = self._graph.Tensors(tensor)
        raw = self._model.Buffers(source.Buffer()).DataAsNumpy().tobytes()
        return np.frombuffer(raw, TYPES[source.Type()])


def _places(
    sparsity: Any, shape: list[int], place: tuple[int, ...] = (), row: int = 0
) -> Iterator[tuple[int, ...]]:
    """The places of a sparse constant's stored values, in their order.

    Args:
        sparsity: of the constant.
        shape: of the constant.
        place: indices on the first axes, to which these places are limited.
        row: number of `place` among the stored rows of its axis.
    """
    if len(place) == len(shape):
        yield place
        return
    level = sparsity.DimMetadata(len(place))
    if level.Format() == tflite.DimensionType.DENSE:
        size = level.DenseSize()
        entries = [(index, row * size + index) for index in range(size)]
    else:
        borders = _vector(level.ArraySegments(), level.ArraySegmentsType())
        indices = _vector(level.ArrayIndices(), level.ArrayIndicesType())
        entries = [(int(indices[entry]), entry) for entry in range(int(borders[row]), int(borders[row + 1]))]
    for index, below in entries:
        yield from _places(sparsity, shape, (*place, index), below)


def _vector(union: Any, kind: int) -> np.ndarray:
    """The numbers of one of the file's three kinds of vectors."""
    vector = _VECTORS[kind]()
    vector.Init(union.Bytes, union.Pos)
    return vector.ValuesAsNumpy()
