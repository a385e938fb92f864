"""split: reads what is new or changed, and stages its chunks."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from pipeline import ids, schema
from pipeline.embedding import limits
from pipeline.errors import InputError
from pipeline.model import DeadLetter, Document, DocumentCounts, Job, Listed
from pipeline.sources import open_source
from pipeline.splitting import make
from pipeline.stages.context import Context
from pipeline.staging import ShardWriter
from pipeline.tokens import counter_for

CHUNKS = "chunks"


@dataclass(frozen=True, slots=True)
class Cutter:
    """Turns documents into rows of staged chunks."""

    job: Job

    def rows(self, document: Document) -> Iterator[dict[str, Any]]:
        """The document's chunks in the staged schema."""
        counter, spec, space = counter_for(self.job.space), self.job.splitter, self.job.space
        lead = space.document_prefix
        lead_tokens = counter.count([lead])[0] if lead else 0
        room = spec.max_tokens - lead_tokens
        overlap = min(spec.overlap_tokens, room // 2)
        splitter = make(replace(spec, max_tokens=room, overlap_tokens=overlap), counter)
        doc_hash, seen = document.content_hash, Counter[str]()
        for ordinal, chunk in enumerate(splitter.split(document.text)):
            embedded = lead + chunk.embedded(document.text)
            text_hash = ids.digest(embedded)
            yield {
                "chunk_id": ids.chunk_id(document.doc_id, spec.fingerprint, text_hash, seen[text_hash]),
                "doc_id": document.doc_id,
                "uri": document.uri,
                "doc_hash": doc_hash,
                "doc_token": document.token,
                "ordinal": ordinal,
                "start": chunk.start,
                "end": chunk.end,
                "heading_path": list(chunk.heading_path),
                "text": document.text[chunk.start : chunk.end],
                "text_hash": text_hash,
                "tokens": chunk.tokens + lead_tokens,
                "metadata": document.metadata,
                "prefix": lead + chunk.prefix,
            }
            seen[text_hash] += 1


def split(context: Context, found: DocumentCounts) -> DocumentCounts:
    """Stage the chunks of documents whose content is new; gives the counts as reading corrects them."""
    _check_bound(context.job)
    changes = context.staging.read_table("changes").to_pylist()
    known = {row["doc_id"]: row for row in changes}
    listed = (Listed(row["doc_id"], row["uri"], row["token"]) for row in changes)
    writer = ShardWriter(context.staging, CHUNKS, schema.STAGED)
    cutter, letters, touched = Cutter(context.job), [], []
    new = changed = 0
    for done, document in enumerate(open_source(context.job.source).read(listed), start=1):
        context.progress("split", done, len(changes))
        if isinstance(document, DeadLetter):
            letters.append(document)
            continue
        before = known[document.doc_id]
        if (before["known_hash"], before["known_uri"]) == (document.content_hash, document.uri):
            continue
        rows, is_new = list(cutter.rows(document)), before["known_hash"] is None
        if is_new and not rows:
            continue  # an empty document: a table has nothing to hold of it
        new, changed = new + is_new, changed + (not is_new)
        touched.append(document.doc_id)
        for row in rows:
            writer.add(row)
    writer.flush()
    context.staging.bury("split", letters)
    context.staging.write_table("touched", pa.table({"doc_id": touched}, schema=schema.DOCUMENT_IDS))
    context.staging.write_json("chunks", {"rows": writer.written})
    context.check_failures()
    return replace(
        found,
        new=new,
        changed=changed,
        unchanged=found.unchanged + found.new + found.changed - new - changed - len(letters),
        failed=found.failed + len(letters),
    )


def _check_bound(job: Job) -> None:
    longest = limits(job.space).tokens_an_input
    if job.splitter.max_tokens > longest:
        raise InputError(
            f"max_tokens is {job.splitter.max_tokens}, "
            f"but {job.space.name} takes at most {longest} tokens a text"
        )
