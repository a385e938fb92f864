"""SQL over a store: read-only, one SELECT, and no way to files, network or settings."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.errors import InputError
from pipeline.ledger import Ledger
from pipeline.letters import DeadLetters
from pipeline.model import SYSTEM_VIEWS
from pipeline.objects import Objects
from pipeline.sandbox import ONLY_SELECT, check_function, locked, parsed
from pipeline.store.log import published_tables
from pipeline.store.table import open_version
from pipeline.store.versions import entry_at, versions

_SECONDS = 120
_BATCH = 1000  # rows

_QUERIES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_VERSIONED = re.compile(r"^(?P<table>.+)@(?P<at>.+)$")

_RUNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("kind", pa.string()),
        ("pipeline", pa.string()),
        ("table", pa.string()),
        ("state", pa.string()),
        ("started_at", pa.string()),
        ("ended_at", pa.string()),
        ("version", pa.int64()),
        ("published", pa.bool_()),
        ("texts", pa.int64()),
        ("tokens", pa.int64()),
        ("tokens_unanswered", pa.int64()),
        ("requests", pa.int64()),
        ("retries", pa.int64()),
        ("cost_usd", pa.float64()),
        ("error", pa.string()),
    ]
)
_DEAD_LETTERS = pa.schema(
    [
        (name, pa.string())
        for name in (
            "id",
            "run_id",
            "table",
            "doc_id",
            "uri",
            "stage",
            "reason",
            "excerpt",
            "text_hash",
            "at",
            "state",
            "by",
            "why",
            "dismissed_at",
        )
    ]
)
_VERSIONS = pa.schema(
    [
        ("table", pa.string()),
        ("version", pa.int64()),
        ("kind", pa.string()),
        ("generation", pa.string()),
        ("published_at", pa.string()),
        ("run_id", pa.string()),
        ("chunks", pa.int64()),
        ("space", pa.string()),
        ("splitter", pa.string()),
        ("names", pa.list_(pa.string())),
    ]
)


def query(store: Objects, sql: str, *, seconds: float = _SECONDS) -> Iterator[dict[str, Any]]:
    """Run one SELECT; gives its rows.

    Each table is a view under its name, and a version of it, by number, name or time, under "table@3",
    "table@v-2026" or "table@2026-11-26T10:00"; beside them stand runs, dead_letters and versions.
    Raises InputError for anything but one SELECT over these, and for one that takes longer than `seconds`.
    """
    with locked(seconds, "the query") as db:
        for name in _told_apart(_tables_named(db, sql)):
            db.register(name, _view(store, name))
        reader = db.sql(sql).to_arrow_reader(_BATCH)
        names = _distinct(reader.schema.names)
        for batch in reader:
            yield from batch.rename_columns(names).to_pylist()


def _told_apart(names: set[str]) -> set[str]:
    """The names, where they differ by more than case, which SQL does not tell apart."""
    if len({name.casefold() for name in names}) < len(names):
        raise InputError(f"SQL does not tell {', '.join(sorted(names))} apart by case; query them one by one")
    return names


def _distinct(names: list[str]) -> list[str]:
    """Number the columns that share a name, so that a row can be an object with all of them."""
    taken: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in count(1))
        taken.append(name if name not in taken else next(n for n in numbered if n not in (*taken, *names)))
    return taken


def _tables_named(db: "duckdb.DuckDBPyConnection", sql: str) -> set[str]:
    """The tables that a query reads; raises InputError where it does more than read them."""
    internal = db.execute("select view_name from duckdb_views() where schema_name in ('main', 'pg_catalog')")
    built_in = {name for (name,) in internal.fetchall()}
    named = set[str]()
    for node, defined in _nodes(parsed(db, sql)):
        check_function(node)
        kind = str(node.get("type"))
        if kind.endswith("_NODE") and kind not in _QUERIES:
            raise InputError(ONLY_SELECT)  # a WITH clause can hold COPY, INSERT and the like
        if kind == "SHOW_REF" and node.get("table_name"):
            raise InputError("SHOW and DESCRIBE of a name are not supported; use DESCRIBE (SELECT …)")
        if kind == "BASE_TABLE":
            path = node["qualified_name"]["path"]
            if path[-1].lower() in built_in:
                raise InputError(f"{path[-1]} is DuckDB's own, and not allowed here")
            if len(path) > 1 or path[0].lower() not in defined:
                named.add(".".join(path))
    return named


def _nodes(tree: Any) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Every node of a syntax tree, with the names that WITH clauses define where it stands."""
    waiting: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while waiting:
        node, defined = waiting.pop()
        if isinstance(node, list):
            waiting.extend((part, defined) for part in node)
        elif isinstance(node, dict):
            for entry in node.get("cte_map", {}).get("map", ()):
                # A clause sees those before it, and itself only where it is recursive.
                own = defined | {entry["key"].lower()}
                recursive = entry["value"]["query_node"]["type"] == "RECURSIVE_CTE_NODE"
                waiting.append((entry["value"], own if recursive else defined))
                defined = own
            yield node, defined
            waiting.extend((part, defined) for name, part in node.items() if name != "cte_map")


def _view(store: Objects, name: str) -> Any:
    if name == "runs":
        return pa.Table.from_pylist([_flat(run) for run in Ledger(store).runs()], schema=_RUNS)
    if name == "dead_letters":
        return pa.Table.from_pylist(
            [letter.record() for letter in DeadLetters(store).all()], schema=_DEAD_LETTERS
        )
    tables = published_tables(store)
    if name == "versions":
        return pa.Table.from_pylist(
            [row for table in tables for row in versions(store, table)], schema=_VERSIONS
        )
    versioned = _VERSIONED.match(name)
    table, at = versioned.group("table", "at") if versioned else (name, None)
    if table not in tables:
        known = ", ".join([*tables, *SYSTEM_VIEWS])
        raise InputError(f'there is no table {name!r} to query; there are {known} (a version: "table@3")')
    return open_version(store, table, entry_at(store, table, at))


def _flat(run: dict[str, Any]) -> dict[str, Any]:
    return {**(run["report"] or {}), **run, **(run["spent"] or {})}
