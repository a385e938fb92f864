"""The columns of a table, as the design has them, and what the creation schema says about it."""

from pathlib import Path

import pyarrow as pa

from pipeline import schema
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.log import Log
from pipeline.store.table import open_version
from tests.support import LOCAL, job_for, run, write_pages

_COLUMNS = [
    ("chunk_id", pa.string()),
    ("doc_id", pa.string()),
    ("uri", pa.string()),
    ("doc_hash", pa.string()),
    ("doc_token", pa.string()),
    ("ordinal", pa.int32()),
    ("start", pa.int64()),
    ("end", pa.int64()),
    ("heading_path", pa.list_(pa.string())),
    ("text", pa.string()),
    ("text_hash", pa.string()),
    ("tokens", pa.int32()),
    ("metadata", pa.string()),
    ("vector", pa.list_(pa.float32(), 64)),
    ("run_id", pa.string()),
    ("embedded_at", pa.timestamp("us", tz="UTC")),
]


def test_a_published_table_has_the_designed_columns_and_nothing_else(tmp_path: Path, store: str) -> None:
    job = job_for(write_pages(tmp_path / "docs", {"山.md": "# 山\n\n山は高い。"}), store)
    run(job)
    dataset = open_version(Objects(store), "docs", Log(Objects(store), "docs").live())
    assert [(field.name, field.type) for field in dataset.schema] == _COLUMNS
    assert not any(field.nullable for field in dataset.schema)
    assert schema.specs(dataset.schema) == (job.space, job.splitter)
    assert (dataset.schema.metadata or {})[b"vecmill.schema"] == b"1"
    [row] = dataset.to_table().to_pylist()
    assert (row["doc_id"], row["ordinal"], row["heading_path"]) == ("山.md", 0, ["山"])
    assert (row["start"], row["end"], row["metadata"]) == (0, 10, "{}")
    assert row["run_id"] == job.run_id


def test_what_is_staged_are_the_columns_before_the_vector_and_the_prefix() -> None:
    assert schema.STAGED.names == [name for name, _ in _COLUMNS[:13]] + ["prefix"]
    assert schema.CHANGES.names[:3] == schema.MANIFEST.names


def test_the_specs_come_back_with_every_parameter() -> None:
    space = Space("openai", "intfloat/e5@v2", 1024, "文書: ", "質問: ", normalised=True)
    splitter = SplitterSpec("recursive", 100, 50, prefix_headings=False)
    assert schema.specs(schema.table(space, splitter)) == (space, splitter)
    assert schema.vectors(LOCAL.dimensions).field("vector").type == pa.list_(pa.float32(), 64)
