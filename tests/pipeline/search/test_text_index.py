"""Text search where the index knows some rows and not others: what is new is found, and ranked alike."""

from pathlib import Path

import pytest

from pipeline.objects import Objects
from pipeline.search.ask import Ask
from pipeline.search.find import Searcher
from tests.flows.inside import vecmill_here
from tests.support import job_for, run, write_pages

_FIRST = {f"old-{n}.md": f"A river floods meadow {n}. 川が野原 {n} を流れる。" for n in range(12)}
_NEW = {"new.md": "The river and the comet. 流星群と川。", "other.md": "Bread is baked. 豆腐を食べる。"}


def test_rows_that_the_text_index_does_not_know_yet_are_found_as_those_that_it_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "store")
    folder = write_pages(tmp_path / "docs", _FIRST)
    run(job_for(folder, store))
    ran = vecmill_here(capsys, "maintain", "docs", "--store", store, "--json")
    assert ran.code == 0, ran.err
    run(job_for(write_pages(folder, _NEW), store))

    def found(query: str) -> list[str]:
        hits = Searcher(Objects(store), "docs").find(query, Ask(mode="text", top_k=20))
        return [hit["doc_id"] for hit in hits]

    queries = ("comet", "流星群", "豆腐", "river comet")
    behind = {query: found(query) for query in queries}
    assert behind["comet"] == behind["流星群"] == ["new.md"]
    assert behind["豆腐"] == ["other.md"]
    assert behind["river comet"][0] == "new.md"
    assert set(behind["river comet"]) == {"new.md", *_FIRST}
    assert vecmill_here(capsys, "maintain", "docs", "--store", store).code == 0
    assert {query: found(query)[:1] for query in queries} == {query: one[:1] for query, one in behind.items()}
