"""What can be done with a table's past: go back to a version, or give it a name."""

from dataclasses import replace
from datetime import UTC, datetime

from pipeline import ids
from pipeline.objects import Objects
from pipeline.store.log import Entry, Log
from pipeline.store.names import Names
from pipeline.store.table import open_version, tag_live
from pipeline.store.versions import At, entry_at


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


def name_version(objects: Objects, table: str, at: At, name: str, *, move: bool = False) -> int:
    """Name a version that can still be read, as `Names.give` does; gives its number.

    Raises InputError where there is no such version, StoreRefused where its data is gone.
    """
    entry = entry_at(objects, table, at)
    open_version(objects, table, entry)
    Names(objects, table).give(entry.version, name, move=move)
    return entry.version
