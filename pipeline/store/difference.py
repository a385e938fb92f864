"""What differs between two versions of a table: documents by their content, chunks by their ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lance
import orjson
import pyarrow as pa

from pipeline import schema
from pipeline.datasets import set_operations
from pipeline.objects import Objects, store_errors
from pipeline.store.log import Entry
from pipeline.store.table import open_version

if TYPE_CHECKING:
    import duckdb

_COLUMNS = ["doc_id", "doc_hash", "chunk_id"]

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
    """Compare two versions, of one generation or of two. What both have in the same files is not read."""
    old, new = (open_version(objects, table, entry) for entry in (before, after))
    shared = before.generation == after.generation
    with store_errors(objects.at(f"tables/{table}")), set_operations() as db:
        _take(db, "before", old, _parts(new) if shared else set())
        _take(db, "after", new, _parts(old) if shared else set())
        documents = db.sql(_DOCUMENTS).to_arrow_table()
        [(added, removed)] = db.execute(_CHUNKS).fetchall()
    is_new, is_gone = documents["is_new"].to_numpy(), documents["is_gone"].to_numpy()

    def ids(which: Any) -> list[str]:
        found: list[str] = documents["doc_id"].filter(pa.array(which)).to_pylist()
        return found

    return Difference(ids(is_new), ids(is_gone), ids(~is_new & ~is_gone), added, removed)


def _take(
    db: "duckdb.DuckDBPyConnection", name: str, dataset: lance.LanceDataset, shared: set[bytes]
) -> None:
    """Make a table of a version's rows, but for those of fragments that the other version has alike."""
    own = [fragment for fragment in dataset.get_fragments() if _part(fragment) not in shared]
    rows: Any = schema.STAGED.empty_table().select(_COLUMNS)
    if own:
        rows = dataset.scanner(columns=_COLUMNS, fragments=own).to_reader()
    db.from_arrow(rows).create(name)


def _parts(dataset: lance.LanceDataset) -> set[bytes]:
    return set(map(_part, dataset.get_fragments()))


def _part(fragment: lance.LanceFragment) -> bytes:
    """What a fragment is told by: its files, and which of their rows are deleted.

    A document's rows come and go together, so that fragments which are alike have no part in a difference.
    """
    return orjson.dumps(fragment.metadata.to_json())
