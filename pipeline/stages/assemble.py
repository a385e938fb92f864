"""assemble: chunks join their vectors, and workers write them as Lance fragments that nobody sees yet.

Where each text's vector lies is found by one join of sets; the workers take the vectors from there.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import lance
import numpy as np
import orjson
import pyarrow as pa
from lance.file import LanceFileReader
from lance.fragment import write_fragments

from pipeline import schema
from pipeline.adapters import as_turned
from pipeline.cache import VectorCache
from pipeline.datasets import Located, as_uuids, large_set_operations, open_dataset, take_vectors
from pipeline.errors import VecmillError
from pipeline.job import Endpoint, Job
from pipeline.objects import Objects, store_errors
from pipeline.ports import Advance, Engine
from pipeline.sharding import Sharded, Shards, Steps
from pipeline.stages.context import Context
from pipeline.stages.plan import LOOKED_UP
from pipeline.stages.split import CHUNKS
from pipeline.staging import Staging
from pipeline.store.table import ensure_generation, fragment_rows, generation_name, open_version

FRAGMENTS = "fragments"

_BATCH = 4096  # rows of a fragment that are read at once

_HASHES = pa.schema([("text_hash", pa.uuid()), ("place", pa.int64())])
_STAGED = "create temp table staged as select * from hashes"
_ALIVE = "delete from located where place in (select place from staged semi join dead using (text_hash))"
_MISSING = """
select count(distinct text_hash) from staged anti join located using (place) anti join dead using (text_hash)
"""
_PLACES = "select source, address from staged left join located using (place) order by place"


@Sharded
def assemble(context: Context, engine: Engine) -> Steps[int]:
    """Stage the run's fragments; gives the number of rows in them."""
    job = context.job
    parts = Shards(context.staging.read_json("chunks")["rows"], fragment_rows(job.space.dimensions))
    yield parts.count
    own = job.generation or generation_name(1, job.space, job.splitter)
    generation = context.live.generation if context.live else own
    uri = ensure_generation(context.store, job.table, generation, job.space, job.splitter)
    datasets = _datasets(context)
    sources = tuple((dataset.uri, dataset.version) for dataset in datasets)
    step = FragmentWriter(replace(job, endpoint=Endpoint()), uri, sources)  # writing needs no key
    shards = context.staging.shards(CHUNKS)
    fragments, rows, done = list[str](), 0, 0
    for written in engine.map(step, _parts(context, shards, datasets)):
        fragments += written.fragments
        rows += written.rows
        done += written.shards
        context.progress(Advance("assemble", done, len(shards)))
        yield from parts.passed(rows)
    yield from parts.rest()
    context.staging.write_json(FRAGMENTS, {"generation": generation, "fragments": fragments, "rows": rows})
    return rows


@dataclass(frozen=True, slots=True)
class Part:
    """Staged chunks that become one fragment."""

    shards: Sequence[str]
    places: Sequence[pa.Table]  # source and address of each one's vectors, null for a dead letter's

    @property
    def rows(self) -> int:
        """Those that are written."""
        return sum(len(places) - places["address"].null_count for places in self.places)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a part."""

    fragments: list[str]  # as JSON
    rows: int
    shards: int


def _datasets(context: Context) -> list[lance.LanceDataset]:
    """What holds the vectors: the cache, and where that has lost them the live version.

    Last comes the cache as the plan was made by it: others may have made room in it since.
    """
    job, cache = context.job, VectorCache(context.store, context.job.space)
    planned = (context.staging.read_json(LOOKED_UP) or {}).get("version")
    cached, then = cache.open(), cache.open(planned) if planned else None
    live = open_version(context.store, job.table, context.live) if context.live else None
    if cached is not None and then is not None and cached.version == then.version:
        then = None
    return [dataset for dataset in (cached, live, then) if dataset is not None]


def _parts(context: Context, shards: Sequence[str], datasets: Sequence[lance.LanceDataset]) -> Iterator[Part]:
    """The staged chunks by fragment, each with where its vector lies."""
    with tempfile.TemporaryDirectory(prefix="vecmill-places-") as folder:
        places = f"{folder}/places.arrow"
        sizes = _locate(context, shards, datasets, places)
        most = fragment_rows(context.job.space.dimensions)
        with pa.memory_map(places) as file:  # nine bytes a row, which need not be in memory
            found = pa.ipc.open_file(file).read_all()
            names, own, first, rows = list[str](), list[pa.Table](), 0, 0
            for name, size in zip(shards, sizes, strict=True):
                names.append(name)
                # A copy: a slice would take all places along wherever it is sent.
                own.append(found.take(pa.array(np.arange(first, first + size))))
                first, rows = first + size, rows + size
                if rows >= most:
                    yield Part(names, own)
                    names, own, rows = [], [], 0
            if names:
                yield Part(names, own)


def _locate(
    context: Context, shards: Sequence[str], datasets: Sequence[lance.LanceDataset], places: str
) -> list[int]:
    """Write into a file where the vector of each staged chunk lies; gives the rows of each shard."""
    staging, sizes = context.staging, list[int]()

    def hashes() -> Iterator[pa.RecordBatch]:
        for rows in staging.read_tables(shards, ["text_hash"]):
            numbers = pa.array(np.arange(sum(sizes), sum(sizes) + len(rows)))
            sizes.append(len(rows))
            columns = [as_uuids(rows["text_hash"].combine_chunks()), numbers]
            yield pa.RecordBatch.from_arrays(columns, schema=_HASHES)

    with store_errors(context.job.store), large_set_operations() as db:
        db.register("hashes", pa.RecordBatchReader.from_batches(_HASHES, hashes()))
        db.execute(_STAGED)
        Located(db, "staged", datasets, by="place")
        db.register("dead", pa.table({"text_hash": as_uuids(staging.dead_hashes())}))
        db.execute(_ALIVE)
        found, nowhere = db.sql(_PLACES).to_arrow_reader(), 0
        with pa.ipc.new_file(places, found.schema) as file:
            for batch in found:
                file.write_batch(batch)
                nowhere += batch["address"].null_count
        missing = db.execute(_MISSING).fetchall()[0][0] if nowhere else 0
    if missing:
        raise VecmillError(
            f"{missing} texts that were embedded have no vector in the cache or the table; "
            "was the cache removed during the run? Run the same command again"
        )
    return sizes


def read_fragment(
    store: Objects, uri: str, fragment: str, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Read the rows of a generation's staged fragment, given as JSON, batch by batch."""
    for file in orjson.loads(fragment)["files"]:
        reader = LanceFileReader(f"{uri}/data/{file['path']}", store.options, [*columns])
        yield from reader.read_all(batch_size=_BATCH, batch_readahead=2).to_batches()


