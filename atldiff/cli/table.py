"""Reads a table of jobs from a spreadsheet's file, with any usual separator and encoding."""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atldiff.errors import InputError
from atldiff.options import OPTIONS, Options

COLUMNS = ("photo", "recording", "video")  # beside the options
SEPARATORS = ",;\t|"
_REMEDY = "Its first line is: photo,recording"


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        line: its number, from 1.
        photo: path of the portrait.
        recording: path of the speech.
        video: name of the video, or "".
        options: the command's options with the row's changes.
    """

    line: int
    photo: Path
    recording: Path
    video: str
    options: Options


def read_table(source: Path, options: Options) -> list[Row]:
    """Reads the rows of a table.

    Its columns are photo and recording (paths relative to the table) and, if wanted, video (a file name).
    Any of `Options` may be a column, too. An empty cell leaves an option unchanged. Commas, semicolons, tabs
    or bars separate the cells. The text is UTF-8, or UTF-16 with its mark. Column names may be capital, and
    spaces may surround a cell.

    Args:
        source: path of the table.
        options: the defaults of the rows.

    Raises:
        InputError: the file is no such table; a column is missing, unknown or doubled; a row lacks a photo
            or a recording, or is too long; or a value is wrong.
    """
    text, separator = _read_text(source)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        return list(_parse_rows(lines, source, separator, options))
    except csv.Error as error:
        raise InputError(f"{source.name} is not a table of jobs ({error})", _REMEDY) from error


def _read_text(source: Path) -> tuple[str, str]:
    """Reads a table's text and finds its separator, which the first line uses or names."""
    data = source.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source.name} is not text in UTF-8", "Save it as CSV UTF-8") from error
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.strip("\r")) == 5:
        return f"\n{rest}", first[4]  # the lines keep their numbers
    return text, max(SEPARATORS, key=first.count)


def _parse_rows(lines: Any, source: Path, separator: str, options: Options) -> Iterator[Row]:
    """Parses the rows below the first line of cells."""
    columns: list[str] = []
    for cells in lines:
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if columns:
            yield _parse_row(
                dict(_pair_cells(columns, cells, source, lines.line_num)),
                source,
                lines.line_num,
                separator,
                options,
            )
        else:
            columns = _parse_columns([cell.lower() for cell in cells], source)


def _parse_columns(names: list[str], source: Path) -> list[str]:
    """Checks a table's column names, without empty ones at the end."""
    known = (*COLUMNS, *OPTIONS)
    while names and not names[-1]:
        names = names[:-1]
    if unknown := set(names) - set(known):
        raise InputError(
            f"{source.name} has an unknown column: {min(unknown)[:40]}", f"Columns are {', '.join(known)}"
        )
    if missing := [name for name in COLUMNS[:2] if name not in names]:
        raise InputError(f"{source.name} has no column {missing[0]}", _REMEDY)
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{source.name} has the column {twice[0]} twice", "Remove one of them")
    return names


def _pair_cells(columns: list[str], cells: list[str], source: Path, line: int) -> Iterator[tuple[str, str]]:
    """Pairs the columns with a row's cells."""
    if any(cells[len(columns) :]):
        problem = f"{source.name}, line {line}: there are more cells than columns"
        raise InputError(problem, "Put names that hold a separator in quotes")
    yield from zip(columns, cells, strict=False)


def _parse_row(cells: dict[str, str], source: Path, line: int, separator: str, options: Options) -> Row:
    """Parses one row; commas may stand for decimal points if they do not separate cells."""
    place = f"{source.name}, line {line}"
    for name in COLUMNS[:2]:
        if not cells.get(name):
            raise InputError(f"{place}: there is no {name}", "Name one in every row")
    changes: dict[str, Any] = {name: cells[name] for name in OPTIONS if cells.get(name)}
    if separator != ",":
        numbers = {name: value for name, value in changes.items() if "range" in OPTIONS[name].metadata}
        changes |= {name: value.replace(",", ".") for name, value in numbers.items()}
    try:
        row_options = replace(options, **changes)
    except InputError as error:
        raise InputError(f"{place}: {error.problem}", error.remedy) from error
    photo, recording = source.parent / cells["photo"], source.parent / cells["recording"]
    return Row(line, photo, recording, cells.get("video", ""), row_options)
