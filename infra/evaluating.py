"""Evaluation as a person, a schedule or a gate asks for it: opened, recorded in the ledger, and judged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from infra.comparing import reach
from infra.config import Config
from infra.form import Form
from pipeline import ids
from pipeline.analysis.labelled import Labelled
from pipeline.analysis.pairs import Pairs
from pipeline.errors import InputError
from pipeline.evaluation import Row, Wanted, check, evaluate, evaluate_pairs
from pipeline.job import Job, SourceSpec
from pipeline.ledger import Ledger
from pipeline.objects import Objects, resolved
from pipeline.search.find import Searcher
from pipeline.store.versions import entry_at


class EvaluateConfig(Form):
    """Which tables are asked which questions."""

    table: str = Field(min_length=1, title="Table", description="docs, or a version of it: docs@3")
    queries: str | None = Field(None, title="Questions", description="A file of query_id and text")
    qrels: str | None = Field(
        None, title="What answers them", description="A file of query_id, doc_id and relevance"
    )
    pairs: str | None = Field(
        None, title="Sentence pairs", description="A file of sentence1, sentence2 and score"
    )
    threshold: float | None = Field(
        None, ge=-1, le=1, title="Cosine from which on a pair is alike", description="None: chosen by half"
    )
    against: tuple[str, ...] = Field((), title="Tables or versions to compare with")
    modes: tuple[str, ...] = Field(("vector", "text", "hybrid"), min_length=1, title="Modes")
    dimensions: tuple[int, ...] = Field((), title="Beginnings of the vectors to compare, too")
    top_k: int = Field(10, ge=1, title="Documents of a ranking that count")
    at_least: float | None = Field(
        None, ge=0, le=1, title="nDCG that the table's best mode has to reach", description="Else it fails"
    )

    @model_validator(mode="after")
    def _asks_something(self) -> "EvaluateConfig":
        if (self.queries is None) != (self.qrels is None):
            raise ValueError("`queries` and `qrels` go together: questions, and what answers them")
        if self.queries is None and self.pairs is None:
            raise ValueError("give `queries` and `qrels`, or `pairs` of sentences")
        if self.at_least is not None and self.queries is None:
            raise ValueError("`at_least` is of nDCG, which needs `queries` and `qrels`")
        return self

    def wanted(self) -> Wanted:
        """What is evaluated."""
        return Wanted(self.modes, self.dimensions, self.top_k, self.at_least)


def evaluated(form: EvaluateConfig, config: Config) -> dict[str, Any]:
    """Evaluate, and record it as a run; gives what was found, as JSON.

    Raises GateFailed, after all is recorded, where the table is not as good as the form asks for.
    """
    store = Objects(config.store.uri)
    wanted = form.wanted()
    labelled = Labelled.read(Path(form.queries), Path(form.qrels)) if form.queries and form.qrels else None
    pairs = Pairs.read(Path(form.pairs)) if form.pairs else None
    searchers = [_opened(config, store, named) for named in (form.table, *form.against)]
    job = _job(form, config, searchers[0])
    with Ledger(store).recorded(job, "evaluate") as report:
        rows = evaluate(searchers, labelled, wanted) if labelled else []
        found = {"run_id": job.run_id, "table": job.table, "version": searchers[0].entry.version}
        found |= _told(rows, form)
        if pairs:
            found["pairs"] = evaluate_pairs(searchers, pairs, form.threshold)
        report(found)
        if rows:
            check(rows, wanted)
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
    source = SourceSpec("queries", resolved(str(form.queries or form.pairs)))
    return Job(ids.new_run_id(), resolved(config.store.uri), searcher.table, source, splitter, space)
