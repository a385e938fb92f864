"""A run: the stages composed. Who runs them, and where the heavy ones work, is handed in."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.cache import VectorCache
from pipeline.deadline import Deadline
from pipeline.errors import InputError, StoreRefused
from pipeline.job import Gate, Job
from pipeline.ledger import Ledger
from pipeline.letters import DeadLetters
from pipeline.model import ChunkCounts, DocumentCounts, Outcome, Plan
from pipeline.objects import Objects
from pipeline.ports import Engine, EngineFactory, Progress, Runner, run_here, silent
from pipeline.spending import Spending, Spent
from pipeline.spool import Spool
from pipeline.stages.assemble import assemble
from pipeline.stages.claim import overtaken
from pipeline.stages.clear import clear
from pipeline.stages.context import Context, log_of
from pipeline.stages.diff import diff, list_documents
from pipeline.stages.embed import embed, embed_sentences
from pipeline.stages.gate import gate
from pipeline.stages.plan import note_hits, plan, plan_sentences
from pipeline.stages.publish import publish
from pipeline.stages.sentences import sentences
from pipeline.stages.split import split
from pipeline.stages.validate import validate
from pipeline.staging import Staging, replaced_documents

_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did."""

    run_id: str
    table: str
    version: int | None  # live after the run; None where nothing was ever published
    published: bool
    documents: DocumentCounts
    chunks: ChunkCounts
    embedding: dict[str, Any]
    cost_usd: float | None  # with what attempts without an answer may have cost
    seconds: dict[str, float]

    def record(self) -> dict[str, Any]:
        """The report as JSON."""
        return asdict(self)


