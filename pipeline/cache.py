"""The vector cache: what has been paid for, shared by every table and run of a store."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from pipeline import schema
from pipeline.datasets import create_dataset, give_back, lost_race, open_dataset
from pipeline.objects import Objects, store_errors
from pipeline.space import Space

# Small appends make a scan slow long before they make it wrong.
_COMPACT_BEYOND = 50  # fragments
_READERS_DONE = 24.0  # hours: whoever still reads what was compacted is long gone then
_DELETED = 0.1  # of a fragment's rows: from there on it is written anew


class VectorCache:
    """text_hash -> vector of one space, in an append-only Lance dataset.

    Racing runs may append the same text twice; equal texts of one space have equal vectors, so
    whichever row is found serves.
    """

    def __init__(self, objects: Objects, space: Space) -> None:
        self._schema = schema.cache(space.base)
        self._objects = objects
        self._path = cache_path(folder_name(space))
        self.uri = objects.at(self._path)

    def open(self, version: int | None = None) -> lance.LanceDataset | None:
        """The dataset, or a version of it; None before the first vector, or where that version has gone."""
        with store_errors(self.uri):
            return open_dataset(self.uri, self._objects.options, version)

    def append(self, rows: pa.Table, now: datetime | None = None) -> None:
        """Take vectors in, durably: text_hash and vector."""
        added = np.full(len(rows), int((now or datetime.now(UTC)).timestamp()), "datetime64[s]")
        columns = [*rows.select(["text_hash", "vector"]).columns, pa.array(added)]
        taken = pa.table(columns, names=self._schema.names).cast(self._schema)
        with store_errors(self.uri):
            if self.open() is None:
                create_dataset(self._objects, self._path, self._schema.empty_table())
            options = self._objects.options
            lance.write_dataset(taken, self.uri, schema=self._schema, mode="append", storage_options=options)

    def compact(self) -> None:
        """Join small fragments where there are many; it is no harm if another process does the same."""
        dataset = self.open()
        if dataset is not None and len(dataset.get_fragments()) > _COMPACT_BEYOND:
            compact_cache(self._objects, self._path, _READERS_DONE)


def compact_cache(
    objects: Objects, path: str, grace: float, read: Collection[int] = (), *, dry_run: bool = False
) -> dict[str, int]:
    """Join a cache's small fragments, and give back what readers of `grace` hours ago do not need.

    `read` are versions that runs under way have looked into. Gives the fragments before, and the bytes given
    back.
    """
    uri = objects.at(path)
    with store_errors(uri):
        dataset = open_dataset(uri, objects.options)
        if dataset is None:
            return {"fragments": 0, "bytes": 0}
        fragments = dataset.get_fragments()
        if dry_run:
            return {"fragments": len(fragments), "bytes": 0}
        emptied = any(one.num_deletions > _DELETED * one.physical_rows for one in fragments)
        try:
            if len(fragments) > 1 or emptied:
                dataset.optimize.compact_files()
            size = give_back(dataset, grace, read)
        except OSError as error:
            if not lost_race(error):
                raise
            return {"fragments": len(fragments), "bytes": 0}
        return {"fragments": len(fragments), "bytes": size}


@dataclass(frozen=True, slots=True)
class Held:
    """What the cache has of one space."""

    space: Space
    vectors: int
    bytes: int
    newest: datetime | None  # when the latest was taken in

    def record(self) -> dict[str, Any]:
        """The same as JSON."""
        newest = self.newest.isoformat() if self.newest else None
        return {"space": self.space.name, "vectors": self.vectors, "bytes": self.bytes, "newest": newest}


def held(objects: Objects) -> Iterator[Held]:
    """What the cache has, space by space."""
    for folder in objects.folders("cache"):
        uri = objects.at(f"cache/{folder}")
        with store_errors(uri):
            dataset = open_dataset(uri, objects.options)
            if dataset is not None:
                rows = dataset.count_rows()
                newest = dataset.scanner(["added"], offset=rows - 1).to_table() if rows else None
                added = newest["added"][0].as_py() if newest else None
                yield Held(schema.space_of(dataset.schema), rows, size_of(dataset), added)


def size_of(dataset: lance.LanceDataset) -> int:
    """Bytes of the data that a version is made of."""
    files = (file for fragment in dataset.get_fragments() for file in fragment.data_files())
    return sum(file.file_size_bytes or 0 for file in files)


def cache_path(folder: str) -> str:
    """Where the cache of a space is, by its folder's name."""
    return f"cache/{folder}.lance"


def folder_name(space: Space) -> str:
    """A space's name as folders bear it: readable, and unique by its fingerprint.

    What an adapter turns is kept, and paid for, as the model gives it.
    """
    paid = space.base
    return re.sub(r"[^A-Za-z0-9.@]+", "_", paid.name) + "-" + paid.fingerprint[:8]
