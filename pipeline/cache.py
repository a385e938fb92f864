"""The vector cache: what has been paid for, shared by every table and run of a store."""

import re
from datetime import timedelta

import lance
import pyarrow as pa

from pipeline import schema
from pipeline.datasets import create_dataset, lost_race, open_dataset
from pipeline.model import Space
from pipeline.objects import Objects, store_errors

# Small appends make a scan slow long before they make it wrong.
_COMPACT_BEYOND = 50  # fragments
_READERS_DONE = timedelta(days=1)  # whoever still reads what was compacted is long gone then


class VectorCache:
    """text_hash -> vector of one space, in an append-only Lance dataset.

    Racing runs may append the same text twice; equal texts of one space have equal vectors, so
    whichever row is found serves.
    """

    def __init__(self, objects: Objects, space: Space) -> None:
        self._schema = schema.vectors(space.dimensions)
        self._objects = objects
        self._path = f"cache/{folder_name(space)}.lance"
        self.uri = objects.at(self._path)

    def open(self) -> lance.LanceDataset | None:
        """The dataset; None before the first vector."""
        with store_errors(self.uri):
            return open_dataset(self.uri)

    def append(self, rows: pa.Table) -> None:
        """Take vectors in, durably."""
        with store_errors(self.uri):
            if self.open() is None:
                create_dataset(self._objects, self._path, self._schema.empty_table())
            lance.write_dataset(rows, self.uri, schema=self._schema, mode="append")

    def compact(self) -> None:
        """Join small fragments where there are many; it is no harm if another process does the same."""
        dataset = self.open()
        if dataset is None or len(dataset.get_fragments()) <= _COMPACT_BEYOND:
            return
        with store_errors(self.uri):
            try:
                dataset.optimize.compact_files()
                dataset.cleanup_old_versions(older_than=_READERS_DONE)
            except OSError as error:
                if not lost_race(error):
                    raise


def folder_name(space: Space) -> str:
    """A space's name as folders bear it: readable, and unique by its fingerprint."""
    return re.sub(r"[^A-Za-z0-9.@]+", "_", space.name) + "-" + space.fingerprint[:8]
