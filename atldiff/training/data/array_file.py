"""Rows of arrays in one file. Only the arrays in use are in memory."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from atldiff.system import atomic_write
from atldiff.training.runs.checkpoints import report_write_errors

Row = dict[str, np.ndarray]
T = TypeVar("T")
DIMENSIONS = 4  # the most that an array may have


class ArrayFile(Sequence[Row]):
    """Row i: named arrays, the same names and types in all rows, of any shape.

    An array is mapped from the file while somebody holds it. Memory grows by 48 bytes an array and does not
    depend on the arrays' length.

    Args:
        path: the path that `write` took.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with np.load(_index(path)) as index:
            self._names, self._types = index["names"].tolist(), index["types"].tolist()
            self._places = index["places"]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, row: int) -> Row:  # type: ignore[override]  # no slices
        return {
            name: self._array(kind, place)
            for name, kind, place in zip(self._names, self._types, self._places[row], strict=True)
        }

    def _array(self, kind: str, place: np.ndarray) -> np.ndarray:
        offset, dimensions, *sizes = place.tolist()
        shape = tuple(sizes[:dimensions])
        if 0 in shape:  # nothing can be mapped
            return np.zeros(shape, kind)
        return np.memmap(self._path, kind, "c", offset, shape)

    @classmethod
    def write(cls, path: Path, rows: Iterable[Row]) -> "ArrayFile":
        """Writes rows one by one to `path`, and the index beside it; whole or not at all.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        names, types, places = [], [], []
        with atomic_write(_index(path)) as part_index, atomic_write(path) as part:
            with report_write_errors(path):
                part.write_bytes(b"")  # a part of a run that was killed may lie there
            for row in rows:
                names, types = list(row), [array.dtype.str for array in row.values()]
                with report_write_errors(path), open(part, "ab") as file:
                    places.append([_append(file, array) for array in row.values()])
            table = np.array(places, np.int64).reshape(len(places), len(names), 2 + DIMENSIONS)
            with report_write_errors(path), open(part_index, "wb") as file:
                np.savez(file, names=np.array(names, str), types=np.array(types, str), places=table)
        return cls(path)

    @classmethod
    def open_existing(cls, path: Path) -> "ArrayFile | None":
        """The file that `write` completed at `path`; None if there is none."""
        return cls(path) if _index(path).exists() else None


class StoredRows(Sequence[T]):
    """Objects in a file, each decoded from its row on access."""

    def __init__(self, rows: ArrayFile) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> T:  # type: ignore[override]  # no slices
        return self.decode(self._rows[row])

    @abstractmethod
    def decode(self, row: Row) -> T:
        """Builds the object of a row."""


def _index(path: Path) -> Path:
    return path.with_suffix(".npz")


def _append(file, array: np.ndarray) -> list[int]:
    """Writes an array; returns its offset in bytes, its number of dimensions, and its shape padded by 0."""
    place = [file.tell(), array.ndim, *array.shape]
    np.ascontiguousarray(array).tofile(file)
    return place + [0] * (DIMENSIONS - array.ndim)
