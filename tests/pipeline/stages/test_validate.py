"""validate: the gate reads what was written, and lets nothing broken through."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from lance.fragment import write_fragments

from pipeline import schema
from pipeline.engine import InlineEngine
from pipeline.errors import StoreRefused, VecmillError
from pipeline.stages.assemble import FRAGMENTS
from pipeline.stages.context import Context
from pipeline.stages.validate import validate
from pipeline.store.table import generation_uri
from tests.pipeline.stages.steps import assembled
from tests.support import job_for, write_pages

Vectors = np.ndarray[Any, Any]


@pytest.fixture
def context(tmp_path: Path, store: str) -> Context:
    """A run with four chunks staged."""
    folder = write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}, 頁 {n}." for n in range(4)})
    return assembled(job_for(folder, store))[0]


def _fragments(context: Context) -> tuple[str, dict[str, Any]]:
    staged = context.staging.read_json(FRAGMENTS)
    return generation_uri(context.store, context.job.table, staged["generation"]), staged


def _rewrite(context: Context, change: Callable[[pa.Table], pa.Table], nullable: bool = False) -> None:
    """Put other rows in the place of the staged ones."""
    from lance.file import LanceFileReader

    uri, staged = _fragments(context)
    [fragment] = staged["fragments"]
    [file] = orjson.loads(fragment)["files"]
    rows = change(LanceFileReader(f"{uri}/data/{file['path']}").read_all().to_table())
    target = schema.table(context.job.space, context.job.splitter)
    if nullable:
        target = pa.schema([field.with_nullable(True) for field in rows.schema])
    made = write_fragments(rows.cast(target), f"{uri}-aside" if nullable else uri, schema=target)
    staged["fragments"] = [orjson.dumps(one.to_json()).decode() for one in made]
    if nullable:  # Lance itself would not add such rows to this dataset
        for one in made:
            for written in one.to_json()["files"]:
                Path(f"{uri}-aside/data/{written['path']}").rename(f"{uri}/data/{written['path']}")
    context.staging.write_json(FRAGMENTS, staged)


def _with_vectors(change: Callable[[Vectors], Vectors]) -> Callable[[pa.Table], pa.Table]:
    def changed(rows: pa.Table) -> pa.Table:
        flat = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
        vectors = change(flat.copy()).astype(np.float32)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
        return rows.set_column(rows.schema.get_field_index("vector"), "vector", column)

    return changed


def _at(row: int, value: float) -> Callable[[Vectors], Vectors]:
    def changed(vectors: Vectors) -> Vectors:
        vectors[row] = value
        return vectors

    return changed


def test_what_was_assembled_passes(context: Context) -> None:
    validate(context, InlineEngine())


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (_at(2, float("nan")), 1),
        (_at(0, float("inf")), 1),
        (_at(3, 0.0), 1),
        (lambda vectors: vectors * 1.01, 4),
        (lambda vectors: vectors * 0.5, 4),
        (lambda vectors: np.vstack([vectors[:3], vectors[3:] * -1.002]), 1),
    ],
)
def test_vectors_that_are_not_of_length_one_are_counted_and_refused(
    context: Context, change: Callable[[Vectors], Vectors], wrong: int
) -> None:
    _rewrite(context, _with_vectors(change))
    with pytest.raises(VecmillError, match=f"{wrong} vectors are not of length 1; readers still see"):
        validate(context, InlineEngine())


def test_lengths_off_by_rounding_only_pass(context: Context) -> None:
    _rewrite(context, _with_vectors(lambda vectors: vectors * 1.0005))
    validate(context, InlineEngine())


@pytest.mark.parametrize("keep", [[0, 1, 2], [0, 1, 2, 3, 0]])
def test_a_wrong_number_of_rows_is_refused(context: Context, keep: list[int]) -> None:
    _rewrite(context, lambda rows: rows.take(keep))
    with pytest.raises(VecmillError, match=f"{len(keep)} rows are staged for 4 chunks"):
        validate(context, InlineEngine())


def test_two_chunks_of_one_id_are_refused(context: Context) -> None:
    _rewrite(context, lambda rows: rows.take([0, 1, 2, 2]))
    with pytest.raises(VecmillError, match="two staged chunks have the same id"):
        validate(context, InlineEngine())


def test_a_chunk_without_a_vector_is_refused(context: Context) -> None:
    def lost(rows: pa.Table) -> pa.Table:
        vectors = rows["vector"].combine_chunks()
        column = vectors.take(pa.array([0, 1, None, 3]))
        return rows.set_column(rows.schema.get_field_index("vector"), "vector", column)

    _rewrite(context, lost, nullable=True)
    with pytest.raises(VecmillError, match="not every chunk has a vector of 64 dimensions"):
        validate(context, InlineEngine())


def test_vectors_of_another_length_are_refused(context: Context) -> None:
    def halved(vectors: Vectors) -> Vectors:
        norms: Vectors = np.linalg.norm(vectors[:, :32], axis=1, keepdims=True)
        shorter: Vectors = vectors[:, :32] / norms
        return shorter

    _rewrite(context, _with_vectors(halved), nullable=True)
    with pytest.raises(VecmillError, match="not every chunk has a vector of 64 dimensions"):
        validate(context, InlineEngine())


def test_fragments_counted_less_the_chunks_of_rejected_texts_pass(context: Context) -> None:
    _rewrite(context, lambda rows: rows.slice(1))
    context.staging.write_json("dead-letters/embed", [{"text_hash": "rejected"}])
    validate(context, InlineEngine())
    context.staging.write_json("dead-letters/split", [{"text_hash": ""}])  # a document, not a chunk
    validate(context, InlineEngine())


def test_a_staged_file_that_is_gone_is_a_fault_of_the_store(context: Context) -> None:
    uri, _ = _fragments(context)
    for path in Path(uri, "data").iterdir():
        path.unlink()
    with pytest.raises(StoreRefused):
        validate(context, InlineEngine())
