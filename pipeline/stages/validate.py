"""validate: the last look between what is staged and what readers see. It reads what was written."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.datasets import as_uuids, large_set_operations
from pipeline.errors import VecmillError
from pipeline.objects import Objects, store_errors
from pipeline.ports import Engine
from pipeline.sharding import Sharded, Shards, Steps
from pipeline.stages.assemble import FRAGMENTS, read_fragment
from pipeline.stages.context import Context
from pipeline.store.table import generation_uri

_NORM_TOLERANCE = 1e-3
_COUNTS = "select count(*), count(distinct chunk_id) from ids"


@Sharded
def validate(context: Context, engine: Engine) -> Steps[None]:
    """Check the staged fragments; raises VecmillError, naming the check, before anything is visible.

    Checked are the number of rows against the staged chunks, chunk ids against each other, and each
    vector: finite, and of length 1.
    """
    staged = context.staging.read_json(FRAGMENTS)
    shards = Shards(len(staged["fragments"]), 1)
    yield shards.count
    uri = generation_uri(context.store, context.job.table, staged["generation"])
    step = FragmentCheck(context.job.store, uri, context.job.space.dimensions)
    with large_set_operations() as db:
        db.execute("create temp table ids (chunk_id uuid)")
        for done, ids in enumerate(engine.map(step, staged["fragments"]), start=1):
            db.from_arrow(pa.table({"chunk_id": ids})).insert_into("ids")
            yield from shards.passed(done)
        [(rows, distinct)] = db.execute(_COUNTS).fetchall()
    if rows != _expected(context):
        raise _failed(f"{rows} rows are staged for {_expected(context)} chunks")
    if distinct != rows:
        raise _failed("two staged chunks have the same id")


@dataclass(frozen=True, slots=True)
class FragmentCheck:
    """Checks the vectors of a staged fragment."""

    store: str
    uri: str  # of the generation
    dimensions: int

    def __call__(self, fragment: str) -> pa.ChunkedArray:
        """Read a fragment, given as JSON; gives its chunk ids as numbers of 128 bits. Raises VecmillError."""
        ids, wrong = list[pa.Array](), 0
        with store_errors(self.uri):
            for rows in read_fragment(Objects(self.store), self.uri, fragment, ["chunk_id", "vector"]):
                wrong += _not_of_length_one(rows["vector"], self.dimensions)
                ids.append(as_uuids(rows["chunk_id"]))
        if wrong:
            raise _failed(f"{wrong} vectors are not of length 1")
        return pa.chunked_array(ids, pa.uuid())


def _expected(context: Context) -> int:
    chunks: int = context.staging.read_json("chunks")["rows"]
    return chunks - len(context.staging.dead_hashes())


def _not_of_length_one(vectors: pa.Array, dimensions: int) -> int:
    if vectors.null_count or vectors.type.list_size != dimensions:
        raise _failed(f"not every chunk has a vector of {dimensions} dimensions")
    matrix = vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, dimensions)
    with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is of no length near 1
        norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    return int((~(np.abs(norms - 1) <= _NORM_TOLERANCE)).sum())


def _failed(what: str) -> VecmillError:
    return VecmillError(f"validation stopped the publish: {what}; readers still see the version before")
