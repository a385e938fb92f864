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

# What makes a value as large as it is told to.
_SERIES = frozenset({"range", "generate_series"})
_FORMATS = frozenset({"format", "printf"})
_GROWING = _SERIES | _FORMATS | {"repeat", "lpad", "rpad", "list_resize", "array_resize"}
_LONGEST = 1000  # characters, or elements
_WIDE = re.compile(r"[0-9]{4}|\*|\{[^}]*\{")

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
    """Raise InputError where a node of a syntax tree calls what reaches further than the data.

    So does what makes something large out of nothing: DuckDB neither counts the memory of such a value, nor
    stops while it makes it. A node is looked at before those in it.
    """
    if node.get("type") == "TABLE_FUNCTION":
        if node["function"]["function_name"].lower() not in _TABLE_FUNCTIONS:
            raise InputError(f"the table function {node['function']['function_name']} is not allowed here")
        node["function"]["gives_rows"] = True
    name = str(node.get("function_name", ""))
    if _FORBIDDEN.match(name):
        raise InputError(f"the function {name} is not allowed here")
    if name.lower() in _GROWING and not node.get("gives_rows"):
        _check_size(name, [one["expression"] for one in node.get("arguments", ())])


def _check_size(name: str, arguments: list[dict[str, Any]]) -> None:
    """Raise InputError where a value can be larger than what is written."""
    kind = name.lower()
    if any(_grows(one) for one in arguments):
        raise InputError(f"the function {name} is not allowed over another that makes values larger")
    if kind in _FORMATS:
        pattern = _constant(arguments[0]) if arguments else None
        if pattern is None or _WIDE.search(pattern):
            raise InputError(f"the function {name} is allowed here with a constant format, of up to 999 wide")
        return
    counts = arguments if kind in _SERIES else arguments[1:2]
    for count in counts:
        text = _constant(count)
        if text is None or not text.isdecimal() or int(text) > _LONGEST:
            table = f"; as rows, from {name}(…) has no bound" if kind in _SERIES else ""
            raise InputError(f"the function {name} is allowed here with constants up to {_LONGEST:,}{table}")


def _grows(tree: Any) -> bool:
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if str(part.get("function_name", "")).lower() in _GROWING:
                return True
            waiting += part.values()
    return False


def _constant(expression: dict[str, Any]) -> str | None:
    """A constant as it is written; None for any other expression."""
    literal = expression.get("literal") if expression.get("class") == "CONSTANT" else None
    return None if literal is None else str(literal.get("text"))
