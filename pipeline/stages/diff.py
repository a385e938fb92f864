"""list and diff: what the source has, against what the table holds. Unchanged documents are not read."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import schema
from pipeline.datasets import set_operations
from pipeline.errors import InputError
from pipeline.job import Window
from pipeline.model import DeadLetter, DocumentCounts
from pipeline.objects import store_errors
from pipeline.ports import Advance, Source
from pipeline.stages.context import Context
from pipeline.stages.held import source_of
from pipeline.store.log import Entry
from pipeline.store.table import open_version

# What is the same on both sides is met once, and kept nowhere.
_FOUND = """
create temp table found as
select m.doc_id, m.uri, m.token, l.doc_id as known, l.uri as known_uri, l.doc_hash as known_hash,
       first, length
from stretches l full join manifest m on l.doc_id = m.doc_id
where l.doc_id is null or m.doc_id is null or {which}
"""
_ALTERED = "l.doc_token <> m.token or l.uri <> m.uri"
_NAMED = "m.doc_id in (select doc_id from named)"
_ALL = "true"

_CHANGES = """
select doc_id, any_value(uri) as uri, any_value(token) as token, any_value(known_hash) as known_hash,
       any_value(known_uri) as known_uri
from found m where {which} and doc_id > $after group by doc_id order by doc_id
"""
_MISSING = """
select known, any_value(known_uri) from found where doc_id is null group by known order by known
"""
_NEW = "select count(*) from found where known is null"
_WHOLE = Window("", 2**62)

_AT_ONCE = 32_768  # rows of the table

# Rows of a document that lie one behind the other, as they mostly all do.
_STRETCHES = pa.schema(
    [
        *((name, pa.string()) for name in ("doc_id", "uri", "doc_hash", "doc_token")),
        ("first", pa.uint64()),  # the first one's address
        ("length", pa.int64()),
    ]
)

_ADDRESSES = """
select known as doc_id, first + unnest(range(length)) as address from found
where known in (select doc_id from replaceable)
"""
ADDRESSES = "addresses"
"""Where the rows of documents lie that the run may replace, in the version that it was compared with."""


def list_documents(context: Context) -> int:
    """Stage the source's manifest; gives the number of documents listed, bad ones included."""
    rows: dict[str, list[str]] = {"doc_id": [], "uri": [], "token": []}
    letters: list[DeadLetter] = []
    for one in source_of(context).list():
        if isinstance(one, DeadLetter):
            letters.append(one)
            continue
        for name, value in asdict(one).items():
            rows[name].append(value)
        if len(rows["doc_id"]) % 1000 == 0:
            context.progress(Advance("list", len(rows["doc_id"]), None))
    context.staging.write_table("manifest", pa.table(rows, schema=schema.MANIFEST))
    context.staging.bury("list", letters)
    listed = len(rows["doc_id"]) + len(letters)
    context.staging.write_json("listed", {"documents": listed})
    return listed


def diff(context: Context) -> DocumentCounts:
    """Stage which documents have to be read, and which are gone; `new` and `changed` are not read yet."""
    found = _compared(context)
    context.staging.write_table("changes", found.changes)
    context.staging.write_table("gone", found.gone)
    context.staging.write_table(ADDRESSES, found.addresses)
    new = found.changes["known_hash"].null_count
    known = len(found.changes) - new
    return DocumentCounts(
        new=new,
        changed=known,
        unchanged=found.held - known,
        deleted=len(found.gone),
        failed=len(context.staging.dead_letters()),
    )


def still_right(context: Context, live: Entry) -> pa.Table | None:
    """Where the rows lie that the run may replace, now that another version is live.

    None where it would not find the same changes to make any more.
    """
    again, staged = _compared(replace(context, live=live)), context.staging
    found = ((again.changes, "changes"), (again.gone, "gone"))
    same = all(rows.equals(staged.read_table(name)) for rows, name in found)
    return again.addresses if same else None


@dataclass(frozen=True, slots=True)
class _Compared:
    """The source's manifest against a version of the table."""

    changes: pa.Table  # documents that are new, or whose token or place has changed
    gone: pa.Table  # documents that the source no longer has
    held: int  # documents of the manifest that the version holds
    addresses: pa.Table  # of the rows of documents that have changed, or are gone


