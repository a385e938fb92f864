"""Conditions in SQL: which rows of a version they let through."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.objects import store_errors
from pipeline.sandbox import check_function, locked, parsed

Rows = npt.NDArray[np.uint64]
"""Where rows of a Lance dataset lie: a fragment's number in the upper half, the row's in the lower."""

_SECONDS = 60
_PARTS = ("group_expressions", "having", "qualify", "modifiers", "sample")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def rows_where(dataset: Any, where: str) -> Rows:
    """The rows, in order, for which a condition holds; it is DuckDB's SQL over the dataset's columns.

    Metadata is JSON: metadata->>'lang' = 'ja'. Raises InputError for what is no condition over one row, for
    what reaches further than the row, and for what takes longer than a minute.
    """
    try:
        return _rows(dataset, where)
    except InputError as error:
        raise InputError(f"--where {where!r} cannot be used: {error}") from error


def _rows(dataset: Any, where: str) -> Rows:
    if _LONE_SURROGATE.search(where):
        raise InputError("it is not UTF-8")
    # On lines of its own, or a comment at its end would swallow the bracket.
    condition = f"(\n{where}\n)"
    with locked(_SECONDS, "it") as db:
        columns = _columns(parsed(db, f"select 1 from t where {condition}"), dataset.schema.names)  # noqa: S608
        with store_errors(dataset.uri):
            reader = dataset.scanner(columns=columns, with_row_address=True).to_reader()
            db.register("t", reader)
            _check_boolean(db, condition)
            found = db.execute(f"select _rowaddr from t where {condition}").fetchnumpy()["_rowaddr"]  # noqa: S608
    rows: Rows = np.sort(np.asarray(found, np.uint64))
    return rows


def _check_boolean(db: Any, condition: str) -> None:
    """Raise InputError where a condition is a text or a number, which DuckDB would make a truth of."""
    [described] = db.execute(f"describe select {condition} as held from t").fetchall()  # noqa: S608
    if described[1] != "BOOLEAN":
        raise InputError(f"it is a {described[1]}, and neither true nor false")


def _columns(tree: Any, known: list[str]) -> list[str]:
    """The columns that a condition reads; raises InputError where it is more than a condition."""
    node = tree["statements"][0]["node"]
    if node["type"] != "SELECT_NODE" or any(node.get(part) for part in _PARTS) or node["group_sets"]:
        raise InputError("it is more than a condition")
    named = set[str]()
    waiting: list[Any] = [node["where_clause"]]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            check_function(part)
            if part.get("class") == "SUBQUERY":
                raise InputError("it may not ask a query of its own")
            if part.get("class") == "COLUMN_REF":
                named.add(part["column_names"][0].lower())
            waiting += part.values()
    return [name for name in known if name.lower() in named]
