"""SQL over a store: read-only, one SELECT, and no way to files, network or settings."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from threading import Timer
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from pipeline.errors import InputError
from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.store.log import Log, published_tables
from pipeline.store.table import open_version

_LOCKDOWN: dict[str, str | bool | int | float | list[str]] = {
    "python_enable_replacements": "false",
    "enable_external_access": "false",
    "allow_community_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",
    "memory_limit": "2GB",
    "lock_configuration": "true",
}
_SECONDS = 120
_BATCH = 1000  # rows

_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest"})
_FORBIDDEN = re.compile(
    r"^(?:current_setting|getenv|getvariable|pg_|duckdb_|pragma_|read_|in_search_path)", re.I
)
_VERSIONED = re.compile(r"^(?P<table>.+)@(?P<version>\d+)$")

_RUNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("kind", pa.string()),
        ("table", pa.string()),
        ("state", pa.string()),
        ("started_at", pa.string()),
        ("ended_at", pa.string()),
        ("version", pa.int64()),
        ("published", pa.bool_()),
        ("texts", pa.int64()),
        ("tokens", pa.int64()),
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
    ]
)

SYSTEM_VIEWS = ("runs", "dead_letters", "versions")


def query(store: Objects, sql: str) -> Iterator[dict[str, Any]]:
    """Run one SELECT; gives its rows.

    Each table is a view under its name, its version n under "name@n"; beside them stand runs,
    dead_letters and versions. Raises InputError for anything but one SELECT over these.
    """
    with duckdb.connect(config=_LOCKDOWN) as db:
        for name in _tables_named(db, sql):
            db.register(name, _view(store, name))
        watch = Timer(_SECONDS, db.interrupt)
        watch.start()
        try:
            for batch in db.sql(sql).to_arrow_reader(_BATCH):
                yield from batch.to_pylist()
        except duckdb.InterruptException:
            raise InputError(
                f"the query took longer than {_SECONDS} s and was stopped; ask for less"
            ) from None
        except (duckdb.Error, pa.ArrowException, AttributeError) as error:
            raise InputError(f"the query failed: {error}") from error
        finally:
            watch.cancel()


def _tables_named(db: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """The tables that a query reads; raises InputError where it does more than read them."""
    try:
        serialised = db.execute("select json_serialize_sql(?)", [sql]).fetchall()
    except duckdb.Error as error:
        raise InputError(f"the query cannot be read: {error}") from error
    tree = orjson.loads(serialised[0][0])
    if tree["error"]:
        if tree.get("error_type") == "parser":
            raise InputError(f"the query cannot be read: {tree['error_message']}")
        raise InputError("only a SELECT can be run: vecmill sql reads, it changes nothing")
    if len(tree["statements"]) != 1:
        raise InputError(f"one SELECT at a time, not {len(tree['statements'])} statements")
    named, defined = set[str](), set[str]()
    for node in _nodes(tree):
        if node.get("type") == "BASE_TABLE":
            named.add(".".join(node["qualified_name"]["path"]))
        elif node.get("type") == "SHOW_REF" and node.get("table_name"):
            raise InputError("SHOW and DESCRIBE of a name are not supported; use DESCRIBE (SELECT …)")
        elif "cte_map" in node:
            defined |= {entry["key"] for entry in node["cte_map"]["map"]}
        _check_function(node)
    return named - defined


def _check_function(node: dict[str, Any]) -> None:
    if (
        node.get("type") == "TABLE_FUNCTION"
        and node["function"]["function_name"].lower() not in _TABLE_FUNCTIONS
    ):
        raise InputError(f"the table function {node['function']['function_name']} is not allowed here")
    if _FORBIDDEN.match(str(node.get("function_name", ""))):
        raise InputError(f"the function {node['function_name']} is not allowed here")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _view(store: Objects, name: str) -> Any:
    if name == "runs":
        return pa.Table.from_pylist([_flat(run) for run in Ledger(store).runs()], schema=_RUNS)
    if name == "dead_letters":
        return pa.Table.from_pylist(Ledger(store).dead_letters(), schema=_DEAD_LETTERS)
    tables = published_tables(store)
    if name == "versions":
        return pa.Table.from_pylist(
            [row for table in tables for row in versions(store, table)], schema=_VERSIONS
        )
    versioned = _VERSIONED.match(name)
    table, version = (versioned["table"], int(versioned["version"])) if versioned else (name, None)
    if table not in tables:
        known = ", ".join([*tables, *SYSTEM_VIEWS])
        raise InputError(f'there is no table {name!r} to query; there are {known} (a version: "name@3")')
    return open_version(store, table, Log(store, table).at(version))


def versions(store: Objects, table: str) -> list[dict[str, Any]]:
    """The versions of a table, newest first."""
    rows = []
    for entry in Log(store, table).entries():
        space, splitter = entry.specs()
        names = {"table": table, "space": space.name, "splitter": splitter.name}
        rows.append({**asdict(entry), **names})
    return rows


def _flat(run: dict[str, Any]) -> dict[str, Any]:
    report = run["report"] or {}
    embedding = report.get("embedding", {})
    return {**report, **run, "texts": embedding.get("texts"), "tokens": embedding.get("tokens")}
