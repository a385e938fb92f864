"""assemble: chunks join their vectors, and workers write them as Lance fragments that nobody sees yet."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from lance.fragment import write_fragments

from pipeline import schema
from pipeline.cache import VectorCache
from pipeline.datasets import VectorIndex
from pipeline.errors import VecmillError
from pipeline.model import Endpoint, Job
from pipeline.objects import Objects, store_errors
from pipeline.ports import Advance, Engine
from pipeline.stages.context import Context
from pipeline.stages.split import CHUNKS
from pipeline.staging import Staging
from pipeline.store.log import Entry
from pipeline.store.table import ensure_generation, generation_name, open_version

FRAGMENTS = "fragments"


def assemble(context: Context, engine: Engine) -> int:
    """Stage the run's fragments; gives the number of rows in them."""
    job = context.job
    own = job.generation or generation_name(1, job.space, job.splitter)
    generation = context.live.generation if context.live else own
    uri = ensure_generation(context.store, job.table, generation, job.space, job.splitter)
    step = FragmentWriter(replace(job, endpoint=Endpoint()), uri, context.live)  # writing needs no key
    shards = context.staging.shards(CHUNKS)
    written: list[str] = []
    rows = 0
    for done, (fragments, count) in enumerate(engine.map(step, shards), start=1):
        written += fragments
        rows += count
        context.progress(Advance("assemble", done, len(shards)))
    context.staging.write_json(FRAGMENTS, {"generation": generation, "fragments": written, "rows": rows})
    return rows


@dataclass(frozen=True)
class FragmentWriter:
    """Writes one shard of chunks as a fragment. It pickles as data; its handles are made where it works."""

    job: Job
    uri: str
    live: Entry | None

    def __reduce__(self) -> tuple[Any, ...]:
        return FragmentWriter, (self.job, self.uri, self.live)

    def __call__(self, shard: str) -> tuple[list[str], int]:
        """Write a staged shard; gives its fragments as JSON, and its number of rows."""
        chunks = self._staging.read_table(shard)
        chunks = chunks.filter(pc.invert(pc.is_in(chunks["text_hash"], value_set=self._dead)))
        if not len(chunks):
            return [], 0
        target = schema.table(self.job.space, self.job.splitter)
        now = pa.scalar(datetime.now(UTC), pa.timestamp("us", tz="UTC"))
        rows = (
            chunks.drop_columns(["prefix"])
            .append_column("vector", self._vectors(chunks["text_hash"].combine_chunks()))
            .append_column("run_id", pa.repeat(self.job.run_id, len(chunks)))
            .append_column("embedded_at", pa.repeat(now, len(chunks)))
        )
        with store_errors(self.uri):
            options = self._store.options
            fragments = write_fragments(rows.cast(target), self.uri, schema=target, storage_options=options)
        return [orjson.dumps(fragment.to_json()).decode() for fragment in fragments], len(rows)

    def _vectors(self, hashes: pa.Array) -> pa.Array:
        """The vectors of texts: from the cache, or from the live version where the cache has lost them."""
        places, vectors = [], []
        missing = pa.array(range(len(hashes)), pa.int64())
        for index in self._indexes:
            found, taken = index.take(hashes.take(missing))
            places.append(missing.take(found))
            vectors.append(taken)
            missing = missing.filter(pc.invert(pc.is_in(missing, value_set=places[-1])))
        if len(missing):
            raise VecmillError(
                f"{len(missing)} texts that were embedded have no vector in the cache or the table; "
                "was the cache removed during the run? Run the same command again"
            )
        order = pc.sort_indices(pa.concat_arrays(places))
        return pa.concat_arrays(vectors).take(order)

    @cached_property
    def _store(self) -> Objects:
        return Objects(self.job.store)

    @cached_property
    def _staging(self) -> Staging:
        return Staging(self._store, self.job.run_id)

    @cached_property
    def _dead(self) -> pa.Array:
        return self._staging.dead_hashes()

    @cached_property
    def _indexes(self) -> list[VectorIndex]:
        cached = VectorCache(self._store, self.job.space).open()
        live = open_version(self._store, self.job.table, self.live) if self.live else None
        return [VectorIndex(dataset) for dataset in (cached, live) if dataset is not None]
