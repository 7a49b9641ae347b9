"""Rows of arrays in one file, of which only what is looked at is in memory."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from atldiff.training.runs.checkpoints import writing

Row = dict[str, np.ndarray]
T = TypeVar("T")
DIMENSIONS = 4  # that an array may have at most


class ArrayFile(Sequence[Row]):
    """Row i: named arrays, the same names and types in all rows, of any shape.

    They are mapped from the file while somebody holds them: memory grows neither with the number of rows nor
    with their length, but for 48 bytes an array.

    Args:
        path: as given to `write`.
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
        """Writes rows, one after the other, to `path` and its index beside it; whole or not at all.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        names, types, places = [], [], []
        part, part_index = path.with_suffix(".part"), path.with_suffix(".part.npz")
        part.unlink(missing_ok=True)
        try:
            for row in rows:
                names, types = list(row), [array.dtype.str for array in row.values()]
                with writing(path), open(part, "ab") as file:
                    places.append([_append(file, array) for array in row.values()])
            table = np.array(places, np.int64).reshape(len(places), len(names), 2 + DIMENSIONS)
            with writing(path):
                np.savez(part_index, names=np.array(names, str), types=np.array(types, str), places=table)
                part.touch()  # there may be no rows
                part.replace(path)
                part_index.replace(_index(path))
        finally:
            part.unlink(missing_ok=True)
            part_index.unlink(missing_ok=True)
        return cls(path)

    @classmethod
    def kept(cls, path: Path) -> "ArrayFile | None":
        """What `write` has written to `path` whole; None: nothing."""
        return cls(path) if _index(path).exists() else None


class StoredRows(Sequence[T]):
    """Things in a file, made of their rows when they are asked for."""

    def __init__(self, rows: ArrayFile) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> T:  # type: ignore[override]  # no slices
        return self.made(self._rows[row])

    @abstractmethod
    def made(self, row: Row) -> T:
        """A thing of its row."""


def _index(path: Path) -> Path:
    return path.with_suffix(".npz")


def _append(file, array: np.ndarray) -> list[int]:
    """Writes an array; returns where it begins, the number of its dimensions, and these."""
    place = [file.tell(), array.ndim, *array.shape]
    np.ascontiguousarray(array).tofile(file)
    return place + [0] * (DIMENSIONS - array.ndim)
