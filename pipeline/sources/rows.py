"""Rows of CSV, JSON lines and Parquet as documents."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from pipeline import ids
from pipeline.errors import InputError, UsageError
from pipeline.model import DeadLetter, Document, Listed, SourceSpec
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
        self._fields = tuple(dict.fromkeys(_FIELD.findall(self._template)))
        self._paths = Paths.parse(spec.uri, (spec.glob,) if spec.glob else _KINDS)

    def list(self) -> Iterator[Listed | DeadLetter]:
        """List the rows; a hash of what is taken from a row is its token."""
        seen: set[str] = set()
        for document in self._documents():
            if isinstance(document, Document):
                if document.doc_id in seen:
                    yield self._dead(
                        document.uri, document.doc_id, f"the id {document.doc_id!r} occurs twice"
                    )
                    continue
                seen.add(document.doc_id)
                yield Listed(document.doc_id, document.uri, document.token)
            else:
                yield document
        if not seen:
            raise InputError(f"{self._spec.uri} holds no rows that can be read; nothing was changed")

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
        return "#" in uri and self._paths.covers(uri.rpartition("#")[0])

    def _documents(self) -> Iterator[Document | DeadLetter]:
        files = [path for _, path in self._paths.find()]
        if not files:
            raise InputError(f"{self._spec.uri} holds no files of rows ({', '.join(self._paths.patterns)})")
        for path in files:
            self._check_columns(path)
            for row in read_rows(path, self._fields):
                if isinstance(row, BadRow):
                    yield self._dead(f"{file_uri(path)}#row={row.number}", "", row.reason)
                else:
                    yield self._document(path, row)

    def _check_columns(self, path: Path) -> None:
        columns = columns_of(path)
        missing = [name for name in (self._id, *self._fields) if columns is not None and name not in columns]
        if missing and columns is not None:
            raise InputError(
                f"{path} has no column {missing[0]!r}; its columns are {', '.join(map(repr, columns))}"
            )

    def _document(self, path: Path, row: Row) -> Document | DeadLetter:
        values = row.values
        place = f"{file_uri(path)}#"
        if values.get(self._id) in (None, ""):
            return self._dead(f"{place}row={row.number}", "", f"row {row.number} has no {self._id!r}")
        missing = [name for name in self._fields if name not in values]
        doc_id = str(values[self._id])
        if missing:
            return self._dead(place + doc_id, doc_id, f"row {row.number} has no {missing[0]!r}")
        text = _FIELD.sub(lambda field: _shown(values[field[1]]), self._template)
        metadata = _metadata(values, {self._id, *self._fields})
        return Document(doc_id, place + doc_id, ids.digest(text, metadata), text, metadata)

    def _dead(self, place: str, doc_id: str, reason: str) -> DeadLetter:
        return DeadLetter(doc_id, place, "list", reason)


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def _metadata(values: Mapping[str, Any], used: set[str]) -> str:
    """The row's other scalar columns as JSON; lists, such as vectors, are left out."""
    rest = {
        name: value
        for name, value in values.items()
        if name not in used and (value is None or isinstance(value, str | int | float | bool))
    }
    return orjson.dumps(rest, option=orjson.OPT_SORT_KEYS).decode()
