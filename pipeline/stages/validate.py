"""validate: the gate between what is staged and what readers see. It reads what was written."""

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from lance.file import LanceFileReader

from pipeline.errors import VecmillError
from pipeline.objects import store_errors
from pipeline.stages.assemble import FRAGMENTS
from pipeline.stages.context import Context
from pipeline.store.table import generation_uri

_NORM_TOLERANCE = 1e-3


def validate(context: Context) -> None:
    """Check the staged fragments; raises VecmillError, naming the check, before anything is visible.

    Checked are the number of rows against the staged chunks, chunk ids against each other, and each
    vector: finite, and of length 1.
    """
    staged = context.staging.read_json(FRAGMENTS)
    uri = generation_uri(context.store, context.job.table, staged["generation"])
    ids: list[pa.ChunkedArray] = []
    for text in staged["fragments"]:
        for file in orjson.loads(text)["files"]:
            with store_errors(uri):
                place, columns = f"{uri}/data/{file['path']}", ["chunk_id", "vector"]
                reader = LanceFileReader(place, context.store.options, columns)
                rows = reader.read_all().to_table()
            _check_vectors(rows["vector"], context.job.space.dimensions)
            ids.append(rows["chunk_id"])
    chunk_ids = pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string())
    if len(chunk_ids) != _expected(context):
        raise _failed(f"{len(chunk_ids)} rows are staged for {_expected(context)} chunks")
    if pc.count_distinct(chunk_ids).as_py() != len(chunk_ids):
        raise _failed("two staged chunks have the same id")


def _expected(context: Context) -> int:
    chunks: int = context.staging.read_json("chunks")["rows"]
    return chunks - len(context.staging.dead_hashes())


def _check_vectors(vectors: pa.ChunkedArray, dimensions: int) -> None:
    if vectors.null_count or vectors.type.list_size != dimensions:
        raise _failed(f"not every chunk has a vector of {dimensions} dimensions")
    flat = vectors.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    norms = np.linalg.norm(flat.reshape(-1, dimensions).astype(np.float64), axis=1)
    wrong = int((~(np.abs(norms - 1) <= _NORM_TOLERANCE)).sum())
    if wrong:
        raise _failed(f"{wrong} vectors are not of length 1")


def _failed(what: str) -> VecmillError:
    return VecmillError(f"validation stopped the publish: {what}; readers still see the version before")
