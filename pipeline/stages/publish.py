"""publish: one Lance commit and one entry of the publish log make a run's result the live version."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import StoreRefused
from pipeline.model import ChunkCounts, DocumentCounts
from pipeline.stages.assemble import FRAGMENTS
from pipeline.stages.context import Context
from pipeline.stages.diff import still_right
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
    change = Change(
        staged["fragments"],
        replaced_documents(context.staging)["doc_id"].combine_chunks(),
        _properties(context, documents),
    )
    base = context.live
    for _ in range(_TRIES):
        live = context.log.last()
        mine = _already_published(context)
        if mine:
            return Published(mine.version, ChunkCounts(**mine.counts["chunks"]))
        if live is not None and live != base:
            if live.generation != staged["generation"] or not still_right(context, live):
                return None
            base = live
        committed = commit(uri, context.store.options, live, change)
        if committed is None:
            continue
        entry = _entry(context, staged["generation"], live, committed, documents)
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


def _entry(
    context: Context, generation: str, live: Entry | None, committed: Committed, documents: DocumentCounts
) -> Entry:
    job = context.job
    return Entry(
        version=live.version + 1 if live else 1,
        kind="ingest" if context.log.generation is None else "backfill",
        generation=generation,
        lance_version=committed.lance_version,
        run_id=job.run_id,
        published_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        chunks=committed.rows,
        space=asdict(job.space),
        splitter=asdict(job.splitter),
        counts={"documents": asdict(documents), "chunks": asdict(_chunks(context, committed.replaced))},
    )


def _chunks(context: Context, replaced: pa.Array) -> ChunkCounts:
    """Count by chunk ids: a chunk whose document changed around it is unchanged, though its row is new."""
    dead = context.staging.dead_hashes()
    inserted = unchanged = 0
    for shard in read_shards(context.staging, CHUNKS):
        alive = shard.filter(pc.invert(pc.is_in(shard["text_hash"], value_set=dead)))
        kept = pc.sum(pc.is_in(alive["chunk_id"], value_set=replaced)).as_py() or 0
        unchanged += kept
        inserted += len(alive) - kept
    return ChunkCounts(inserted, unchanged, len(replaced) - unchanged, context.staging.dead_chunks())