@dataclass(frozen=True)
class FragmentWriter:
    """Writes a part as a fragment. It pickles as data; its handles are made where it works."""

    job: Job
    uri: str
    sources: tuple[tuple[str, int], ...]  # URI and version of each dataset that holds vectors

    def __reduce__(self) -> tuple[Any, ...]:
        return FragmentWriter, (self.job, self.uri, self.sources)

    def __call__(self, part: Part) -> Written:
        """Write a part, a shard at a time; gives its fragments as JSON."""
        if not part.rows:
            return Written([], 0, len(part.shards))
        target, raised = schema.table(self.job.space, self.job.splitter), list[Exception]()
        rows = pa.RecordBatchReader.from_batches(target, self._batches(part, target, raised))
        try:
            with store_errors(self.uri):
                options = self._store.options
                made = write_fragments(rows, self.uri, schema=target, storage_options=options)
        except Exception as error:
            raise (raised[0] if raised else error) from None
        fragments = [orjson.dumps(fragment.to_json()).decode() for fragment in made]
        return Written(fragments, part.rows, len(part.shards))

    def _batches(self, part: Part, target: pa.Schema, raised: list[Exception]) -> Iterator[pa.RecordBatch]:
        """The rows of a part; what goes wrong is kept, since Lance would tell it as a fault of its own."""
        now = pa.scalar(datetime.now(UTC), pa.timestamp("us", tz="UTC"))
        try:
            for chunks, places in zip(self._staging.read_tables(part.shards), part.places, strict=True):
                if places["address"].null_count:
                    alive = places["address"].is_valid()
                    chunks, places = chunks.filter(alive), places.filter(alive)
                if not len(chunks):
                    continue
                sources, addresses = (places[name].combine_chunks() for name in ("source", "address"))
                rows = (
                    chunks.drop_columns(["prefix"])
                    .append_column("vector", take_vectors(self._datasets, sources, addresses))
                    .append_column("run_id", pa.repeat(self.job.run_id, len(chunks)))
                    .append_column("embedded_at", pa.repeat(now, len(chunks)))
                )
                yield from rows.cast(target).combine_chunks().to_batches()
        except Exception as error:
            raised.append(error)
            raise

    @cached_property
    def _store(self) -> Objects:
        return Objects(self.job.store)

    @cached_property
    def _staging(self) -> Staging:
        return Staging(self._store, self.job.run_id)

    @cached_property
    def _datasets(self) -> list[lance.LanceDataset]:
        space, cache = self.job.space, VectorCache(self._store, self.job.space).uri
        found = ((uri, open_dataset(uri, self._store.options, version)) for uri, version in self.sources)
        return [
            as_turned(self._store, space, dataset) if uri == cache else dataset
            for uri, dataset in found
            if dataset is not None
        ]
