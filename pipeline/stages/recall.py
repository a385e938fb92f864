"""Recalls the vectors of texts that are embedded already."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from pipeline import ids
from pipeline.cache import VectorCache
from pipeline.datasets import VectorIndex
from pipeline.objects import store_errors
from pipeline.ports import Vectors
from pipeline.stages.context import Context
from pipeline.store.table import open_version


class Recall:
    """Looks vectors up: in the cache, then in the live version. It sends and pays nothing."""

    def __init__(self, context: Context) -> None:
        job, store = context.job, context.store
        self._store = job.store
        self._lead = job.space.document_prefix
        cached = VectorCache(store, job.space).open()
        live = open_version(store, job.table, context.live) if context.live else None
        self._indexes = [VectorIndex(dataset) for dataset in (cached, live) if dataset is not None]
        self._rows: dict[str, int] = {}
        self._dimensions = job.space.dimensions
        self._vectors: Vectors = np.zeros((0, self._dimensions), np.float32)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """The vectors[n, d] of texts; zeros for those that nothing holds."""
        hashes = [ids.digest(self._lead + text) for text in texts]
        if any(one not in self._rows for one in hashes):
            self._load(hashes)
        return self._vectors[[self._rows[one] for one in hashes]]

    def load(self, texts: Iterable[str]) -> None:
        """Look up what will be asked for next, at once: a look-up of a few takes as long as one of many."""
        self._load([ids.digest(self._lead + text) for text in texts])

    def _load(self, hashes: Sequence[str]) -> None:
        wanted = pa.array(dict.fromkeys(hashes), pa.string())
        self._rows = {one: place for place, one in enumerate(wanted.to_pylist())}
        self._vectors = np.zeros((len(wanted), self._dimensions), np.float32)
        missing = np.arange(len(wanted))
        with store_errors(self._store):
            for index in self._indexes:
                found, vectors = index.take(wanted.take(pa.array(missing)))
                places = missing[found.to_numpy()]
                self._vectors[places] = vectors.flatten().to_numpy().reshape(-1, self._dimensions)
                missing = np.setdiff1d(missing, places)
