"""Rows of CSV, JSON lines and Parquet as documents."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from pipeline import ids
from pipeline.errors import InputError, UsageError
from pipeline.job import SourceSpec
from pipeline.model import DeadLetter, Document, Listed
from pipeline.sources.paths import Paths, file_uri
from pipeline.sources.tabular import BadRow, Row, columns_of, read_rows

_KINDS = ("**/*.csv", "**/*.jsonl", "**/*.ndjson", "**/*.parquet")
_FIELD = re.compile(r"\{([^{}]+)\}")


class RowSource:
    """One document a row; its text comes from a column or from a template over columns."""

    def __init__(self, spec: SourceSpec) -> None:
        if not spec.text or not spec.id:
            raise UsageError(
                "rows need --text and --id: --text names a column or is a template such as "
                '"Title: {title}; Content: {body}", --id names the column that identifies a row'
            )
        self._spec = spec
        self._id = spec.id
        self._template = spec.text if _FIELD.search(spec.text) else "{" + spec.text + "}"
        if set("{}") & set(_FIELD.sub("", self._template)):
            raise UsageError(f"--text {spec.text!r} has a bracket without its other half")
        self._fields = tuple(dict.fromkeys(_FIELD.findall(self._template)))
        if not self._fields:
            raise UsageError(f"--text {spec.text!r} names no column; write a column or {{column}}s")
        self._paths = Paths.parse(spec.uri, (spec.glob,) if spec.glob else _KINDS)

    def list(self) -> Iterator[Listed | DeadLetter]:
        """List the rows; a hash of what is taken from a row is its token."""
        seen: set[str] = set()
        first_bad = ""
        for document in self._documents():
            if isinstance(document, DeadLetter):
                first_bad = first_bad or f": {document.reason}"
                yield document
            elif document.doc_id in seen:
                yield _dead(document.uri, document.doc_id, f"the id {document.doc_id!r} occurs twice")
            else:
                seen.add(document.doc_id)
                yield Listed(document.doc_id, document.uri, document.token)
        if not seen:
            raise InputError(
                f"{self._spec.uri} holds no rows that can be read{first_bad}; nothing was changed"
            )

    def read(self, listed: Iterable[Listed]) -> Iterator[Document | DeadLetter]:
        """Read the rows named; a row that is no longer there is a dead letter."""
        wanted = {one.doc_id: one for one in listed}
        for document in self._documents():
            if isinstance(document, Document) and wanted.pop(document.doc_id, None) is not None:
                yield document
        for one in wanted.values():
            yield DeadLetter(one.doc_id, one.uri, "split", "the row vanished while the run was reading")

    def covers(self, uri: str) -> bool:
        """Whether the URI is of a row in a file that this source would list."""
        file, fragment, _ = uri.partition("#")
        return bool(fragment) and self._paths.covers(file)

    def _documents(self) -> Iterator[Document | DeadLetter]:
        files = [path for _, path in self._paths.find()]
        if not files:
            raise InputError(
                f"{self._spec.uri} holds no files of rows ({', '.join(self._paths.patterns)}); "
                "nothing was changed"
            )
        needed = (self._id, *self._fields)
        for path in files:
            _check_columns(path, needed)
            for row in read_rows(path, needed):
                if isinstance(row, BadRow):
                    yield _dead(_row_uri(path, row.place), "", row.reason)
                else:
                    yield self._document(path, row)

    def _document(self, path: Path, row: Row) -> Document | DeadLetter:
        values, doc_id = row.values, _shown(row.values.get(self._id))
        if not doc_id:
            return _dead(_row_uri(path, row.place), "", f"{row.place} has no {self._id!r}")
        # Quoted, the first "#" of the URI is the one that ends the file's name.
        uri = f"{file_uri(path)}#{quote(doc_id)}"
        missing = [name for name in self._fields if name not in values]
        if missing:
            return _dead(uri, doc_id, f"{row.place} has no {missing[0]!r}")
        text = _FIELD.sub(lambda field: _shown(values[field[1]]), self._template)
        metadata = _metadata(values, {self._id, *self._fields})
        return Document(doc_id, uri, ids.digest(text, metadata), text, metadata)


def _check_columns(path: Path, needed: Iterable[str]) -> None:
    columns = columns_of(path)
    if columns is None:
        return
    for name in needed:
        if name not in columns:
            raise InputError(
                f"{path} has no column {name!r}; its columns are {', '.join(map(repr, columns))}"
            )
        if columns.count(name) > 1:
            raise InputError(f"{path} has more than one column {name!r}; give each its own name")


def _dead(uri: str, doc_id: str, reason: str) -> DeadLetter:
    return DeadLetter(doc_id, uri, "list", reason)


def _row_uri(path: Path, place: str) -> str:
    return f"{file_uri(path)}#{place.replace(' ', '=')}"


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def _metadata(values: Mapping[str, Any], used: set[str]) -> str:
    """The row's other scalar columns as JSON; lists, such as vectors, are left out."""
    rest = {
        name: value
        for name, value in values.items()
        if name not in used and not isinstance(value, list | dict | bytes)
    }
    return orjson.dumps(rest, option=orjson.OPT_SORT_KEYS, default=str).decode()