def ingest(
    job: Job,
    engines: EngineFactory,
    runner: Runner = run_here,
    progress: Progress = silent,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Run a job to a published version, or find that nothing has to change.

    Where another run's publish makes something else right, the stages begin again, and pay for
    nothing twice. Raises a VecmillError by what went wrong; whatever was paid for is in the cache then.
    """
    store, spent = Objects(job.store, create=True), Spent.of(job, clock)
    with recorded(job, store, spent) as record:
        report = rounds(job, store, engines, runner, progress, spent)
        record(report.record())
    return report


@contextmanager
def recorded(job: Job, store: Objects, spent: Spent) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Record a run from its start to its end; gives what takes the report of a finished run.

    However it ends, its dead letters are filed, and what only a run under way needs is removed.
    """
    with Ledger(store).recorded(job, job.kind, spent.bill.record) as record:
        staging = Staging(store, job.run_id)
        try:
            yield record
        finally:
            with suppress(StoreRefused):  # what ended the run says more than that its traces stay
                beside = log_of(store, job).generation or ""
                DeadLetters(store).file(job.table, job.run_id, staging.dead_letters(), beside)
                staging.clear()


def rounds(
    job: Job, store: Objects, engines: EngineFactory, runner: Runner, progress: Progress, spent: Spent
) -> Report:
    """Go through the stages until no other run's publish makes it void; raises StoreRefused in the end."""
    for _ in range(_ROUNDS):
        context = _surroundings(job, store, store, progress, spent)
        context.staging.restart()
        report = _ingest(context, engines, runner, spent)
        if report:
            return report
    raise StoreRefused(
        f"other runs changed the same documents of table {job.table!r} {_ROUNDS} times during this "
        "run; run the same command again, it pays for nothing twice"
    )


def plan_only(job: Job, progress: Progress = silent) -> Plan:
    """What `ingest` would do and cost. It pays nothing, and leaves the store as it is."""
    with tempfile.TemporaryDirectory(prefix="vecmill-plan-") as folder:
        aside = Objects(folder)
        try:
            store = Objects(job.store)
        except InputError:
            store = aside
        spent = Spent(Spending.of(job), Deadline.after(None))  # a plan takes as long as it takes
        context = _surroundings(job, store, aside, progress, spent)
        list_documents(context)
        found, known = diff(context), 0
        if job.splitter.kind == "semantic":
            first = plan_sentences(context, sentences(context, found))
            if first.rounds:
                return first
            known = first.cache_hits
        made = plan(context, split(context, found))
        return replace(made, cache_hits=made.cache_hits + known)


def _surroundings(job: Job, store: Objects, aside: Objects, progress: Progress, spent: Spent) -> Context:
    live = log_of(store, job).last()
    if live is not None:
        _check_specs(job, *live.specs())
    return Context(job, store, Staging(aside, job.run_id), live, spent.bill, spent.deadline, progress)


def _check_specs(job: Job, space: Any, splitter: Any) -> None:
    """Vectors of two spaces, or chunks of two splitters, never meet in one generation."""
    for what, wanted, found in (
        ("embedding space", job.space, space),
        ("splitter", job.splitter, splitter),
    ):
        if wanted != found:
            raise InputError(
                f"table {job.table!r} is of the {what} {found.name}, this run asks for {wanted.name}"
                f"{'' if wanted.name != found.name else f' with other parameters ({wanted} for {found})'}. "
                f"Leave the option out to go on with {found.name}, bring the whole table into {wanted.name} "
                f"with vecmill backfill, or use another --table"
            )


def _ingest(context: Context, engines: EngineFactory, runner: Runner, spent: Spent) -> Report | None:
    """One round through the stages; None where another run's publish made it void."""
    paid, known = spent.bill.total.texts - spent.earlier, 0
    with spent.on("list"):
        runner(list_documents, context)
        documents = runner(diff, context)
    with spent.on("plan"):
        _take_in_leftovers(context)
    with _Engine(engines) as engine:
        if context.job.splitter.kind == "semantic":
            known = _embed_sentences(context, documents, engine, runner, spent)
            if overtaken(context):
                return None
        with spent.on("split"):
            documents = runner(split, context, documents)
        with spent.on("plan"):
            planned = runner(plan, context, documents)
        spent.bill.check(planned)
        idle = _nothing_to_do(context)
        rows = 0 if idle else _prepare(context, planned, engine, runner, spent)
        if rows is None:
            return None
    published = None
    # Where every staged chunk is a dead letter and none takes another's place, nothing has changed.
    if (
        not idle
        and (rows or planned.chunks.unchanged or planned.chunks.deleted)
        and _any_gain(context, planned)
    ):
        # Before anything is seen of them: a chunk that is left out must not go unsaid, whatever is killed.
        context.file_letters()
        with spent.on("publish"):
            published = runner(publish, context, documents)
        if published is None:
            return None
    clear(context)
    known = max(0, known + planned.cache_hits - paid)  # what an earlier round paid is no hit
    return Report(
        run_id=context.job.run_id,
        table=context.job.table,
        version=published.version if published else context.live.version if context.live else None,
        published=published is not None,
        documents=documents,
        chunks=published.chunks if published else ChunkCounts(),
        embedding=embedding_of(context.job, spent.bill.total, known),
        cost_usd=spent.bill.usd,
        seconds=spent.clock(),
    )


class _Engine:
    """Opens the run's engine where texts are first to be embedded, and closes it in the end."""

    def __init__(self, factory: EngineFactory) -> None:
        self._factory = factory
        self._stack = ExitStack()
        self._opened: Engine | None = None

    def __enter__(self) -> "_Engine":
        return self

    def __exit__(self, *raised: Any) -> None:
        self._stack.__exit__(*raised)

    def __call__(self, texts: int) -> Engine:
        """The engine; it is opened for so many texts."""
        if self._opened is None:
            self._opened = self._stack.enter_context(self._factory(texts))
        return self._opened


def _embed_sentences(
    context: Context, found: DocumentCounts, engine: _Engine, runner: Runner, spent: Spent
) -> int:
    """The semantic splitter's own round; gives how many sentences' vectors were known already."""
    with spent.on("split"):
        documents = runner(sentences, context, found)
    with spent.on("plan"):
        planned = runner(plan_sentences, context, documents)
    spent.bill.check(planned)
    if planned.rounds:
        context.check_time()
        note_hits(context)
        with spent.on("embed"):
            runner(embed_sentences, context, planned, engine(planned.texts))
    return planned.cache_hits


def _prepare(context: Context, planned: Plan, engine: _Engine, runner: Runner, spent: Spent) -> int | None:
    """Embed, and stage what can be published; gives the number of rows staged.

    None where other runs were sending some of the texts: what they have come to has to be looked up.
    """
    if planned.texts:
        context.check_time()
    note_hits(context)
    with spent.on("embed"):
        opened = engine(planned.texts)
        if planned.texts:
            runner(embed, context, planned, opened)
            if overtaken(context):
                return None
    with spent.on("assemble"):
        rows = runner(assemble, context, opened)
        runner(validate, context, opened)
    if context.job.gate != Gate():
        with spent.on("publish"):
            runner(gate, context, opened)
    return rows


def _take_in_leftovers(context: Context) -> None:
    """What killed runs had finished belongs into the cache before anything is planned."""
    spool = Spool(context.store, context.job.space)
    spool.drain(VectorCache(context.store, context.job.space), spool.names())


def _nothing_to_do(context: Context) -> bool:
    return not len(replaced_documents(context.staging))


def _any_gain(context: Context, planned: Plan) -> bool:
    """Whether documents that are done over have come to anything else than before."""
    chunks = planned.chunks
    return not context.job.does_over or chunks.inserted + chunks.deleted > len(context.staging.dead_hashes())


def embedding_of(job: Job, outcome: Outcome, hits: int) -> dict[str, Any]:
    """What was embedded, as reports have it."""
    return {
        "space": job.space.name,
        "texts": outcome.texts,
        "tokens": outcome.tokens,
        "requests": outcome.requests,
        "cache_hits": hits,
        "retries": outcome.retries,
        "paid_again": outcome.paid_again,
        **({"batch_tokens": outcome.batch_tokens} if outcome.batch_tokens else {}),
    }
