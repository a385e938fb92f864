"""What differs between two versions of a table: documents by their content, chunks by their ids."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import schema
from pipeline.datasets import large_set_operations
from pipeline.objects import Objects, store_errors
from pipeline.store.log import Entry
from pipeline.store.table import open_version

_ROWS = pa.schema([schema.STAGED.field(name) for name in ("doc_id", "doc_hash", "chunk_id")])

_DOCUMENTS = """
with a as (select doc_id, any_value(doc_hash) as hash from before group by doc_id),
     b as (select doc_id, any_value(doc_hash) as hash from after group by doc_id)
select doc_id, a.hash is null as is_new, b.hash is null as is_gone
from a full join b using (doc_id) where a.hash is distinct from b.hash order by doc_id
"""
_CHUNKS = """
select (select count(*) from after anti join before using (chunk_id)),
       (select count(*) from before anti join after using (chunk_id))
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """From one version to another: ids of documents, in order, and numbers of chunks."""

    added: Sequence[str]
    removed: Sequence[str]
    changed: Sequence[str]
    chunks_added: int
    chunks_removed: int

    def record(self) -> dict[str, Any]:
        """The difference as JSON."""
        return {
            "documents": {"added": self.added, "removed": self.removed, "changed": self.changed},
            "chunks": {"added": self.chunks_added, "removed": self.chunks_removed},
        }


def difference(objects: Objects, table: str, before: Entry, after: Entry) -> Difference:
    """Compare two versions, of one generation or of two. Of what they share in files nothing is read."""
    old, new = (open_version(objects, table, entry) for entry in (before, after))
    shared = before.generation == after.generation
    with store_errors(objects.at(f"tables/{table}")), large_set_operations("500MB") as db:
        db.from_arrow(_only_in(old, new if shared else None)).create("before")
        db.from_arrow(_only_in(new, old if shared else None)).create("after")
        documents = db.sql(_DOCUMENTS).to_arrow_table()
        [(added, removed)] = db.execute(_CHUNKS).fetchall()
    is_new, is_gone = documents["is_new"].to_numpy(), documents["is_gone"].to_numpy()

    def ids(which: Any) -> list[str]:
        found: list[str] = documents["doc_id"].filter(pa.array(which)).to_pylist()
        return found

    return Difference(ids(is_new), ids(is_gone), ids(~is_new & ~is_gone), added, removed)


def _only_in(dataset: lance.LanceDataset, other: lance.LanceDataset | None) -> pa.RecordBatchReader:
    """A version's rows but for those that the other version has in the same files.

    A document's rows come and go together, so that the rows which are left tell all that differs.
    """
    twins = {_files(fragment): fragment for fragment in other.get_fragments()} if other else {}

    def batches() -> Iterator[pa.RecordBatch]:
        for fragment in dataset.get_fragments():
            twin = twins.get(_files(fragment))
            if twin is None:
                yield from fragment.to_batches(columns=_ROWS.names)
                continue
            own = np.setdiff1d(_addresses(fragment), _addresses(twin), assume_unique=True)
            if len(own):
                rows = dataset._take_rows(own.tolist(), columns=_ROWS.names)
                yield from rows.cast(_ROWS).to_batches()

    return pa.RecordBatchReader.from_batches(_ROWS, batches())


def _files(fragment: lance.LanceFragment) -> tuple[Any, ...]:
    """What a fragment's rows are told by, those that are deleted included."""
    return fragment.fragment_id, *(file.path for file in fragment.metadata.files)


def _addresses(fragment: lance.LanceFragment) -> npt.NDArray[np.uint64]:
    """Where the rows of a fragment stand that are not deleted; of the rows themselves nothing is read."""
    rows = fragment.scanner(columns=[], with_row_address=True).to_table()
    found: npt.NDArray[np.uint64] = rows["_rowaddr"].to_numpy()
    return found
