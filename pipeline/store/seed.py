"""Seeds the vector cache with vectors that somebody has paid for already.

They are gone through twice: once to see which texts there are, as sets out of core, and once to take in
what is chosen. So memory does not grow with them, and nothing is taken in of what cannot be read to its end.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import schema
from pipeline.cache import VectorCache
from pipeline.datasets import large_set_operations
from pipeline.errors import InputError
from pipeline.objects import Objects, store_errors
from pipeline.ports import Advance, Progress, Vectors, silent
from pipeline.space import Space

_APPEND_BYTES = 64 * 2**20
_READ_BYTES = 16 * 2**20
_REASONS = 5  # that are told
_PROBES = 8  # numbers that a vector is told by: its products with as many fixed random directions
_APART = 0.2  # by which those of two vectors may differ, in parts of what they usually come to

_SEEN = pa.schema(
    [("place", pa.int64()), ("text_hash", pa.string()), ("probe", pa.list_(pa.float32(), _PROBES))]
)
_FIRSTS = """
create temp table firsts as
select text_hash, min(place) as place, arg_min(probe, place) as probe, count(*) as times
from seen group by text_hash
"""
_ODD = """
create temp table odd as
select text_hash, any_value(firsts.place) as place, min(seen.place) as other, any_value(times) as times
from seen join firsts using (text_hash)
where array_distance(seen.probe, firsts.probe) > $apart group by text_hash
"""
_CHOSEN = """
select place from firsts anti join odd using (text_hash) anti join cached using (text_hash) order by place
"""
_COUNTS = """
select (select count(*) from firsts anti join odd using (text_hash) semi join cached using (text_hash)),
       (select coalesce(sum(times) - count(*), 0) from firsts anti join odd using (text_hash)),
       (select coalesce(sum(times), 0) from odd)
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Vectors that fit their space, with the texts they are of."""

    places: npt.NDArray[np.int64]  # of their rows in what is read, from 1
    hashes: list[str]  # of the texts
    vectors: Vectors  # float32[n, d]


@dataclass(slots=True)
class Faults:
    """What is wrong with rows: how many there are, and the first reasons."""

    rows: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str, rows: int = 1) -> None:
        """Take note of rows that are left out."""
        self.rows += rows
        if len(self.reasons) < _REASONS:
            self.reasons.append(reason)


@dataclass(frozen=True, slots=True)
class Seeded:
    """What became of the vectors that were read: the counts but `scaled` come to all rows."""

    space: str
    rows: int
    taken: int  # texts whose vectors the cache did not have
    known: int  # texts whose vectors it had
    duplicates: int  # rows whose text another has, with the same vector
    scaled: int  # rows whose vectors were not of length 1, and are now
    bad: Faults

    def record(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


@dataclass(slots=True)
class Reading:
    """One reading of what holds vectors, to its end: what comes out is right, the rest is counted."""

    batches: Iterator[Batch]
    rows: int = 0
    scaled: int = 0
    bad: Faults = field(default_factory=Faults)


def seed(objects: Objects, space: Space, read: Callable[[], Reading], progress: Progress = silent) -> Seeded:
    """Take vectors into a store's cache, those of texts that it does not have.

    `read` begins to read; it is called twice. Rows that give one text different vectors are bad: which of
    them is right cannot be told.
    """
    if space.adapter:
        raise InputError(
            f"vectors of {space.name} are an adapter's work, and the cache keeps those of {space.base.name}; "
            "import these, the others come of themselves"
        )
    cache = VectorCache(objects, space)
    first = read()
    with store_errors(cache.uri), large_set_operations() as db:
        cached = cache.open()
        db.register("cached", schema.vectors(space.dimensions).empty_table() if cached is None else cached)
        db.from_arrow(_SEEN.empty_table()).create("seen")
        for seen in _seen(first, space):  # DuckDB would read a stream in threads of its own
            db.from_arrow(seen).insert_into("seen")
            progress(Advance("read", first.rows, None))
        # Two vectors of length 1 that have nothing to do with each other are some 1.4 apart.
        db.execute(_FIRSTS)
        db.execute(_ODD, {"apart": _APART * (2 * _PROBES / space.dimensions) ** 0.5})
        [(known, duplicates, differ)] = db.execute(_COUNTS).fetchall()
        odd = db.execute("select place, other from odd order by place limit ?", [_REASONS]).fetchall()
        chosen = db.sql(_CHOSEN).to_arrow_table()["place"].to_numpy()
    for place, other in odd:
        first.bad.add(f"rows {place} and {other} have the same text, and different vectors", 0)
    first.bad.rows += int(differ)
    if len(chosen):
        _take_in(cache, read(), chosen, progress)
    return Seeded(space.name, first.rows, len(chosen), known, int(duplicates), first.scaled, first.bad)


def of_version(dataset: lance.LanceDataset) -> Reading:
    """Read the vectors of a table's version."""
    dimensions = dataset.schema.field("vector").type.list_size
    rows = max(64, _READ_BYTES // (4 * dimensions))

    def batches() -> Iterator[Batch]:
        columns = ["text_hash", "vector"]
        scan = dataset.scanner(columns, batch_size=rows, batch_readahead=2, fragment_readahead=1)
        for batch in scan.to_batches():
            places = np.arange(reading.rows + 1, reading.rows + 1 + len(batch))
            reading.rows += len(batch)
            vectors = batch["vector"].flatten().to_numpy().reshape(-1, dimensions)
            yield Batch(places, batch["text_hash"].to_pylist(), vectors)

    reading = Reading(batches())
    return reading


def _seen(reading: Reading, space: Space) -> Iterator[pa.Table]:
    """What sets are made of: each row's place, its text, and what its vector is told by."""
    directions = np.random.default_rng(0).choice([-1.0, 1.0], (space.dimensions, _PROBES))
    directions = (directions / space.dimensions**0.5).astype(np.float32)

    for batch in reading.batches:
        lengths = np.linalg.norm(batch.vectors, axis=1, keepdims=True)
        told = (batch.vectors / np.maximum(lengths, np.finfo(np.float32).tiny)) @ directions
        probes = pa.FixedSizeListArray.from_arrays(pa.array(told.reshape(-1)), _PROBES)
        yield pa.table([pa.array(batch.places), pa.array(batch.hashes), probes], schema=_SEEN)


def _take_in(cache: VectorCache, reading: Reading, chosen: npt.NDArray[np.int64], progress: Progress) -> None:
    """Append the vectors of chosen places, which are in order."""
    waiting: list[pa.Table] = []
    done = 0
    for batch in reading.batches:
        own = np.isin(batch.places, chosen[slice(*np.searchsorted(chosen, batch.places[[0, -1]] + [0, 1]))])
        if not own.any():
            continue
        hashes = pa.array(batch.hashes).filter(pa.array(own))
        flat = pa.array(batch.vectors[own].reshape(-1))
        columns = [hashes, pa.FixedSizeListArray.from_arrays(flat, batch.vectors.shape[1])]
        waiting.append(pa.table(columns, schema=schema.vectors(batch.vectors.shape[1])))
        if sum(table.nbytes for table in waiting) >= _APPEND_BYTES:
            done += _append(cache, waiting)
            progress(Advance("take in", done, len(chosen)))
    _append(cache, waiting)
    cache.compact()


def _append(cache: VectorCache, waiting: list[pa.Table]) -> int:
    if not waiting:
        return 0
    rows = pa.concat_tables(waiting)
    cache.append(rows)
    waiting.clear()
    return len(rows)
