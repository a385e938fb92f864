"""Recalls the vectors of texts that are embedded already."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from pipeline import ids
from pipeline.adapters import as_turned
from pipeline.cache import VectorCache
from pipeline.datasets import Located, as_uuids, set_operations
from pipeline.job import Job
from pipeline.objects import store_errors
from pipeline.ports import Vectors
from pipeline.stages.context import Context
from pipeline.stages.sentences import SENTENCES
from pipeline.staging import read_shards
from pipeline.store.table import open_version


@contextmanager
def recalling(context: Context) -> Iterator["Recall"]:
    """Look up where the staged sentences' vectors are: in the cache, or else in the live version."""
    job, store = context.job, context.store
    cached = as_turned(store, job.space, VectorCache(store, job.space).open())
    live = open_version(store, job.table, context.live) if context.live else None
    datasets = [dataset for dataset in (cached, live) if dataset is not None]
    with set_operations() as db:
        with store_errors(job.store):
            db.execute("create temp table sentences (text_hash uuid)")
            for rows in read_shards(context.staging, SENTENCES, ["text_hash"]):
                hashes = as_uuids(rows["text_hash"].combine_chunks())
                db.from_arrow(pa.table({"text_hash": hashes})).insert_into("sentences")
            located = Located(db, "sentences", datasets) if datasets else None
        yield Recall(job, located)


class Recall:
    """Gives the vectors of staged sentences. It sends and pays nothing."""

    def __init__(self, job: Job, located: Located | None) -> None:
        self._store = job.store
        self._lead = job.space.document_prefix
        self._located = located
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
        if self._located is not None:
            with store_errors(self._store):
                found, vectors = self._located.take(wanted)
            flat = vectors.flatten().to_numpy()
            self._vectors[found.to_numpy()] = flat.reshape(-1, self._dimensions)
