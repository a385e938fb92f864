"""plan: which texts have to be embedded, and what that costs; nothing is paid before it is known.

The texts are the staged chunks' distinct ones, less those whose vectors the table, the cache or
the spool hold already. The sets are joined out of core. The semantic splitter's sentences are planned
likewise, in a round of their own before there are chunks.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import prices, schema
from pipeline.cache import VectorCache
from pipeline.datasets import set_operations
from pipeline.embedding import limits
from pipeline.embedding.packing import Text, pack
from pipeline.errors import InputError
from pipeline.eviction import note_uses
from pipeline.job import Endpoint, Job
from pipeline.model import Amount, ChunkCounts, DocumentCounts, Plan
from pipeline.objects import store_errors
from pipeline.spool import Spool
from pipeline.stages.context import Context
from pipeline.stages.lanes import hours_at_most, lane_of
from pipeline.stages.sentences import SENTENCES
from pipeline.stages.split import CHUNKS
from pipeline.staging import read_shards, replaced_documents
from pipeline.store.table import open_version

if TYPE_CHECKING:
    import duckdb

TEXTS = "texts"
SENTENCE_TEXTS = "sentence-texts"
LOOKED_UP = "looked-up"  # the version of the cache that was looked into
HITS = "hits"  # the texts that it has, a table for each round

_DISTINCT = """
create temp table staged as select * from batches;
create temp table distinct_texts as
select text_hash, min(place) as place, any_value(tokens) as tokens from staged group by text_hash
"""

_HITS = "select text_hash from distinct_texts semi join cached using (text_hash)"

_WANTED = """
select place, text_hash, tokens from distinct_texts
anti join (select text_hash from cached union all select text_hash from held
           union all select text_hash from spooled) using (text_hash)
order by place
"""

# A chunk that is a sentence, too, is counted with the sentences.
_KNOWN = """
select count(*) from distinct_texts anti join wanted using (text_hash) anti join sentences using (text_hash)
"""

_CHANGED = """
with old as (select chunk_id from held semi join replaced using (doc_id))
select (select count(*) from staged anti join old using (chunk_id)),
       (select count(*) from staged semi join old using (chunk_id)),
       (select count(*) from old anti join staged using (chunk_id))
"""


def plan(context: Context, documents: DocumentCounts) -> Plan:
    """Stage the chunks' texts to embed, and count them."""
    with _staged(context, CHUNKS, ["chunk_id", "text_hash", "tokens"]) as db:
        wanted = _wanted(db)
        db.register("sentences", _hashes(read_shards(context.staging, SENTENCES)))
        db.register("replaced", replaced_documents(context.staging))
        [(known,)] = db.execute(_KNOWN).fetchall()
        [(inserted, unchanged, deleted)] = db.execute(_CHANGED).fetchall()
    _stage_texts(context, wanted, CHUNKS, TEXTS)
    chunks = ChunkCounts(inserted, unchanged, deleted)
    made = _priced(context, documents, chunks, _amount(context.job, wanted), known)
    context.staging.write_json("plan", made.record())
    return made


def plan_sentences(context: Context, documents: DocumentCounts) -> Plan:
    """Stage the sentences to embed, and count them, and with them what the chunks can come to at most.

    Without `rounds`, no sentence's vector is missing: the chunks' own plan can be made, and is exact.
    """
    job = context.job
    with _staged(context, SENTENCES, ["text_hash", "tokens"]) as db:
        wanted = _wanted(db)
        [(distinct,)] = db.execute("select count(*) from distinct_texts").fetchall()
    _stage_texts(context, wanted, SENTENCES, SENTENCE_TEXTS)
    known, none = distinct - len(wanted), ChunkCounts()
    # What a killed run has left in the spool is paid for, but nobody looks it up there.
    if not len(wanted) and not Spool(context.store, job.space).names():
        return _priced(context, documents, none, Amount(0, 0, 0), known)
    most = context.staging.read_json(SENTENCES)["chunks_at_most"]
    sizes = repeat(math.ceil(most["tokens"] / most["texts"]), most["texts"])
    rounds = (_amount(job, wanted), Amount(most["texts"], most["tokens"], _requests(job, sizes)))
    made = _priced(context, documents, none, rounds[0] + rounds[1], known, rounds)
    context.staging.write_json("plan-sentences", made.record())
    return made


@contextmanager
def _staged(context: Context, name: str, columns: Sequence[str]) -> "Iterator[duckdb.DuckDBPyConnection]":
    """The sets to plan by: what is staged, its distinct texts, and what holds vectors already."""
    with store_errors(context.job.store), set_operations() as db:
        db.register("batches", _placed(read_shards(context.staging, name, columns), columns))
        db.execute(_DISTINCT)
        for known, rows in _known(context).items():
            db.register(known, rows)
        context.staging.write_table(f"{HITS}/{name}", db.sql(_HITS).to_arrow_table())
        yield db


