"""A table's past: what each version was, and the way back to one."""

from dataclasses import replace
from datetime import UTC, datetime

from pipeline import ids
from pipeline.objects import Objects
from pipeline.store.log import Entry, Log
from pipeline.store.table import open_version, tag_live


def rollback(objects: Objects, table: str, version: int) -> Entry:
    """Make an old version's content the newest version; history only grows.

    Gives the new entry, or the live one where its content is the one asked for. Raises InputError
    where there is no such version, StoreRefused where its data is gone.
    """
    log = Log(objects, table)
    target = log.at(version)
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
            counts={"to": version},
        )
        if log.append(entry):
            tag_live(objects, log)
            return entry
