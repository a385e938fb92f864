"""A table's past: what each version was, how to find one, and the way back to it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipeline import ids
from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.store.log import Entry, Log
from pipeline.store.names import LIVE, Names
from pipeline.store.table import open_version, tag_live

At = int | str | None
"""A version, as people say it: by number, by name or by time; None or "live" is the live one."""


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


def versions(objects: Objects, table: str) -> Iterator[dict[str, Any]]:
    """The versions of a table, newest first: what their entries say, and their names."""
    called = dict[int, list[str]]()
    for name, version in sorted(Names(objects, table).all().items()):
        called.setdefault(version, []).append(name)
    made = dict[str, tuple[str, str]]()  # a generation has one space and one splitter
    for entry in Log(objects, table).entries():
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


def rollback(objects: Objects, table: str, at: At) -> Entry:
    """Make an old version's content the newest version; history only grows.

    Gives the new entry, or the live one where its content is the one asked for. Raises InputError
    where there is no such version, StoreRefused where its data is gone.
    """
    log = Log(objects, table)
    target = entry_at(objects, table, at)
    open_version(objects, table, target)
    while True:
        live = log.live()
        if (live.generation, live.lance_version) == (target.generation, target.lance_version):
            return live
        entry = replace(
            target,
            version=live.version + 1,
            kind="rollback",
            run_id=ids.new_run_id(),
            published_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            counts={"to": target.version},
        )
        if log.append(entry):
            tag_live(objects, log)
            return entry
