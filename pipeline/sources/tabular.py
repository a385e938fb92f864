"""Reads rows one by one, so that a bad row costs no other."""

import csv
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of a byte that is no UTF-8
_BOM = b"\xef\xbb\xbf"
_BATCH = 4096  # rows of Parquet decoded at once


@dataclass(frozen=True, slots=True)
class Row:
    """A row: where a person finds it, "line 3" of a text or "row 3" of Parquet, and its values by column."""

    place: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    place: str
    reason: str


def columns_of(path: Path) -> list[str] | None:
    """A file's columns; None for JSON lines, where each row has its own."""
    suffix = path.suffix.lower()
    with _file_errors(path):
        if suffix == ".csv":
            with _open_csv(path) as file:
                return _header(path, csv.reader(file, strict=True))
        if suffix == ".parquet":
            return list(pq.read_schema(path).names)
    if suffix not in _READERS:
        raise InputError(f"{path} holds no rows; use {', '.join(_READERS)}")
    return None


def read_rows(path: Path, needed: Collection[str]) -> Iterator[Row | BadRow]:
    """Read a file's rows by its name's ending.

    Of Parquet, nested columns are read only where they are needed.
    """
    with _file_errors(path):
        yield from _READERS[path.suffix.lower()](path, needed)


def _csv(path: Path, _: Collection[str]) -> Iterator[Row | BadRow]:
    with _open_csv(path) as file:
        # Not strict, an open quote would swallow the rows after it, and they would pass for deleted.
        reader = csv.reader(file, strict=True)
        header = _header(path, reader)
        while True:
            place = f"line {reader.line_num + 1}"
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(place, f"{place} is no CSV: {error}")
                continue
            if not values:
                continue
            if len(values) != len(header):
                yield BadRow(place, f"{place} has {len(values)} values for {len(header)} columns")
            elif any(map(_ESCAPED_BYTE.search, values)):
                yield BadRow(place, f"{place} is not UTF-8")
            else:
                yield Row(place, dict(zip(header, values, strict=True)))


def _open_csv(path: Path) -> TextIO:
    csv.field_size_limit(2**31 - 1)
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _header(path: Path, reader: Iterator[list[str]]) -> list[str]:
    header = next(reader, [])
    if not header:
        raise InputError(f"{path} has no header: its first line is empty; it names the columns")
    if any(map(_ESCAPED_BYTE.search, header)):
        raise InputError(f"{path} is not UTF-8; convert it, for example with iconv -f SHIFT_JIS -t UTF-8")
    return header


def _json_lines(path: Path, _: Collection[str]) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            place, data = f"line {number}", line.removeprefix(_BOM)
            if not data.strip():
                continue
            try:
                values = orjson.loads(data)
            except orjson.JSONDecodeError as error:
                yield BadRow(place, f"{place} is no JSON: {error.msg}")
                continue
            if isinstance(values, dict):
                yield Row(place, values)
            else:
                yield BadRow(place, f"{place} is no JSON object")


def _parquet(path: Path, needed: Collection[str]) -> Iterator[Row | BadRow]:
    with pq.ParquetFile(path) as file:
        fields = [
            pa.field(field.name, _readable(field.type, field.name in needed))
            for field in file.schema_arrow
            if field.name in needed or not pa.types.is_nested(field.type)
        ]
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH, columns=[field.name for field in fields]):
            for values in _values(batch.cast(pa.schema(fields), safe=False)):
                number += 1
                place = f"row {number}"
                if isinstance(values, dict):
                    yield Row(place, values)
                else:
                    yield BadRow(place, f"{place} cannot be read: {values}")


def _readable(kind: pa.DataType, needed: bool) -> pa.DataType:
    """The type to read a column as: Python has no nanoseconds, and some writers leave text unmarked."""
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    return pa.string() if needed and pa.types.is_binary(kind) else kind


def _values(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | Exception]:
    """The rows of a batch, an exception for each that Python cannot hold: a year 10000, text in no UTF-8."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        for number in range(len(batch)):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except (ValueError, OverflowError) as error:
                yield error


_READERS: dict[str, Callable[[Path, Collection[str]], Iterator[Row | BadRow]]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
