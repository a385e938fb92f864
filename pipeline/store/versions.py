"""Which versions a table has, and how one is found. No data is opened: Lance takes long to import."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.store.log import Entry, Log, under_way
from pipeline.store.names import LIVE, NEXT, Names

_GENERATION = re.compile(r"[0-9]+-[0-9a-f]{8}")

At = int | str | None
"""A version, as people say it: by number, by name or by time; None or "live" is the live one.

"next", or a generation's name, is the generation that is filled beside the live one, as far as it has come.
"""


def entry_at(objects: Objects, table: str, at: At) -> Entry:
    """The version that is meant; raises InputError where there is none.

    A time is ISO 8601, of the local time zone unless it names another; a day is its first moment.
    """
    log = Log(objects, table)
    if at is None or isinstance(at, int) or (at.isascii() and at.isdigit()):
        return log.at(None if at is None else int(at))
    if at == LIVE:
        return log.live()
    log.live()  # a table that is not there has no names either, and is to be said
    if at == NEXT or _GENERATION.fullmatch(at):
        return generation_beside(objects, table, None if at == NEXT else at).live()
    names = Names(objects, table)
    version = names.find(at)
    if version is not None:
        return log.at(version)
    try:
        moment = datetime.fromisoformat(at).astimezone()
    except (ValueError, OverflowError):
        raise InputError(
            f"table {table!r} has no version {at!r}: write a number, a name, "
            f"or a time such as 2026-11-26T10:00{names.told()}"
        ) from None
    return log.at_time(moment)


def generation_beside(objects: Objects, table: str, name: str | None = None) -> Log:
    """The log of a generation that is filled beside the live one; by name where there is more than one.

    Raises InputError where there is none, or where it cannot be told which one is meant.
    """
    found = under_way(objects, table)
    names = ", ".join(str(log.generation) for log in found)
    if not found:
        raise InputError(
            f"no generation of table {table!r} is under way beside the live one; vecmill backfill begins one"
        )
    meant = [log for log in found if name in (None, log.generation)]
    if not meant:
        raise InputError(f"table {table!r} has no generation {name} under way; it has {names}")
    if len(meant) > 1:
        raise InputError(f"table {table!r} has more than one generation under way; say which: {names}")
    return meant[0]


def versions(objects: Objects, table: str) -> Iterator[dict[str, Any]]:
    """The versions of a table, newest first: what their entries say, and their names."""
    called = dict[int, list[str]]()
    for name, version in sorted(Names(objects, table).all().items()):
        called.setdefault(version, []).append(name)
    made = dict[str, tuple[str, str]]()  # a generation has one space and one splitter
    for entry in Log(objects, table).newest():
        if entry.generation not in made:
            space, splitter = entry.specs()
            made[entry.generation] = space.name, splitter.name
        space_name, splitter_name = made[entry.generation]
        yield {
            "table": table,
            "version": entry.version,
            "kind": entry.kind,
            "generation": entry.generation,
            "published_at": entry.published_at,
            "run_id": entry.run_id,
            "chunks": entry.chunks,
            "space": space_name,
            "splitter": splitter_name,
            "names": called.get(entry.version, []),
            "counts": entry.counts,
        }
