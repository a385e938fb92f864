"""Gives a table the index that somebody wishes, as a version of its own, and keeps it current."""

from dataclasses import asdict
from typing import Any

from pipeline.errors import StoreRefused
from pipeline.objects import Objects
from pipeline.ports import Vectors
from pipeline.search.index import Index, Indexes, Wish, build, is_indexed, measure
from pipeline.search.sketches import Kept, Plan
from pipeline.search.sketching import make_sketches
from pipeline.store.compaction import rewrite
from pipeline.store.log import Entry, Log
from pipeline.store.table import open_version

_TRIES = 10
_CHANGED = 0.2  # of the rows: what was measured before then says too little
_GROWN = 4  # times as many rows: its partitions have become too large


def index_table(
    objects: Objects,
    table: str,
    wish: Wish,
    *,
    sketches: bool = False,
    asked: Vectors | None = None,
    generation: str | None = None,
) -> dict[str, Any]:
    """Index a table's live version; gives what was built, and what it was measured to find, as JSON.

    `generation` is one that is filled beside the live one, to be indexed in its place. `asked`[n, d] are
    questions to measure with, in place of the table's own vectors. Raises StoreRefused where other runs keep
    publishing meanwhile.
    """
    log = Log(objects, table, generation)
    for _ in range(_TRIES):
        live = log.live()
        made = _indexed(objects, log, live, wish, asked)
        if made is not None:
            index, version = made
            plan = None
            if sketches:
                dataset = open_version(objects, table, log.at(version))
                plan = make_sketches(dataset, Kept(objects, table, live.generation), wish, asked)
            return told(table, version, index, plan)
    raise StoreRefused(f"other runs publish to table {table!r} without end; run the command again")


def keep_current(
    objects: Objects, table: str, *, dry_run: bool = False, generation: str | None = None
) -> dict[str, Any] | None:
    """Bring a table's index and sketches up to its rows; None where they are.

    A table that has become large gets an index, unless somebody has wished for none. `generation` is one
    that is filled beside the live one, to be looked after in its place.
    """
    log = Log(objects, table, generation)
    live = log.live()
    if not live.chunks:
        return None
    kept, known = Kept(objects, table, live.generation), Indexes(objects, table).of(live.generation)
    dataset, plan = open_version(objects, table, live), kept.plan()
    wish = known.wish if known else Wish()
    kind = wish.chosen(live.chunks, live.specs()[0].dimensions)
    anew = _needs_build(dataset, kind, known, live.chunks)
    again = not anew and known is not None and _strayed(known.rows, live.chunks) and kind != "none"
    sketch_anew = plan is not None and _strayed(plan.rows, live.chunks)
    lacking = plan is not None and kept.lacking(dataset) > 0
    if not (anew or again or sketch_anew or lacking):
        return None
    if dry_run:
        return {"kind": kind, "built": anew, "measured": again, "sketched": sketch_anew or lacking}
    if again and known is not None:
        measured = measure(dataset, kind, wish, known.seconds)
        anew = measured.measured[-1].recall < wish.recall
        Indexes(objects, table).keep(live.generation, measured)
    if anew:
        index_table(objects, table, wish, generation=generation)
    if plan is not None:
        _sketch(objects, log, kept, plan, wish, anew=sketch_anew)
    return {"kind": kind, "built": anew, "measured": again, "sketched": sketch_anew or lacking}


def told(table: str, version: int, index: Index, plan: Plan | None) -> dict[str, Any]:
    """What there is, as JSON."""
    effort = index.effort()
    ladder = next((one for one in plan.ladders if one.wanted >= index.wish.recall), None) if plan else None
    return {
        "table": table,
        "version": version,
        "kind": index.kind,
        "wanted": index.wish.recall,
        "top_k": index.wish.top_k,
        "recall": effort.recall if effort else 1.0,
        "probes": effort.probes if effort else None,
        "refine": effort.refine if effort else None,
        "rows": index.rows,
        "questions": index.questions,
        "seconds": round(index.seconds, 1),
        "measured": [asdict(one) for one in index.measured],
        "funnel": asdict(ladder) if ladder else None,
    }


def _indexed(
    objects: Objects, log: Log, live: Entry, wish: Wish, asked: Vectors | None
) -> tuple[Index, int] | None:
    """Index on top of the live version; None where another commit came in between."""
    dataset = open_version(objects, log.table, live)
    kind = wish.chosen(live.chunks, live.specs()[0].dimensions)
    if not live.chunks or (kind == "none" and not is_indexed(dataset)):
        index, version = Index("none", wish, live.chunks, 0, 0.0), live.version
    else:
        made: list[Index] = []

        def change(base: Any) -> None:
            seconds = build(base, kind)
            made.append(measure(base, kind, wish, seconds, asked))

        entry = rewrite(objects, log, live, "index", change)
        if entry is None:
            return None
        index, version = made[-1], entry.version
    Indexes(objects, log.table).keep(live.generation, index)
    return index, version


def _needs_build(dataset: Any, kind: str, known: Index | None, rows: int) -> bool:
    if kind == "none":
        return known is not None and known.kind != "none" and is_indexed(dataset)
    return known is None or known.kind != kind or not is_indexed(dataset) or rows > _GROWN * known.rows


def _strayed(before: int, now: int) -> bool:
    return abs(now - before) > _CHANGED * before


def index_alike(objects: Objects, live: Entry, filled: Log) -> None:
    """Give a generation that is filled beside the live one what that has: an index, and sketches.

    One that is large gets an index anyway, unless somebody has wished for none.
    """
    table, generation, indexes = filled.table, filled.live().generation, Indexes(objects, filled.table)
    known = indexes.of(live.generation)
    if known is None or indexes.of(generation) is not None or not filled.live().chunks:
        keep_current(objects, table, generation=generation)
        return
    sketches = Kept(objects, table, live.generation).plan() is not None
    index_table(objects, table, known.wish, sketches=sketches, generation=generation)


def _sketch(objects: Objects, log: Log, kept: Kept, plan: Plan, wish: Wish, *, anew: bool) -> None:
    dataset = open_version(objects, log.table, log.live())
    if anew:
        make_sketches(dataset, kept, wish)
    else:
        kept.write_missing(dataset, plan.mean_vector())
        kept.remove_but(dataset)
