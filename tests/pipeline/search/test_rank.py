"""Rankings by one measure, against what numpy says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.objects import Objects
from pipeline.search import rank
from pipeline.search.ask import METRICS, Ask
from pipeline.search.find import Searcher
from pipeline.search.question import Question
from pipeline.search.rank import batches, by_scan, by_vector, by_words
from tests.pipeline.search.conftest import Asking
from tests.support import job_for, run, write_pages


def _truth(question: Question) -> tuple[Any, Any]:
    """Every row, and by numpy alone how near its vector is."""
    read = list(batches(question.dataset))
    vectors = np.concatenate([vectors for _, vectors in read]).astype(np.float64)
    assert question.vector is not None
    query = question.vector.astype(np.float64)
    scores = {
        "cosine": vectors @ query,
        "dot": vectors @ query,
        "l2": -np.linalg.norm(vectors - query, axis=1),
        "l1": -np.abs(vectors - query).sum(axis=1),
    }
    return np.concatenate([rows for rows, _ in read]), scores[question.ask.metric]


@pytest.mark.parametrize("metric", METRICS)
def test_vectors_are_ranked_by_the_metric(asking: Asking, metric: str) -> None:
    question = asking(metric=metric)
    rows, scores = _truth(question)
    best = np.argsort(-scores)[:12]
    for ranked in (by_vector(question, 12), by_scan(question, 12)):
        assert ranked.scores == pytest.approx(scores[best], abs=2e-5)
        known = dict(zip(rows.tolist(), scores, strict=True))
        assert ranked.scores == pytest.approx([known[row] for row in ranked.rows.tolist()], abs=2e-5)
    assert len(rows) == 150


@pytest.mark.parametrize("few", [10, 20_000])
@pytest.mark.parametrize("metric", METRICS)
def test_of_allowed_rows_the_nearest_are_found_however_many_there_are(
    asking: Asking, metric: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank, "_FEW", few)
    question = asking(metric=metric)
    rows, scores = _truth(question)
    allowed = np.sort(rows[np.argsort(scores)[:40]])  # the farthest ones
    ranked = by_vector(asking(metric=metric, allowed=allowed), 12)
    assert set(ranked.rows.tolist()) <= set(allowed.tolist())
    assert ranked.scores == pytest.approx(np.sort(scores)[:40][::-1][:12], abs=2e-5)


def test_where_nothing_is_allowed_nothing_is_found(asking: Asking) -> None:
    nobody = asking(allowed=np.zeros(0, np.uint64))
    for ranking in (by_vector, by_words, by_scan):
        assert len(ranking(nobody, 5).rows) == 0


def test_words_find_the_chunks_that_hold_one_of_the_query(asking: Asking) -> None:
    question = asking()
    ranked = by_words(question, 12)
    texts = question.dataset._take_rows(ranked.rows.tolist(), columns=["text"])["text"].to_pylist()
    meant = set(question.text.split()) if question.text.isascii() else {"雪", "山", "京都", "言葉", "bread"}
    assert texts
    assert all(any(word in text for word in meant) for text in texts)
    assert ranked.scores.tolist() == sorted(ranked.scores.tolist(), reverse=True)


def test_words_are_ranked_among_allowed_rows_as_among_all(asking: Asking) -> None:
    everything = by_words(asking(), 150)
    allowed = np.sort(everything.rows[::3])
    ranked = by_words(asking(allowed=allowed), 150)
    assert ranked.rows.tolist() == everything.only(allowed).rows.tolist()


def test_japanese_words_are_found_as_words(tmp_path: Path) -> None:
    at = str(tmp_path / "store")
    folder = write_pages(
        tmp_path / "docs", {"a.md": "東京都の人口。", "b.md": "京都の寺。", "c.md": "Kyoto temple"}
    )
    run(job_for(folder, at))
    searcher = Searcher(Objects(at), "docs")
    for query, found in (("京都", ["b.md"]), ("TEMPLE", ["c.md"])):
        assert [hit["doc_id"] for hit in searcher.find(query, Ask(mode="text"))] == found
