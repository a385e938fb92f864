"""publish: one Lance commit and one entry of the publish log make a run's result the live version."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets import as_halves
from pipeline.errors import StoreRefused
from pipeline.model import ChunkCounts, DocumentCounts
from pipeline.stages.assemble import FRAGMENTS
from pipeline.stages.context import Context
from pipeline.stages.diff import ADDRESSES, still_right
from pipeline.stages.split import CHUNKS
from pipeline.staging import read_shards, replaced_documents
from pipeline.store.log import Entry
from pipeline.store.table import Change, Committed, commit, generation_uri, tag_live

# Each failed try means that another run has committed meanwhile.
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish made of a table."""

    version: int
    chunks: ChunkCounts


def publish(context: Context, documents: DocumentCounts) -> Published | None:
    """Make the staged rows live in place of their documents' present ones.

    The log entry comes last and decides. Where another run publishes in between, and the run would
    still make the same change, it is made on top of that version; None where it would not, and the
    run has to take up again from its diff. Raises StoreRefused where others will not let it through.
    """
    staged = context.staging.read_json(FRAGMENTS)
    uri = generation_uri(context.store, context.job.table, staged["generation"])
    properties = _properties(context, documents)
    base, held = context.live, context.staging.read_table(ADDRESSES)
    for _ in range(_TRIES):
        live = context.log.last()
        mine = _already_published(context)
        if mine:
            return Published(mine.version, ChunkCounts(**mine.counts["chunks"]))
        if live is not None and live != base:
            again = still_right(context, live) if live.generation == staged["generation"] else None
            if again is None:
                return None
            base, held = live, again
        change = Change(staged["fragments"], _replaced(context, held), properties)
        committed = commit(uri, context.store.options, live, change)
        if committed is None:
            continue
        entry = _entry(context, staged, live, committed, documents)
        if context.log.append(entry):
            tag_live(context.store, context.log)
            return Published(entry.version, ChunkCounts(**entry.counts["chunks"]))
    raise StoreRefused(f"other runs commit to table {context.job.table!r} without end; run the command again")


def _properties(context: Context, documents: DocumentCounts) -> dict[str, str]:
    return {
        "vecmill.run_id": context.job.run_id,
        "vecmill.documents": orjson.dumps(documents).decode(),
        "__lance_commit_message": f"vecmill run {context.job.run_id}",
    }


def _already_published(context: Context) -> Entry | None:
    """The entry of this run, where an earlier try was killed right after making it."""
    entries = context.log.since(context.live.version if context.live else 0)
    return next((entry for entry in entries if entry.run_id == context.job.run_id), None)


def _replaced(context: Context, held: pa.Table) -> pa.Array:
    """The addresses of the rows that the run's documents have now."""
    documents = replaced_documents(context.staging)["doc_id"].combine_chunks()
    return held.filter(pc.is_in(held["doc_id"], value_set=documents))["address"].combine_chunks()


def _entry(
    context: Context,
    staged: Mapping[str, Any],
    live: Entry | None,
    committed: Committed,
    documents: DocumentCounts,
) -> Entry:
    job, chunks = context.job, _chunks(context, staged["rows"], committed.replaced)
    return Entry(
        version=live.version + 1 if live else 1,
        kind="ingest" if context.log.generation is None else "backfill",
        generation=staged["generation"],
        lance_version=committed.lance_version,
        run_id=job.run_id,
        published_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        chunks=committed.rows,
        space=asdict(job.space),
        splitter=asdict(job.splitter),
        counts={"documents": asdict(documents), "chunks": asdict(chunks)},
    )


def _chunks(context: Context, rows: int, replaced: pa.Array) -> ChunkCounts:
    """Count by chunk ids: a chunk whose document changed around it is unchanged, though its row is new."""
    unchanged = _kept(context, replaced) if len(replaced) else 0
    dead = context.staging.dead_chunks()
    return ChunkCounts(rows - unchanged, unchanged, len(replaced) - unchanged, dead)


def _kept(context: Context, replaced: pa.Array) -> int:
    """How many chunks are staged whose ids were there before."""
    dead, columns, count = context.staging.dead_hashes(), ["chunk_id", "text_hash"], 0
    held = as_halves(replaced)
    held = held[np.argsort(held[:, 0])]
    for shard in read_shards(context.staging, CHUNKS, columns):
        alive = shard.filter(pc.invert(pc.is_in(shard["text_hash"], value_set=dead)))
        own = as_halves(alive["chunk_id"].combine_chunks())
        # Of ten million ids no two begin with the same 64 bits, but once in a hundred thousand times.
        places = np.searchsorted(held[:, 0], own[:, 0]) % len(held)
        count += int((held[places] == own).all(axis=1).sum())
    return count
