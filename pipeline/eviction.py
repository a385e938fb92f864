"""Eviction: keeps the vector caches of a store within a bound, by giving up what was not used for longest.

A text was last used when its vector was taken in, or when a run found it there: each run that finds some
notes it in a small file. What is evicted is paid for again if it is ever needed, unless a table's live
version has it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import ids, schema
from pipeline.cache import folder_name, size_of
from pipeline.datasets import large_set_operations, lost_race, open_dataset, without
from pipeline.objects import Objects, store_errors
from pipeline.space import Space

if TYPE_CHECKING:
    import duckdb

_ROOM = 0.9  # of the bound: so that the next maintenance has not to evict again
_FEW = 8  # files of uses that are left alone

_USES = "create temp table uses (text_hash varchar, used timestamptz)"
_ROWS = "create temp table rows (cache utinyint, address ubigint, used timestamptz, size double)"
_READ = """
insert into rows select $cache, _rowaddr, greatest(added, coalesce(used, added)), $size
from keys left join (select text_hash, max(used) as used from uses group by text_hash) using (text_hash)
"""
_DOOMED = """
create temp table doomed as select cache, address, size from (
    select *, sum(size) over (order by used desc, cache, address) as until from rows
) where until > $most and used < $since
"""
_OF_CACHE = "select address from doomed where cache = ? order by address"
_FOLDED = "select text_hash, max(used) as used from uses semi join keys using (text_hash) group by text_hash"


@dataclass(frozen=True, slots=True)
class Evicted:
    """What was given up, or would be, of all caches of a store."""

    bytes_before: int = 0
    texts: int = 0
    bytes: int = 0
    bytes_over: int = 0  # above the bound all the same: runs under way, or to be taken up, may need them

    def record(self) -> dict[str, int]:
        """The same as JSON."""
        return asdict(self)


def note_uses(objects: Objects, space: Space, run_id: str, hashes: pa.ChunkedArray) -> None:
    """Note that a run uses vectors of texts which the cache has."""
    if len(hashes):
        now = np.full(len(hashes), int(datetime.now(UTC).timestamp()), "datetime64[s]")
        rows = pa.table([hashes, pa.array(now)], names=schema.USES.names).cast(schema.USES)
        _write(objects, f"{_folder(folder_name(space))}/{run_id}.parquet", rows)


def evict(objects: Objects, most: int, since: datetime, *, dry_run: bool = False) -> Evicted:
    """Bring the caches of a store down to `most` bytes; what was used after `since` stays.

    What somebody else writes to a cache at that moment can keep its rows there until the next time.
    """
    names = objects.folders("cache")
    with store_errors(objects.at("cache")):
        opened = [open_dataset(objects.at(f"cache/{name}"), objects.options) for name in names]
    datasets = [dataset for dataset in opened if dataset is not None]
    before = sum(map(size_of, datasets))
    if before <= most:
        return Evicted(before)
    with store_errors(objects.at("cache")), _reading() as db:
        db.execute(_ROWS)
        for cache, dataset in enumerate(datasets):
            _read(db, objects, dataset, cache)
        db.execute(_DOOMED, {"most": most * _ROOM, "since": since.replace(microsecond=0)})
        if not dry_run:
            for cache, dataset in enumerate(datasets):
                _delete(db, cache, dataset, objects)
        [(texts, size)] = db.execute("select count(*), coalesce(sum(size), 0) from doomed").fetchall()
    return Evicted(before, texts, int(size), max(0, before - int(size) - most))


def fold_uses(objects: Objects) -> int:
    """Put the uses of many runs together, without those of texts that are gone; gives the files taken."""
    folded = 0
    for folder in objects.folders("uses"):
        paths = objects.paths(_folder(folder))
        if len(paths) <= _FEW:
            continue
        with store_errors(objects.at("uses")), _reading() as db:
            _read_uses(db, objects, folder)
            dataset = open_dataset(objects.at(f"cache/{folder}.lance"), objects.options)
            db.register("keys", schema.USES.empty_table() if dataset is None else dataset)
            rows = db.sql(_FOLDED).to_arrow_table().cast(schema.USES)
        if len(rows):
            _write(objects, f"{_folder(folder)}/{ids.new_run_id()}.parquet", rows)
        objects.delete_all(paths)
        folded += len(paths)
    return folded


@contextmanager
def _reading() -> "Iterator[duckdb.DuckDBPyConnection]":
    with large_set_operations() as db:
        db.execute(f"set timezone = 'UTC'; {_USES}")
        yield db


def _read(db: "duckdb.DuckDBPyConnection", objects: Objects, dataset: lance.LanceDataset, cache: int) -> None:
    """Read when each row of a cache was last used."""
    _read_uses(db, objects, folder_name(schema.space_of(dataset.schema)))
    keys = dataset.scanner(columns=["text_hash", "added"], with_row_address=True).to_reader()
    db.register("keys", keys)
    db.execute(_READ, {"cache": cache, "size": size_of(dataset) / max(1, dataset.count_rows())})


def _read_uses(db: "duckdb.DuckDBPyConnection", objects: Objects, folder: str) -> None:
    db.execute("delete from uses")
    for data in objects.get_all(objects.paths(_folder(folder)), 4):
        if data is not None:  # another maintenance may have put it together with others
            with pq.ParquetFile(pa.BufferReader(data)) as file:
                db.from_arrow(file.read()).insert_into("uses")


def _delete(
    db: "duckdb.DuckDBPyConnection", cache: int, dataset: lance.LanceDataset, objects: Objects
) -> None:
    found = db.sql(_OF_CACHE, params=[cache]).to_arrow_table()["address"].combine_chunks()
    if not len(found):
        return
    updated, removed = without(dataset, found)
    operation = lance.LanceOperation.Update(
        removed_fragment_ids=removed, updated_fragments=updated, new_fragments=[], fields_modified=[]
    )
    try:
        transaction = lance.Transaction(dataset.version, operation)
        lance.LanceDataset.commit(dataset.uri, transaction, storage_options=objects.options)
    except OSError as error:
        if not lost_race(error):
            raise
        db.execute("delete from doomed where cache = ?", [cache])


def _write(objects: Objects, path: str, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    objects.put(path, sink.getvalue().to_pybytes())


def _folder(name: str) -> str:
    return f"uses/{name}"
