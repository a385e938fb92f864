"""A backfill of 100,000 chunks with ingests landing meanwhile, against a fresh ingest, row for row."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.job import SourceSpec
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from tests.backfills import fill, filling_job, live, switched
from tests.integration.test_backfill import Meanwhile
from tests.support import job_for, rows, run

_DOCUMENTS, _PARAGRAPHS = 2_510, 20
_SPACE = Space("local", "wordllama", 128)
_SPLITTER = SplitterSpec("recursive", 16, prefix_headings=False)


def _write(path: Path, versions: dict[int, int], left_out: set[int]) -> None:
    """Rows as documents: each of twenty paragraphs that fill a chunk, in both languages."""
    numbers = [number for number in range(_DOCUMENTS + len(versions)) if number not in left_out]
    texts = [
        "\n\n".join(
            f"Row {number}, paragraph {n}, edition {versions.get(number, 0)}: 川の水は{n}。"
            for n in range(_PARAGRAPHS)
        )
        for number in numbers
    ]
    pq.write_table(pa.table({"id": [f"{number:05d}" for number in numbers], "text": texts}), path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_chunks_equal_a_fresh_ingest_row_for_row(tmp_path: Path, store: str) -> None:
    file = tmp_path / "rows.parquet"
    source = SourceSpec("rows", str(file), text="text", id="id")
    versions, left_out = dict[int, int](), set[int]()

    def ingests() -> None:
        done = len(versions)
        versions[done * 700 + 3] = done + 1
        left_out.add(done * 700 + 5)
        _write(file, versions, left_out)
        run(job_for(source, store, splitter=_SPLITTER))

    _write(file, versions, left_out)
    run(job_for(source, store, splitter=_SPLITTER))
    assert live(store).chunks >= 100_000
    job = filling_job(store, space=_SPACE, splitter=_SPLITTER)
    filling = fill(job, part=25_000, runner=Meanwhile("assemble", ingests, times=3))
    assert (filling.level_with, filling.rebuilt) == (4, 0)
    assert filling.documents.failed == 0
    switched(job, filling)
    fresh = str(tmp_path / "fresh")
    run(job_for(source, fresh, space=_SPACE, splitter=_SPLITTER))
    assert rows(store).equals(rows(fresh))
    assert len(rows(store)) >= 100_000
