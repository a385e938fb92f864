"""Evaluation as a person, a schedule or a gate asks for it: opened, recorded in the ledger, and judged."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infra.comparing import reach
from infra.config import Config
from infra.drifting import drifted
from infra.evaluate_form import EvaluateConfig
from pipeline import ids
from pipeline.analysis.labelled import Labelled
from pipeline.analysis.pairs import Pairs
from pipeline.errors import GateFailed, InputError
from pipeline.evaluation import Row, Wanted, check, evaluate, evaluate_pairs
from pipeline.job import Job, SourceSpec
from pipeline.ledger import Ledger
from pipeline.objects import Objects, resolved
from pipeline.search.find import Searcher
from pipeline.store.versions import entry_at


def evaluated(
    form: EvaluateConfig, config: Config, told: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Evaluate, and record it as a run; gives what was found, as JSON.

    Raises GateFailed where the table is not as good as the form asks for, or has drifted; after all is
    recorded, and `told` who asks for it.
    """
    store = Objects(config.store.uri)
    wanted = Wanted(form.modes, form.dimensions, form.top_k, form.at_least)
    labelled = Labelled.read(Path(form.queries), Path(form.qrels)) if form.queries and form.qrels else None
    pairs = Pairs.read(Path(form.pairs)) if form.pairs else None
    searchers = [_opened(config, store, named) for named in (form.table, *form.against)]
    job = _job(form, config, searchers[0])
    with Ledger(store).recorded(job, "evaluate") as report:
        rows = evaluate(searchers, labelled, wanted) if labelled else []
        found: dict[str, Any] = {
            "run_id": job.run_id,
            "table": job.table,
            "version": searchers[0].entry.version,
        }
        found |= _told(rows, form)
        if pairs:
            found["pairs"] = evaluate_pairs(searchers, pairs, form.threshold)
        if form.drift:
            found["drift"] = drifted(store, job.table, searchers[0].entry, form.drift)
        report(found)
        if told:
            told(found)
        if rows:
            check(rows, wanted)
        if form.drift and found["drift"]["alarm"]:
            raise GateFailed(f"table {job.table!r} has drifted: {'; '.join(found['drift']['reasons'])}")
    return found


def _told(rows: Sequence[Row], form: EvaluateConfig) -> dict[str, Any]:
    """The table's own modes, and beside them all that was compared."""
    if not rows:
        return {"modes": {}}
    own = [row for row in rows if (row.table, row.version) == (rows[0].table, rows[0].version)]
    whole = max(row.dimensions for row in own)
    told: dict[str, Any] = {
        "queries": rows[0].queries,
        "absent": rows[0].absent,
        "modes": {row.mode: row.record() for row in own if row.dimensions == whole},
    }
    if form.against or form.dimensions:
        told["compared"] = [row.named() for row in rows]
    return told


def _opened(config: Config, store: Objects, named: str) -> Searcher:
    table, _, at = named.partition("@")
    if not table:
        raise InputError(f"{named!r} is no table; write docs, or docs@3 for a version of it")
    entry = entry_at(store, table, at or None)
    reached = reach(config, store, table, entry)
    return Searcher(store, table, endpoint=reached.endpoint, space=reached.space, at=entry.version)


def _job(form: EvaluateConfig, config: Config, searcher: Searcher) -> Job:
    """What the ledger says of who evaluated what."""
    space, splitter = searcher.entry.specs()
    asked = form.queries or form.pairs
    source = SourceSpec("queries", resolved(asked)) if asked else SourceSpec("table", searcher.table)
    return Job(ids.new_run_id(), resolved(config.store.uri), searcher.table, source, splitter, space)