def _compared(context: Context) -> _Compared:
    manifest, only = context.staging.read_table("manifest"), context.job.only
    with store_errors(context.job.store), set_operations() as db:
        db.register("manifest", manifest)
        db.register("stretches", _stretches(context))
        db.register("named", pa.table({"doc_id": list(only or ())}, schema=schema.DOCUMENT_IDS))
        which = _NAMED if only is not None else _ALL if context.job.everything else _ALTERED
        db.execute(_FOUND.format(which=which))
        window, which = context.job.window or _WHOLE, _ALL if only is None else _NAMED
        found = db.sql(_CHANGES.format(which=which), params={"after": window.after})
        # DuckDB 2.0.0 forgets a limit where the other side of the join is empty.
        changes = found.to_arrow_table().cast(schema.CHANGES).slice(0, window.most)
        missing = db.execute(_MISSING).fetchall()
        if only is not None:
            missing = [row for row in missing if row[0] in set(only)]
        [(new,)] = db.execute(_NEW).fetchall()
        source = source_of(context)
        gone = list(_gone(context, source, missing, _moved_from(changes, source)))
        gone_ids = pa.table({"doc_id": gone}, schema=schema.DOCUMENT_IDS)
        known = changes.filter(changes["known_hash"].is_valid())
        db.register("replaceable", pa.concat_tables([known.select(["doc_id"]), gone_ids]))
        addresses = db.sql(_ADDRESSES).to_arrow_table().cast(schema.ADDRESSES)
    return _Compared(changes, gone_ids, len(manifest) - new, addresses)


def _stretches(context: Context) -> pa.RecordBatchReader:
    """What the table holds of documents: it is its own ledger, and a document's rows lie side by side."""
    dataset = open_version(context.store, context.job.table, context.live) if context.live else None

    def scanned(dataset: lance.LanceDataset) -> Iterator[pa.RecordBatch]:
        scanner = dataset.scanner(
            _STRETCHES.names[:4],
            with_row_address=True,
            batch_size=_AT_ONCE,
            batch_readahead=2,
            fragment_readahead=1,
        )
        yield from scanner.to_batches()

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in scanned(dataset) if dataset else ():
            names, addresses = batch["doc_id"], batch["_rowaddr"].to_numpy()
            other = pc.not_equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
            starts = np.flatnonzero(np.concatenate([[True], other | (np.diff(addresses) != 1)]))
            lengths = np.diff(np.append(starts, len(batch)))
            found = batch.take(pa.array(starts))
            yield pa.RecordBatch.from_arrays([*found.columns, pa.array(lengths)], schema=_STRETCHES)

    return pa.RecordBatchReader.from_batches(_STRETCHES, batches())


def _moved_from(changes: pa.Table, source: Source) -> set[str]:
    """Roots that the source's documents were ingested from before, and which are no more.

    Raises InputError where a document of another source, which is still there, has the same id:
    one of the two would be lost.
    """
    roots = set()
    for row in changes.select(["doc_id", "uri", "known_uri"]).to_pylist():
        known: str | None = row["known_uri"]
        if known is None or known == row["uri"] or source.covers(known):
            continue
        if _exists(known):
            raise InputError(
                f"the table already holds {row['doc_id']!r} from {known}, which is another document than "
                f"{row['uri']}. Ingest the folder above both, or use another --table"
            )
        roots.add(known.removesuffix(quote(row["doc_id"])).removesuffix(row["doc_id"]))
    return roots


def _gone(
    context: Context,
    source: Source,
    missing: list[tuple[str, str]],
    moved_from: set[str],
) -> Iterator[str]:
    """Documents of this source that the table holds and the source no longer lists.

    A bad input is not a missing one: what the table holds of it stays. Where a bad row does not
    even tell its id, nothing can be said to be missing.
    """
    unreadable = {letter["doc_id"] for letter in context.staging.dead_letters()}
    if not context.job.delete_missing or "" in unreadable:
        return
    for doc_id, uri in missing:
        # A root that another document has left may still be the home of this one.
        moved = any(uri.startswith(root) for root in moved_from) and not _exists(uri)
        ours = moved or source.covers(uri)
        if ours and doc_id not in unreadable:
            yield doc_id


def _exists(uri: str) -> bool:
    path, _, _ = uri.removeprefix("file://").partition("#")  # what follows names a row of the file
    return uri.startswith("file://") and Path(unquote(path)).exists()
