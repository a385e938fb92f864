"""Indexes: what they were measured to find is what they find, and they stay current."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.search import index as indexes
from pipeline.search import sketches
from pipeline.search.ask import Ask
from pipeline.search.find import Searcher
from pipeline.search.index import Index, Indexes, Measured, Wish
from pipeline.search.indexing import index_table, keep_current
from pipeline.search.sketches import Kept
from pipeline.search.truth import sampled, true_neighbours
from pipeline.store.log import Log
from tests.support import job_for, rows, run, write_pages

_WORDS = ["river", "stone", "bread", "light", "winter", "garden", "cloud", "tower"]
_WORDS += ["山", "川", "雪", "豆腐", "京都", "言葉", "朝", "海"]


def _pages(first: int, count: int) -> dict[str, str]:
    random = np.random.default_rng(first)
    return {
        f"{number}.md": "\n\n".join(
            f"# {n}\n\n{' '.join(random.choice(_WORDS, 12))} {number}-{n}" for n in range(60)
        )
        for number in range(first, first + count)
    }


@pytest.fixture
def folder(tmp_path: Path, store: str) -> Path:
    """The documents of a table of 1,200 chunks."""
    folder = write_pages(tmp_path / "docs", _pages(0, 20))
    run(job_for(folder, store))
    return folder


def _recall(store: str, ask: Ask) -> float:
    """The share of the true ten that searches find, told by numpy alone."""
    searcher = Searcher(Objects(store), "docs")
    queries, own = sampled(searcher.dataset, 200, seed=5)
    table = searcher.dataset.to_table(columns=["vector"], with_row_address=True)
    vectors = np.array(table["vector"].to_pylist(), np.float64)
    addresses, found = table["_rowaddr"].to_numpy(), []
    for query, row in zip(queries, own, strict=True):
        cosines = vectors @ query
        cosines[addresses == row] = -1
        bound = np.sort(cosines)[-10] - 1e-5
        ranked = searcher.ranked(searcher.question("", query, ask))
        places = {int(one): place for place, one in enumerate(addresses)}
        near = [cosines[places[int(one)]] for one in ranked.rows if one != row][:10]
        found.append(np.mean(np.array(near) >= bound))
    return float(np.mean(found))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ivf_rq", "ivf_sq", "ivf_flat", "hnsw_sq"])
def test_the_recall_that_is_told_is_the_recall_there_is(folder: Path, store: str, kind: str) -> None:
    before = rows(store)
    made = index_table(Objects(store), "docs", Wish(kind))
    assert (made["kind"], made["rows"], made["questions"]) == (kind, 1200, 400)
    assert made["recall"] >= 0.95
    assert _recall(store, Ask(top_k=11)) == pytest.approx(made["recall"], abs=0.02)
    assert _recall(store, Ask(top_k=11, exact=True)) == 1.0
    assert rows(store).equals(before)
    assert Log(Objects(store), "docs").live().kind == "index"


def test_a_funnel_over_sketches_finds_what_it_was_measured_to_find(folder: Path, store: str) -> None:
    made = index_table(Objects(store), "docs", Wish("none", 0.9), sketches=True)
    assert made["funnel"]["recall"] >= 0.9
    told = _recall(store, Ask(mode="funnel", top_k=11))
    assert told == pytest.approx(made["funnel"]["recall"], abs=0.03)
    assert _recall(store, Ask(mode="funnel", top_k=11, recall=0.999)) >= max(told, 0.98)


def test_a_funnel_over_a_single_chunk_finds_it(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path / "store"), create=True)
    run(job_for(write_pages(tmp_path / "docs", {"1.md": "Rivers flow. 川。"}), objects.uri))
    assert index_table(objects, "docs", Wish("none"), sketches=True)["funnel"]["vectors"] == 1
    hits = Searcher(objects, "docs").find("river", Ask(mode="funnel"))
    assert [hit["doc_id"] for hit in hits] == ["1.md"]


def test_new_rows_are_found_at_once_by_index_and_funnel(folder: Path, store: str) -> None:
    index_table(Objects(store), "docs", Wish("ivf_rq"), sketches=True)
    write_pages(folder, {"new.md": "# New\n\nZebras and quokkas. シマウマ。", "1.md": "Changed."})
    run(job_for(folder, store))
    for mode in ("vector", "funnel"):
        hits = Searcher(Objects(store), "docs").find("zebras quokkas", Ask(mode=mode, top_k=1))
        assert [hit["doc_id"] for hit in hits] == ["new.md"]
        many = Searcher(Objects(store), "docs").find("river", Ask(mode=mode, top_k=2000))
        assert len(many) == Log(Objects(store), "docs").live().chunks
        assert [hit["doc_id"] for hit in many].count("1.md") == 1


def test_where_sketches_lack_too_much_of_a_version_all_its_vectors_are_compared(
    folder: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_table(Objects(store), "docs", Wish("none"), sketches=True)
    write_pages(folder, _pages(20, 10))
    run(job_for(folder, store))
    monkeypatch.setattr(sketches, "_BARE", 500)
    assert _recall(store, Ask(mode="funnel", top_k=11)) == 1.0


def test_conditions_hold_in_the_funnel_and_in_the_index(folder: Path, store: str) -> None:
    index_table(Objects(store), "docs", Wish("ivf_rq"), sketches=True)
    for mode in ("vector", "funnel", "hybrid"):
        ask = Ask(mode=mode, top_k=30, where="doc_id in ('3.md', '4.md') and ordinal < 10")
        hits = Searcher(Objects(store), "docs").find("river", ask)
        assert len(hits) == 20 if mode != "hybrid" else hits
        assert {hit["doc_id"] for hit in hits} == {"3.md", "4.md"}


@pytest.mark.slow
def test_maintenance_brings_index_and_sketches_up_to_the_rows(folder: Path, store: str) -> None:
    objects = Objects(store)
    index_table(objects, "docs", Wish("ivf_rq"), sketches=True)
    assert keep_current(objects, "docs") is None
    write_pages(folder, _pages(20, 10))
    run(job_for(folder, store))
    would = keep_current(objects, "docs", dry_run=True)
    assert would == {"kind": "ivf_rq", "built": False, "measured": True, "sketched": True}
    assert keep_current(objects, "docs") == would
    live = Log(objects, "docs").live()
    known, plan = Indexes(objects, "docs").of(live.generation), Kept(objects, "docs", live.generation).plan()
    assert known is not None
    assert plan is not None
    assert (known.rows, plan.rows) == (1800, 1800)
    assert keep_current(objects, "docs") is None


def test_a_table_that_has_grown_large_gets_an_index_unless_none_is_wished_for(
    folder: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = Objects(store)
    assert keep_current(objects, "docs") is None
    monkeypatch.setattr(indexes, "_LARGE", 1000)
    assert keep_current(objects, "docs", dry_run=True) is not None
    index_table(objects, "docs", Wish("none"))
    assert keep_current(objects, "docs") is None


@pytest.mark.slow
def test_an_index_can_be_taken_away(folder: Path, store: str) -> None:
    index_table(Objects(store), "docs", Wish("ivf_sq"))
    made = index_table(Objects(store), "docs", Wish("none"))
    assert (made["kind"], made["recall"], made["version"]) == ("none", 1.0, 3)
    assert _recall(store, Ask(top_k=11)) == 1.0


@pytest.mark.slow
def test_an_older_version_without_the_index_is_searched_all_the_same(folder: Path, store: str) -> None:
    index_table(Objects(store), "docs", Wish("ivf_rq"))
    assert len(Searcher(Objects(store), "docs", at=1).find("river", Ask(top_k=5))) == 5


def test_the_effort_for_a_wish_is_the_least_that_finds_so_much() -> None:
    measured = tuple(Measured(probes, 5, recall, 1.0) for probes, recall in ((1, 0.8), (2, 0.96), (4, 0.99)))
    index = Index("ivf_rq", Wish(), 1000, 400, 1.0, measured)
    assert [effort and effort.probes for effort in map(index.effort, (0.5, None, 0.97, 0.999))] == [
        *(1, 2, 4),
        None,  # all vectors are compared
    ]
    assert Index.of(index.record()) == index


def test_neighbours_of_equals_are_as_good_as_each_other(folder: Path, store: str) -> None:
    searcher = Searcher(Objects(store), "docs")
    queries, own = sampled(searcher.dataset, 10)
    truth = true_neighbours(searcher.dataset, queries, own, 10)
    for place, row in enumerate(own):
        assert row not in truth.rows[place]
        cosines = np.full(10, truth.bounds[place])
        assert truth.recall(place, truth.rows[place] + np.uint64(1), cosines) == 1.0
        assert truth.recall(place, truth.rows[place], cosines - 0.1) == 0.0


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"kind": "magic"}, "no index 'magic'; choose one of auto, none, ivf_rq"),
        ({"recall": 1.5}, "--recall is 1.5"),
        ({"recall": 0.0}, "--recall is 0.0"),
        ({"top_k": 0}, "--top-k is 0"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(wish: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Wish(**wish)
