"""A backfill: what a table holds, in another space or cut otherwise, beside the live generation.

It goes through the stages of an ingest, whose source is the live version, and whose log is the new
generation's own. Documents are done in parts, each published there: a killed backfill goes on behind the last
one. What is ingested meanwhile is one more part. A switch then makes the new generation live by one entry.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import pyarrow.compute as pc

from pipeline import ids
from pipeline.errors import InputError, StoreRefused
from pipeline.job import PART, Job, Window
from pipeline.letters import DeadLetters
from pipeline.model import ChunkCounts, DocumentCounts
from pipeline.objects import Objects
from pipeline.ports import Advance, EngineFactory, Progress, Runner, run_here, silent
from pipeline.run import Report, embedding_of, plan_only, recorded, rounds
from pipeline.search.indexing import index_alike
from pipeline.spending import Spent
from pipeline.stages.context import log_of
from pipeline.stages.held import HELD, REBUILT
from pipeline.staging import Staging
from pipeline.store.compaction import compact
from pipeline.store.generations import begin, switch
from pipeline.store.log import Entry, Log
from pipeline.store.table import open_version

_PASSES = 20  # over the table: each after the first for what was ingested during the one before
_TOLD = 100  # ids of documents in a report


@dataclass(frozen=True, slots=True)
class Filling:
    """What a backfill did, and how its generation stands."""

    run_id: str
    table: str
    generation: str
    level_with: int  # the version of the table whose documents the generation holds
    partial: bool  # whether it holds only those that a filter has found
    parts: int
    documents: DocumentCounts
    chunks: ChunkCounts
    rebuilt: int  # documents whose sources are gone or have changed: made of the table's chunks
    rebuilt_ids: Sequence[str]  # the first of them
    embedding: dict[str, Any]
    cost_usd: float | None
    seconds: dict[str, float]

    def record(self) -> dict[str, Any]:
        """The report as JSON; nothing of it is published yet, so the version is still the one before."""
        return {**asdict(self), "version": self.level_with, "published": False}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Filling":
        """The report of a record, which can hold more."""
        values = {one.name: record[one.name] for one in fields(cls)}
        documents, chunks = DocumentCounts(**values["documents"]), ChunkCounts(**values["chunks"])
        return cls(**{**values, "documents": documents, "chunks": chunks})


def backfill(
    job: Job,
    engines: EngineFactory,
    runner: Runner = run_here,
    progress: Progress = silent,
    clock: Callable[[], float] = time.monotonic,
    *,
    part: int = PART,
) -> Filling:
    """Fill a job's generation with what its table holds, or bring it level with that.

    Readers of the table see nothing of it. Raises a VecmillError by what went wrong, OverBudget before
    anything is paid; whatever was paid for is in the cache, and the same job goes on from there.
    """
    store, spent = Objects(job.store), Spent.of(job, clock)
    if job.generation is None:
        raise InputError("a backfill fills a generation, and the job names none")
    with recorded(job, store, spent) as record:
        if spent.bill.allowed is not None:
            spent.bill.check(runner(plan_only, job, progress))
        if log_of(store, job).generation:
            begin(store, job.table, job.generation, job.space, job.splitter, job.run_id)
        filler = _Filler(job, store, engines, runner, progress, spent)
        filling = filler.fill(part)
        record(filling.record())
    return filling


def switch_to(store: Objects, filling: Filling) -> Entry | None:
    """Make a filled generation the live version, its indexes up to date.

    None where the version that it is level with is not the live one any more: the backfill has to be run
    again first. Raises InputError where it holds only a part of the table.
    """
    if filling.partial:
        raise InputError(
            f"generation {filling.generation} holds a part of table {filling.table!r} only, which cannot "
            "become the table; run the backfill without --where first"
        )
    filled = Log(store, filling.table, filling.generation)
    base = Log(store, filling.table).at(filling.level_with)
    compact(store, filled)
    index_alike(store, base, filled)
    entry = switch(store, filled, base, filling.run_id)
    if entry is not None:
        DeadLetters(store).adopt(filling.table, entry.generation)
    return entry


def brought_live(
    job: Job,
    filling: Filling,
    engines: EngineFactory,
    runner: Runner = run_here,
    progress: Progress = silent,
) -> tuple[Filling, Entry]:
    """Switch to a filled generation; what is ingested in the meantime is taken along.

    Gives the backfill that was level at last, and the new live version. Raises as `backfill` and `switch_to`.
    """
    store = Objects(job.store)
    for _ in range(_PASSES):
        entry: Entry | None = runner(switch_to, store, filling)
        if entry is not None:
            return filling, entry
        filling = backfill(replace(job, run_id=ids.new_run_id()), engines, runner, progress)
    raise StoreRefused(
        f"table {job.table!r} got a new version before each of {_PASSES} switches; run the same command again"
    )


@dataclass(slots=True)
class _Filler:
    """Fills a generation part by part, and adds up what that comes to."""

    job: Job
    store: Objects
    engines: EngineFactory
    runner: Runner
    progress: Progress
    spent: Spent
    parts: int = 0
    new: int = 0
    changed: int = 0
    deleted: int = 0
    listed: int = 0
    inserted: int = 0
    dropped: int = 0
    hits: int = 0
    rebuilt: dict[str, None] = field(default_factory=dict)

    def fill(self, part: int) -> Filling:
        """Go over the table until the generation holds what the live version does."""
        log = Log(self.store, self.job.table)
        for _ in range(_PASSES):
            seen = self._pass(self._documents_a_part(log.live(), part))
            live = log.live().version
            if seen == {live}:
                return self._told(live)
        raise StoreRefused(
            f"table {self.job.table!r} got new versions in each of {_PASSES} passes of its backfill; run the "
            "same command again, it pays for nothing twice"
        )

    def _documents_a_part(self, live: Entry, chunks: int) -> int:
        """How many documents have about so many chunks."""
        if live.chunks <= chunks:
            return live.chunks + 1
        rows = open_version(self.store, self.job.table, live).to_table(columns=["doc_id"])
        documents: int = pc.count_distinct(rows["doc_id"]).as_py()
        return max(1, math.ceil(chunks * documents / live.chunks))

    def _pass(self, most: int) -> set[int]:
        """Do all documents that differ once; gives the versions of the table that were read."""
        seen, after = set[int](), ""
        while True:
            done, version = self._part(Window(after, most))
            seen.add(version)
            if len(done) < most:
                return seen
            after = done[-1]

    def _part(self, window: Window) -> tuple[Sequence[str], int]:
        """Do some documents; gives their ids, and the version of the table that they are of."""
        job, self.spent.earlier = replace(self.job, window=window), self.spent.bill.total.texts
        report = rounds(job, self.store, self.engines, self.runner, self.progress, self.spent)
        staging = Staging(self.store, job.run_id)
        done: list[str] = staging.read_table("changes")["doc_id"].to_pylist()
        staging.carry_letters(set(done))
        self.rebuilt |= dict.fromkeys(staging.read_json(REBUILT) or ())
        self.listed = staging.read_json("listed")["documents"]
        self._add(report, bool(done))
        self.progress(Advance("backfill", min(self.new + self.changed, self.listed), self.listed))
        return done, staging.read_json(HELD)["version"]

    def _add(self, report: Report, any_done: bool) -> None:
        self.parts += any_done
        self.new += report.documents.new
        self.changed += report.documents.changed
        self.deleted += report.documents.deleted
        self.inserted += report.chunks.inserted
        self.dropped += report.chunks.deleted
        self.hits += report.embedding["cache_hits"]

    def _told(self, level_with: int) -> Filling:
        job, total = self.job, self.spent.bill.total
        staging = Staging(self.store, job.run_id)
        failed = {letter["doc_id"] for letter in staging.dead_letters()}
        done = min(self.new + self.changed, self.listed)
        return Filling(
            run_id=job.run_id,
            table=job.table,
            generation=str(job.generation),
            level_with=level_with,
            partial=job.source.where is not None,
            parts=self.parts,
            documents=DocumentCounts(self.new, self.changed, self.listed - done, self.deleted, len(failed)),
            chunks=ChunkCounts(self.inserted, 0, self.dropped, staging.dead_chunks()),
            rebuilt=len(self.rebuilt),
            rebuilt_ids=sorted(self.rebuilt)[:_TOLD],
            embedding=embedding_of(job, total, self.hits),
            cost_usd=self.spent.bill.usd,
            seconds=self.spent.clock(),
        )
