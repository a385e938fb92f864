"""Analyses of real documentation in two languages, where it is at hand."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.analysis.clusters import clusters
from pipeline.analysis.drift import Side, drift
from pipeline.analysis.duplicates import duplicates
from pipeline.analysis.population import Population
from pipeline.analysis.queries import QUERIES
from pipeline.job import SourceSpec
from pipeline.objects import Objects
from pipeline.splitter_spec import SplitterSpec
from tests.support import corpus, job_for, run

pytestmark = pytest.mark.slow


def _named(table: pa.Table, language: str) -> pa.Table:
    ids = [f"{language}/{path}" for path in table["path"].to_pylist()]
    return pa.table({"id": ids, "text": table["text"]})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """FastAPI's pages: 100 English ones; a few more of these; then Japanese ones too."""
    base = tmp_path_factory.mktemp("analyses")
    english = _named(corpus("docs-fastapi-en-ja/en.parquet"), "en")
    japanese = _named(corpus("docs-fastapi-en-ja/ja.parquet"), "ja")
    mixed = english.take(pa.array([n * 37 % len(english) for n in range(len(english))]))
    source = SourceSpec("rows", str(base / "pages.parquet"), text="text", id="id")
    states = (mixed[:100], mixed[:120], pa.concat_tables([mixed[:120], japanese[:20]]))
    for pages in states:
        pq.write_table(pages, base / "pages.parquet")
        run(job_for(source, str(base / "store"), splitter=SplitterSpec("markdown", 256)))
    return Objects(str(base / "store"))


def _side(store: Objects, version: int) -> Side:
    return Side(f"version {version}", Population.of(store, "docs", version))


def test_more_of_the_same_is_no_drift_and_another_language_is(store: Objects) -> None:
    assert not drift(_side(store, 1), _side(store, 2)).alarm
    found = drift(_side(store, 2), _side(store, 3))
    assert found.alarm
    assert found.new is not None
    assert found.new.effect is not None
    assert found.new.effect > 0.1
    assert any(share.terms.japanese for share in found.new.shares[:2])


def test_clusters_part_the_languages(store: Objects) -> None:
    found = clusters(Population.of(store, "docs"))
    assert any(len(one.terms.japanese) >= 3 for one in found.clusters)
    assert any(one.terms.english and not one.terms.japanese for one in found.clusters)


def test_coverage_and_duplicates_hold_for_real_pages(store: Objects) -> None:
    by_folder = {
        row["source"]: row for row in QUERIES["coverage"].rows(Population.of(store, "docs"), by="folder")
    }
    assert by_folder["en"]["documents"] == 120
    assert by_folder["ja"]["languages"]["ja"] > 0.8
    found = duplicates(Population.of(store, "docs"))
    assert found.recall is None or found.recall > 0.9
    assert found.texts + found.exact == found.chunks
