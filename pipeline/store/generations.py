"""Generations beside the live one: how one begins, becomes live, and is thrown away."""

from dataclasses import asdict, replace
from datetime import UTC, datetime

from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.log import Entry, Log, beside, under_way
from pipeline.store.table import EMPTY, ensure_generation, generation_files, generation_name, tag_live


def generation_for(objects: Objects, table: str, space: Space, splitter: SplitterSpec) -> str:
    """What the generation of a space and a splitter is called: the one under way, or one still to begin.

    Raises InputError where the live one is of both already.
    """
    log = Log(objects, table)
    if log.live().specs() == (space, splitter):
        raise InputError(
            f"table {table!r} is of the embedding space {space.name} and the splitter {splitter.name} "
            "already; name another with --embedding or --splitter"
        )
    for other in under_way(objects, table):
        if other.live().specs() == (space, splitter):
            return str(other.generation)
    # A number is never used again, though its generation is gone: old entries of the log name it.
    names = {entry.generation for entry in log.entries()} | set(objects.folders(beside(table)))
    return generation_name(max(int(name.partition("-")[0]) for name in names) + 1, space, splitter)


def begin(
    objects: Objects, table: str, generation: str, space: Space, splitter: SplitterSpec, run_id: str
) -> Log:
    """The log of a generation beside the live one, which is begun, empty, where it is not there yet."""
    log = Log(objects, table, generation)
    if log.last() is None:
        live = Log(objects, table).live()
        ensure_generation(objects, table, generation, space, splitter)
        log.append(
            Entry(
                version=1,
                kind="backfill",
                generation=generation,
                lance_version=EMPTY,
                run_id=run_id,
                published_at=_now(),
                chunks=0,
                space=asdict(space),
                splitter=asdict(splitter),
                counts={"of": live.version},
            )
        )
    return log


def switch(objects: Objects, filled: Log, base: Entry, run_id: str) -> Entry | None:
    """Make a generation live, by one entry; None where `base` is not the live version any more.

    The caller, whose run it is, has seen that it holds what `base` holds.
    """
    log, entry = Log(objects, filled.table), filled.live()
    made = replace(
        entry,
        version=base.version + 1,
        kind="switch",
        run_id=run_id,
        published_at=_now(),
        counts={"from": base.generation},
    )
    if not log.append(made):
        return None
    tag_live(objects, log)
    _forget(objects, filled)
    return made


def drop(objects: Objects, filled: Log) -> int:
    """Throw away a generation that is not live; gives its bytes. What it has paid for stays in the cache."""
    _forget(objects, filled)
    lost = generation_files(objects, filled.table, str(filled.generation))
    objects.delete_all(list(lost))
    return sum(lost.values())


def size(objects: Objects, table: str, generation: str) -> int:
    """The bytes of a generation, with all versions of it that are kept."""
    return sum(one.size for one in objects.listed(f"tables/{table}/{generation}.lance"))


def _forget(objects: Objects, filled: Log) -> None:
    """Remove the log beside; its first entry last, since that tells what the others are of."""
    for number in reversed(filled.numbers()):
        objects.delete(f"{beside(filled.table)}/{filled.generation}/{number}.json")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
