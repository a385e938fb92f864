"""gate: asks what is staged the questions that its owner wants answered, before readers see it."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import ids, schema
from pipeline.adapters import as_turned, turned
from pipeline.analysis.labelled import DEPTH, Labelled
from pipeline.analysis.measures import measures
from pipeline.cache import VectorCache
from pipeline.datasets import Located, as_uuids, set_operations
from pipeline.embedding import connect
from pipeline.embedding.retry import Retrier
from pipeline.errors import GateFailed, Rejected
from pipeline.job import Canary, Quality
from pipeline.model import Amount, Outcome
from pipeline.objects import store_errors
from pipeline.ports import Engine, Vectors
from pipeline.search.truth import nearest_of
from pipeline.search.where import Rows
from pipeline.stages.assemble import FRAGMENTS, read_fragment
from pipeline.stages.context import Context
from pipeline.stages.embed import send
from pipeline.stages.split import CHUNKS
from pipeline.staging import read_shards, replaced_documents
from pipeline.store.table import generation_uri, open_version
from pipeline.tokens import counter_for

_QUERIES = "canaries"
_PATIENCE = 60.0  # seconds for the sample: a gate that waits longer is better told to fail
_ALIKE = 0.99  # cosine of one text embedded twice: providers answer within 1e-3 of it
_CHUNKS = 160  # that are ranked for a question: ten documents have more than one each
_BATCH = 4096  # rows
_MORE = 4  # times as many neighbours are asked for where too few are left

Found = list[tuple[float, str]]
"""Cosine and doc_id of chunks, the nearest first."""


def gate(context: Context, engine: Engine) -> None:
    """Ask each canary of the run, and embed a sample again; raises GateFailed before anything is visible.

    What the canaries' queries cost is paid once: their vectors go through the cache like all others.
    """
    asked = context.job.gate
    if asked.canaries:
        vectors = _queries(context, engine, [canary.query for canary in asked.canaries])
        for canary, vector in zip(asked.canaries, vectors, strict=True):
            _check(canary, _nearest(context, vector, canary.top_k))
    if asked.quality:
        _check_quality(context, engine, asked.quality)
    if asked.sample:
        _check_sample(context, asked.sample)


def _check(canary: Canary, found: Found) -> None:
    first = list(dict.fromkeys(doc_id for _, doc_id in found))
    missing = [doc_id for doc_id in canary.doc_ids if doc_id not in first]
    if missing:
        raise _failed(
            f"the canary {canary.query!r} does not find {', '.join(missing)} among its first {canary.top_k} "
            f"chunks; it finds {', '.join(first[:5]) or 'nothing'}"
        )


def _check_quality(context: Context, engine: Engine, quality: Quality) -> None:
    """Rank the documents of what would be live for questions whose answers are known."""
    labelled = Labelled.read(Path(quality.queries), Path(quality.qrels))
    vectors = _queries(context, engine, list(labelled.queries.values()))
    names: list[str] = []

    def parts() -> Iterator[tuple[Rows, Vectors]]:
        for rows in chain(_staged(context, ["doc_id", "vector"]), _staying(context)):
            first = len(names)
            names.extend(rows["doc_id"].to_pylist())
            yield np.arange(first, len(names), dtype=np.uint64), _matrix(rows)

    found = nearest_of(parts(), vectors, None, _CHUNKS)
    rankings = [list(dict.fromkeys(names[int(row)] for row in rows)) for rows in found.rows]
    score = measures(rankings, list(labelled.grades.values()), DEPTH)[f"ndcg@{DEPTH}"]
    if score.mean < quality.at_least:
        raise _failed(
            f"nDCG@{DEPTH} is {score.mean} ({score.low} to {score.high}) over {len(rankings)} questions of "
            f"{quality.queries}, and {quality.at_least} is asked for"
        )


def _staying(context: Context) -> Iterator[pa.Table]:
    """The live rows of documents that the run leaves as they are."""
    if context.live is None or not context.live.chunks:
        return
    gone = replaced_documents(context.staging)["doc_id"].combine_chunks()
    dataset = open_version(context.store, context.job.table, context.live)
    with store_errors(dataset.uri):
        for batch in dataset.scanner(columns=["doc_id", "vector"], batch_size=_BATCH).to_batches():
            rows = pa.table(batch)
            yield rows.filter(pc.invert(pc.is_in(rows["doc_id"], value_set=gone)))


def _queries(context: Context, engine: Engine, queries: Sequence[str]) -> Vectors:
    """The vectors[n, d] of queries; those that nobody paid for yet are sent."""
    job = context.job
    texts = [job.space.query_prefix + query for query in queries]
    hashes = pa.array(map(ids.digest, texts), pa.string())
    missing = [place for place, known in enumerate(_cached(context, hashes)) if known is None]
    if missing:
        tokens = counter_for(job.space).count([texts[place] for place in missing])
        columns = [hashes.take(pa.array(missing)), tokens, [texts[place] for place in missing]]
        context.staging.write_table(f"{_QUERIES}/000000", pa.table(columns, schema=schema.TEXTS))
        sent = send(context, engine, _QUERIES, Amount(len(missing), sum(tokens), 1), "ordinary", "gate")
        for _, reason in sent.rejected:
            raise _failed(f"a gate's query cannot be embedded: {reason}")
    return np.stack([vector for vector in _cached(context, hashes) if vector is not None])


def _cached(context: Context, hashes: pa.Array) -> list[Vectors | None]:
    """The vector of each text in the cache; None for those that it lacks."""
    space = context.job.space
    dataset = as_turned(context.store, space, VectorCache(context.store, space).open())
    known: list[Vectors | None] = [None] * len(hashes)
    if dataset is not None:
        with store_errors(dataset.uri), set_operations() as db:
            db.register("queries", pa.table({"text_hash": as_uuids(hashes)}))
            found, vectors = Located(db, "queries", [dataset]).take(hashes)
        rows = vectors.flatten().to_numpy().reshape(-1, context.job.space.dimensions)
        for place, row in zip(found.to_pylist(), rows, strict=True):
            known[place] = row
    return known


def _nearest(context: Context, vector: Vectors, top_k: int) -> Found:
    """The nearest chunks of what would be live: those staged, and those of documents that stay."""
    found = [*_of_staged(context, vector, top_k), *_of_live(context, vector, top_k)]
    return sorted(found, key=lambda one: -one[0])[:top_k]


def _of_staged(context: Context, vector: Vectors, top_k: int) -> Iterator[tuple[float, str]]:
    for rows in _staged(context, ["doc_id", "vector"]):
        scores = _matrix(rows) @ vector
        for place in np.argsort(-scores)[:top_k].tolist():
            yield float(scores[place]), rows["doc_id"][place].as_py()


def _of_live(context: Context, vector: Vectors, top_k: int) -> Found:
    if context.live is None or not context.live.chunks:
        return []
    gone = set(replaced_documents(context.staging)["doc_id"].to_pylist())
    dataset, wanted = open_version(context.store, context.job.table, context.live), top_k
    while True:
        nearest = {"column": "vector", "q": vector, "k": wanted, "metric": "cosine", "use_index": False}
        rows = dataset.to_table(columns=["doc_id", "_distance"], nearest=nearest)
        distances, doc_ids = rows["_distance"].to_pylist(), rows["doc_id"].to_pylist()
        found = [
            (1.0 - distance, doc_id)
            for distance, doc_id in zip(distances, doc_ids, strict=True)
            if doc_id not in gone
        ]
        if len(found) >= top_k or wanted >= context.live.chunks:
            return found
        wanted = min(wanted * _MORE, context.live.chunks)


def _check_sample(context: Context, size: int) -> None:
    """Embed some of what is staged once more, and compare."""
    texts, vectors = _drawn(context, size)
    if not texts:
        return
    again = asyncio.run(_embedded(context, texts))
    alike = np.einsum("ij,ij->i", again, vectors)
    worst = int(np.argmin(alike))
    if alike[worst] < _ALIKE:
        raise _failed(
            f"{int((alike < _ALIKE).sum())} of {len(texts)} texts come back other than they are staged "
            f"(cosine {alike[worst]:.3f} for {texts[worst][:60]!r}); is it another model behind the same "
            "name?"
        )


def _drawn(context: Context, size: int) -> tuple[list[str], Vectors]:
    """Texts as they are embedded, and their staged vectors; the same ones whenever the run is repeated."""
    count = context.staging.read_json(FRAGMENTS)["rows"]
    chosen = np.sort(np.random.default_rng(0).permutation(count)[:size])
    drawn, first = list[pa.Table](), 0
    for rows in _staged(context, ["text_hash", "vector"]):
        inside = chosen[(chosen >= first) & (chosen < first + len(rows))] - first
        drawn.append(rows.take(pa.array(inside)))
        first += len(rows)
    if not drawn:
        return [], np.zeros((0, context.job.space.dimensions), np.float32)
    sample = pa.concat_tables(drawn)
    texts = _texts_of(context, sample["text_hash"].combine_chunks())
    return [texts[name] for name in sample["text_hash"].to_pylist()], _matrix(sample)


def _texts_of(context: Context, hashes: pa.Array) -> dict[str, str]:
    """The texts with these hashes, as they are embedded."""
    found: dict[str, str] = {}
    for shard in read_shards(context.staging, CHUNKS):
        rows = shard.filter(pc.is_in(shard["text_hash"], value_set=hashes))
        texts = pc.binary_join_element_wise(rows["prefix"], rows["text"], "").to_pylist()
        found |= zip(rows["text_hash"].to_pylist(), texts, strict=True)
    return found


async def _embedded(context: Context, texts: list[str]) -> Vectors:
    job = context.job
    provider = connect(job.space, job.endpoint)
    try:
        attempted = await Retrier(_PATIENCE, asyncio.sleep).run(lambda: provider.embed(texts))
    except Rejected as error:
        raise _failed(f"the sample cannot be embedded again: {error}") from error
    finally:
        await provider.close()
    answer = attempted.answer
    context.spending.settle(Outcome(-1, tokens=answer.tokens, requests=1))
    return turned(context.store, job.space, answer.vectors)


def _staged(context: Context, columns: list[str]) -> Iterator[pa.Table]:
    """The staged rows, some thousand at a time."""
    staged = context.staging.read_json(FRAGMENTS)
    uri = generation_uri(context.store, context.job.table, staged["generation"])
    with store_errors(uri):
        for fragment in staged["fragments"]:
            for rows in read_fragment(context.store, uri, fragment, columns):
                yield pa.Table.from_batches([rows])


def _matrix(rows: pa.Table) -> Vectors:
    vectors: Vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    return vectors


def _failed(what: str) -> GateFailed:
    return GateFailed(
        f"the gate stopped the publish: {what}. Readers still see the version before, and what was paid is "
        "kept"
    )
