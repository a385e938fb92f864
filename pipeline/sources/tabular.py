"""Reads rows one by one, so that a bad row costs no other."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of a byte that is no UTF-8
_BATCH = 4096  # rows of Parquet decoded at once


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its number in the file, counted from 1, and its values by column."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    number: int
    reason: str


def columns_of(path: Path) -> list[str] | None:
    """A file's columns; None for JSON lines, where each row has its own."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                return next(csv.reader(file), [])
        if suffix == ".parquet":
            return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if suffix not in (".jsonl", ".ndjson"):
        raise InputError(f"{path} holds no rows; use .csv, .jsonl, .ndjson or .parquet")
    return None


def read_rows(path: Path, text_columns: Sequence[str]) -> Iterator[Row | BadRow]:
    """Read a file's rows by its name's ending.

    Of Parquet, nested columns are read only where the text needs them.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            yield from _csv(path)
        elif suffix == ".parquet":
            yield from _parquet(path, text_columns)
        else:
            yield from _json_lines(path)
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _csv(path: Path) -> Iterator[Row | BadRow]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        for number, values in enumerate(reader, start=1):
            if not values:
                continue
            if len(values) != len(header):
                yield BadRow(number, f"row {number} has {len(values)} values for {len(header)} columns")
            elif any(map(_ESCAPED_BYTE.search, values)):
                yield BadRow(number, f"row {number} is not UTF-8")
            else:
                yield Row(number, dict(zip(header, values, strict=True)))


def _json_lines(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                values = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield BadRow(number, f"line {number} is no JSON: {error.msg}")
                continue
            if isinstance(values, dict):
                yield Row(number, values)
            else:
                yield BadRow(number, f"line {number} is no JSON object")


def _parquet(path: Path, text_columns: Sequence[str]) -> Iterator[Row | BadRow]:
    with pq.ParquetFile(path) as file:
        columns = [
            field.name
            for field in file.schema_arrow
            if field.name in text_columns or not pa.types.is_nested(field.type)
        ]
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
            for values in batch.to_pylist():
                number += 1
                yield Row(number, values)
