"""A DuckDB for other people's SQL: it reaches no files, network, extensions or settings, and ends in time."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Timer
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from pipeline.errors import InputError

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
_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest"})
_FORBIDDEN = re.compile(
    r"^(?:current_setting|getenv|getvariable|pg_|duckdb_|pragma_|read_|in_search_path)", re.I
)

ONLY_SELECT = "only a SELECT can be run: it reads, and changes nothing"


# Quoted, since an annotation that holds the class outlives DuckDB's module, which then complains at exit.
@contextmanager
def locked(seconds: float, what: str) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A connection for what somebody else wrote, stopped after so many seconds.

    Raises InputError where that cannot be run, in words that begin with `what` it is.
    """
    late = Event()
    with duckdb.connect(config=_LOCKDOWN) as db:

        def stop() -> None:
            late.set()
            db.interrupt()

        watch = Timer(seconds, stop)
        watch.daemon = True
        watch.start()
        try:
            yield db
        except (duckdb.Error, pa.ArrowException, OSError, UnicodeError) as error:
            if late.is_set():
                raise InputError(
                    f"{what} took longer than {seconds:g} s and was stopped; ask for less"
                ) from None
            raise InputError(f"{what} failed: {error}") from error
        finally:
            watch.cancel()


def parsed(db: "duckdb.DuckDBPyConnection", sql: str) -> Any:
    """The syntax tree of one SELECT; raises InputError for anything else."""
    try:
        serialised = db.execute("select json_serialize_sql(?)", [sql]).fetchall()
    except duckdb.Error as error:
        raise InputError(f"the query cannot be read: {error}") from error
    tree = orjson.loads(serialised[0][0])
    if tree["error"]:
        if tree.get("error_type") == "parser":
            raise InputError(f"the query cannot be read: {tree['error_message']}")
        raise InputError(ONLY_SELECT)
    if len(tree["statements"]) != 1:
        raise InputError(f"one SELECT at a time, not {len(tree['statements'])} statements")
    return tree


def check_function(node: dict[str, Any]) -> None:
    """Raise InputError where a node of a syntax tree calls what reaches further than the data."""
    if (
        node.get("type") == "TABLE_FUNCTION"
        and node["function"]["function_name"].lower() not in _TABLE_FUNCTIONS
    ):
        raise InputError(f"the table function {node['function']['function_name']} is not allowed here")
    if _FORBIDDEN.match(str(node.get("function_name", ""))):
        raise InputError(f"the function {node['function_name']} is not allowed here")
