"""embed: sends the planned texts, and takes what comes back from the spool into the cache."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cache import VectorCache
from pipeline.embedding import limits
from pipeline.embedding.packing import Text, pack
from pipeline.errors import ProviderRefused
from pipeline.model import DeadLetter, Outcome, Plan
from pipeline.ports import Engine
from pipeline.spool import Spool
from pipeline.stages.context import Context
from pipeline.stages.plan import SENTENCE_TEXTS, TEXTS
from pipeline.stages.split import CHUNKS
from pipeline.staging import EXCERPT, read_shards

# Requests that wait in the spool before the sink takes them in: an append of a few is as slow as
# one of many.
_SINK_AFTER = 200
# So many texts are not all poisonous: it is the request that the endpoint will not have.
_SURELY = 50


def embed(context: Context, plan: Plan, engine: Engine) -> Outcome:
    """Embed what the plan found missing; gives what it came to, in numbers.

    Whatever stops the run, all that is in the spool goes into the cache.
    """
    total = _sent(context, engine, TEXTS, plan.texts)
    context.staging.bury("embed", list(_letters(context, dict(total.rejected))))
    context.check_failures()
    return replace(total, rejected=())


def embed_sentences(context: Context, plan: Plan, engine: Engine) -> Outcome:
    """Embed the sentences that the plan found missing, and nothing else of it.

    One that the provider rejects has no vector, and is no dead letter: its document can be split all the
    same, and the chunk that it is in is sent on its own account.
    """
    missing = plan.rounds[0].texts if plan.rounds else 0
    return replace(_sent(context, engine, SENTENCE_TEXTS, missing, "sentences"), rejected=())


def _sent(context: Context, engine: Engine, name: str, texts: int, stage: str = "embed") -> Outcome:
    """Send the staged texts of one round, and take their vectors into the cache."""
    spool, cache = Spool(context.store, context.job.space), VectorCache(context.store, context.job.space)
    total, finished = Outcome(0), list[str]()
    requests = pack(_texts(context, name), limits(context.job.space), context.job.endpoint)
    try:
        for outcome in engine.embed(context.job, requests):
            total += replace(outcome, spooled=())
            finished += outcome.spooled
            if not total.texts and len(total.rejected) > max(_SURELY, context.allowed(texts)):
                raise ProviderRefused(
                    f"the endpoint has rejected every text so far, {len(total.rejected)} of them; the last: "
                    f"{total.rejected[-1][1]}. Check --embedding and --base-url; nothing was published"
                )
            context.progress(stage, total.texts + len(total.rejected), texts)
            if len(finished) >= _SINK_AFTER:
                spool.drain(cache, finished)
                finished = []
    finally:
        spool.drain(cache, spool.names())
        cache.compact()
    return total


def _texts(context: Context, name: str) -> Iterator[Text]:
    for shard in read_shards(context.staging, name):
        columns: list[list[Any]] = [shard[name].to_pylist() for name in Text._fields]
        yield from map(Text, *columns)


def _letters(context: Context, rejected: dict[str, str]) -> Iterator[DeadLetter]:
    """A dead letter for each chunk whose text the provider rejected."""
    if not rejected:
        return
    hashes = pa.array(list(rejected), pa.string())
    for shard in read_shards(context.staging, CHUNKS):
        for row in shard.filter(pc.is_in(shard["text_hash"], value_set=hashes)).to_pylist():
            yield DeadLetter(
                row["doc_id"],
                row["uri"],
                "embed",
                rejected[row["text_hash"]],
                row["text"][:EXCERPT],
                row["text_hash"],
            )