def note_hits(context: Context) -> None:
    """Note that the run uses what the cache has of its texts: what was used lately is not given up."""
    tables = context.staging.shards(HITS)
    hashes = [rows["text_hash"] for rows in context.staging.read_tables(tables)]
    if hashes:
        found = pa.chunked_array([chunk for column in hashes for chunk in column.chunks], pa.string())
        note_uses(context.store, context.job.space, context.job.run_id, found)


def _wanted(db: "duckdb.DuckDBPyConnection") -> pa.Table:
    """The texts to embed, in the order of their first places."""
    wanted = db.sql(_WANTED).to_arrow_table()
    db.register("wanted", wanted)
    return wanted


def _placed(shards: Iterable[pa.Table], columns: Sequence[str]) -> pa.RecordBatchReader:
    """Columns of staged rows, and each one's place in the order of all."""
    types = [schema.STAGED.field(name) for name in columns]
    placed = pa.schema([*types, ("place", pa.int64())])

    def batches() -> Iterator[pa.RecordBatch]:
        place = 0
        for shard in shards:
            rows = shard.select(columns).combine_chunks()
            places = pa.array(range(place, place + len(rows)), pa.int64())
            yield from rows.append_column("place", places).cast(placed).to_batches()
            place += len(rows)

    return pa.RecordBatchReader.from_batches(placed, batches())


def _known(context: Context) -> dict[str, Any]:
    """What holds vectors of this space already."""
    job = context.job
    spool = Spool(context.store, job.space)
    spooled = _hashes(rows for _, rows in spool.rows(spool.names()))
    cached = VectorCache(context.store, job.space).open()
    context.staging.write_json(LOOKED_UP, {"version": cached.version if cached else None})
    live = context.live
    held = open_version(context.store, job.table, live) if live else schema.STAGED.empty_table()
    return {"cached": _hashes([]) if cached is None else cached, "held": held, "spooled": spooled}


def _hashes(tables: Iterable[pa.Table]) -> pa.Table:
    none = pa.table({"text_hash": pa.array([], pa.string())})
    return pa.concat_tables([none, *(table.select(["text_hash"]).cast(none.schema) for table in tables)])


def _stage_texts(context: Context, wanted: pa.Table, source: str, name: str) -> None:
    """Write the texts to embed, in the order of their first places."""
    places = wanted["place"].combine_chunks()
    first = number = 0
    for shard in read_shards(context.staging, source):
        inside = pc.and_(pc.greater_equal(places, first), pc.less(places, first + len(shard)))
        rows = shard.take(pc.subtract(places.filter(inside), first))
        if len(rows):
            texts = rows["text"]
            if "prefix" in rows.column_names:
                texts = pc.binary_join_element_wise(rows["prefix"], texts, "")
            staged = pa.table({"text_hash": rows["text_hash"], "tokens": rows["tokens"], "text": texts})
            context.staging.write_table(f"{name}/{number:06d}", staged.cast(schema.TEXTS))
            number += 1
        first += len(shard)


def _amount(job: Job, wanted: pa.Table) -> Amount:
    tokens = wanted["tokens"].to_pylist()
    return Amount(len(tokens), sum(tokens), _requests(job, tokens))


def _requests(job: Job, tokens: Iterable[int]) -> int:
    """How many requests texts of so many tokens are packed into."""
    packed = pack((Text("", size, "") for size in tokens), limits(job.space), job.endpoint)
    return sum(1 for _ in packed)


def _priced(
    context: Context,
    documents: DocumentCounts,
    chunks: ChunkCounts,
    amount: Amount,
    known: int,
    rounds: tuple[Amount, Amount] | None = None,
) -> Plan:
    job, times = context.job, len(rounds or ()) or 1
    lane = lane_of(job, amount, times, context.deadline.passed)
    by_batch = lane == "batch"
    cost = prices.usd(job, amount.tokens, lane)
    return Plan(
        documents=documents,
        chunks=chunks,
        texts=amount.texts,
        tokens=amount.tokens,
        requests=amount.requests,
        cache_hits=known,
        cost_usd=cost,
        seconds_at_quota=None
        if by_batch
        else _seconds_at_quota(job.endpoint, amount.requests, amount.tokens),
        over_budget=_over_budget(job, amount.tokens, cost, lane),
        rounds=rounds,
        price=prices.price_of(job),
        lane=lane,
        hours_at_most=hours_at_most(job, amount) * times if by_batch and amount.texts else None,
    )


def _seconds_at_quota(endpoint: Endpoint, requests: int, tokens: int) -> float | None:
    times = [
        amount * 60 / budget
        for amount, budget in ((requests, endpoint.rpm), (tokens, endpoint.tpm))
        if budget is not None
    ]
    return max(times) if times else None


def _over_budget(job: Job, tokens: int, cost: float | None, lane: str) -> bool:
    if job.budget.usd is not None and cost is None:
        model = f"{job.space.provider}/{job.space.model}"
        raise InputError(
            f"the price of {model} is not known, so the budget of {job.budget.usd:g} USD cannot be checked; "
            f'say --price USD (a million tokens), or put "{model}" = USD under [prices] into vecmill.toml'
        )
    most = prices.affordable(job, lane)
    return most is not None and tokens > most
