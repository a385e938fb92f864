"""plan: which texts have to be embedded, and what that costs; nothing is paid before it is known.

The texts are the staged chunks' distinct ones, less those whose vectors the table, the cache or
the spool hold already. The sets are joined out of core.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import prices, schema
from pipeline.cache import VectorCache
from pipeline.datasets import set_operations
from pipeline.embedding import limits
from pipeline.embedding.packing import Text, pack
from pipeline.errors import InputError
from pipeline.model import ChunkCounts, DocumentCounts, Endpoint, Job, Plan
from pipeline.objects import store_errors
from pipeline.spool import Spool
from pipeline.stages.context import Context
from pipeline.stages.split import CHUNKS
from pipeline.staging import read_shards, replaced_documents
from pipeline.store.table import open_version

TEXTS = "texts"

_FIRST = """
create temp table chunks as select * from staged;
create temp table distinct_texts as
select text_hash, min(place) as place, any_value(tokens) as tokens from chunks group by text_hash
"""

_WANTED = """
select place, text_hash, tokens from distinct_texts
anti join (select text_hash from cached union all select text_hash from held
           union all select text_hash from spooled) using (text_hash)
order by place
"""

_CHANGED = """
with old as (select chunk_id from held semi join replaced using (doc_id))
select (select count(*) from chunks anti join old using (chunk_id)),
       (select count(*) from chunks semi join old using (chunk_id)),
       (select count(*) from old anti join chunks using (chunk_id))
"""


def plan(context: Context, documents: DocumentCounts) -> Plan:
    """Stage the texts to embed, and count them."""
    with store_errors(context.job.store), set_operations() as db:
        db.register("staged", pa.RecordBatchReader.from_batches(_PLACES, _places(context)))
        db.execute(_FIRST)
        for name, known in {**_known(context), "replaced": replaced_documents(context.staging)}.items():
            db.register(name, known)
        wanted = db.sql(_WANTED).to_arrow_table()
        [(distinct,)] = db.execute("select count(*) from distinct_texts").fetchall()
        [(inserted, unchanged, deleted)] = db.execute(_CHANGED).fetchall()
    _stage_texts(context, wanted)
    chunks = ChunkCounts(inserted, unchanged, deleted)
    made = _counted(context, wanted, documents, chunks, distinct)
    context.staging.write_json("plan", made.record())
    return made


_PLACES = pa.schema(
    [("chunk_id", pa.string()), ("text_hash", pa.string()), ("tokens", pa.int32()), ("place", pa.int64())]
)


def _places(context: Context) -> Iterator[pa.RecordBatch]:
    """Each staged chunk's text, and its place in the order of all chunks."""
    place = 0
    for shard in read_shards(context.staging, CHUNKS):
        rows = shard.select(["chunk_id", "text_hash", "tokens"]).combine_chunks()
        places = pa.array(range(place, place + len(rows)), pa.int64())
        yield from rows.append_column("place", places).cast(_PLACES).to_batches()
        place += len(rows)


def _known(context: Context) -> dict[str, Any]:
    """What holds vectors of this space already."""
    job, none = context.job, pa.table({"text_hash": pa.array([], pa.string())})
    spool = Spool(context.store, job.space)
    spooled = [rows.select(["text_hash"]) for _, rows in spool.rows(spool.names())]
    cached = VectorCache(context.store, job.space).open()
    live = context.live
    held = open_version(context.store, job.table, live) if live else schema.STAGED.empty_table()
    return {
        "cached": none if cached is None else cached,
        "held": held,
        "spooled": pa.concat_tables(spooled) if spooled else none,
    }


def _stage_texts(context: Context, wanted: pa.Table) -> None:
    """Write the texts to embed, in the order of their first chunks."""
    places = wanted["place"].combine_chunks()
    first = number = 0
    for shard in read_shards(context.staging, CHUNKS):
        inside = pc.and_(pc.greater_equal(places, first), pc.less(places, first + len(shard)))
        rows = shard.take(pc.subtract(places.filter(inside), first))
        if len(rows):
            texts = pc.binary_join_element_wise(rows["prefix"], rows["text"], "")
            staged = pa.table({"text_hash": rows["text_hash"], "tokens": rows["tokens"], "text": texts})
            context.staging.write_table(f"{TEXTS}/{number:06d}", staged.cast(schema.TEXTS))
            number += 1
        first += len(shard)


def _counted(
    context: Context, wanted: pa.Table, documents: DocumentCounts, chunks: ChunkCounts, distinct: int
) -> Plan:
    job = context.job
    tokens = pc.sum(wanted["tokens"]).as_py() or 0
    sizes = (Text("", size, "") for size in wanted["tokens"].to_pylist())
    requests = sum(1 for _ in pack(sizes, limits(job.space), job.endpoint))
    cost = prices.usd(job.space, tokens)
    return Plan(
        documents=documents,
        chunks=chunks,
        texts=len(wanted),
        tokens=tokens,
        requests=requests,
        cache_hits=distinct - len(wanted),
        cost_usd=cost,
        seconds_at_quota=_seconds_at_quota(job.endpoint, requests, tokens),
        over_budget=_over_budget(job, cost),
    )


def _seconds_at_quota(endpoint: Endpoint, requests: int, tokens: int) -> float | None:
    times = [
        amount * 60 / budget
        for amount, budget in ((requests, endpoint.rpm), (tokens, endpoint.tpm))
        if budget is not None
    ]
    return max(times) if times else None


def _over_budget(job: Job, cost: float | None) -> bool:
    if job.budget.usd is None:
        return False
    if cost is None:
        raise InputError(
            f"the price of {job.space.provider}/{job.space.model} is not known, so the budget of "
            f"{job.budget.usd:g} USD cannot be checked; leave the budget out"
        )
    return cost > job.budget.usd
