"""The chunks of one version as analyses see them: streamed in batches, or a sample of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import InputError
from pipeline.objects import Objects, store_errors
from pipeline.ports import Vectors
from pipeline.space import Space
from pipeline.store.table import open_version
from pipeline.store.versions import At, entry_at

BATCH = 16_384  # rows at once

Rows = npt.NDArray[np.uint64]
"""Where rows of a Lance dataset lie, ascending."""

Keep = Callable[[Any], Rows]
"""Chooses rows of a Lance dataset."""


@dataclass(frozen=True, slots=True)
class Population:
    """The chunks of a version, or some of them. A chunk's place is its rank among them."""

    table: str
    version: int
    space: Space
    dataset: Any  # a Lance dataset
    rows: Rows
    whole: bool = True  # whether these are all rows of the dataset

    @classmethod
    def of(cls, store: Objects, table: str, at: At = None, keep: Keep | None = None) -> "Population":
        """The chunks of a table's live version, or of another; raises InputError where there are none."""
        entry = entry_at(store, table, at)
        space, _ = entry.specs()
        dataset = open_version(store, table, entry)
        with store_errors(dataset.uri):
            rows = keep(dataset) if keep else _all_rows(dataset)
        if not len(rows):
            left = "no such chunks" if entry.chunks else "no chunks"
            raise InputError(
                f"version {entry.version} of table {table!r} has {left}; there is nothing to analyse"
            )
        return cls(table, entry.version, space, dataset, rows, keep is None)

    @property
    def count(self) -> int:
        """Chunks."""
        return len(self.rows)

    def batches(self) -> Iterator[Vectors]:
        """The vectors[n, d], L2-normalised, by place."""
        for batch in self.stream("vector"):
            yield _matrix(batch["vector"])

    def stream(self, *names: str) -> Iterator[pa.RecordBatch]:
        """Columns, some thousand rows at once, by place."""
        if self.whole:
            found = self.dataset.scanner(
                columns=list(names), batch_size=BATCH, scan_in_order=True
            ).to_batches()
            yield from (batch for batch in found if len(batch))
            return
        for at in range(0, len(self.rows), BATCH):
            rows = self.dataset._take_rows(self.rows[at : at + BATCH].tolist(), columns=list(names))
            yield from rows.to_batches()

    def columns(self, *names: str) -> pa.Table:
        """Columns of all chunks, by place; small ones, such as ids."""
        if self.whole:
            return self.dataset.to_table(columns=list(names), scan_in_order=True)
        return self.dataset._take_rows(self.rows.tolist(), columns=list(names))

    def take(self, places: npt.NDArray[np.int64], *names: str) -> pa.Table:
        """Columns of some chunks, by their places."""
        return self.dataset._take_rows(self.rows[places].tolist(), columns=list(names))

    def vectors(self, places: npt.NDArray[np.int64]) -> Vectors:
        """The vectors[n, d] of some chunks, by their places."""
        return _matrix(self.take(places, "vector")["vector"])

    def sample(self, size: int, seed: int = 0) -> npt.NDArray[np.int64]:
        """The places of `size` chunks drawn at random, of all where there are no more; ascending."""
        if size >= self.count:
            return np.arange(self.count)
        return np.sort(np.random.default_rng(seed).choice(self.count, size, replace=False))


def _all_rows(dataset: Any) -> Rows:
    found = dataset.to_table(columns=[], with_row_address=True, scan_in_order=True)
    rows: Rows = found["_rowaddr"].to_numpy()
    return rows


def _matrix(column: pa.Array | pa.ChunkedArray) -> Vectors:
    """A column of vectors as float32[n, d]."""
    vectors = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found: Vectors = vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(vectors), -1)
    return found
