"""The modes of search against what numpy says, on vectors of the embedded model."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.embedding import connect
from pipeline.model import Endpoint
from pipeline.objects import Objects
from pipeline.search.modes import MODES, Question, by_both, by_funnel, by_text, by_vector
from pipeline.store.log import Log
from pipeline.store.table import open_version
from tests.support import LOCAL, job_for, rows, run, write_pages

_WORDS = ["river", "stone", "bread", "light", "winter", "garden", "山", "川", "雪", "豆腐", "京都", "言葉"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """150 chunks of random words, in several fragments, some of them with deletions."""
    base, random = tmp_path_factory.mktemp("modes"), np.random.default_rng(7)

    def text() -> str:
        return "\n\n".join(f"# {n}\n\n{' '.join(random.choice(_WORDS, 5))} {n}" for n in range(10))

    folder = write_pages(base / "docs", {f"{n}.md": text() for n in range(10)})
    at = str(base / "store")
    run(job_for(folder, at))
    write_pages(folder, {f"{n}.md": text() for n in (1, 3, 12, 13, 14, 15, 16)})
    run(job_for(folder, at))
    return at


@pytest.fixture(scope="module", params=["the river in winter", "雪の山", "京都 の 言葉 bread"])
def question(request: pytest.FixtureRequest, store: str) -> Question:
    async def embedded() -> Any:
        return (await connect(LOCAL, Endpoint()).embed([request.param])).vectors[0]

    objects = Objects(store)
    dataset = open_version(objects, "docs", Log(objects, "docs").live())
    return Question(dataset, request.param, asyncio.run(embedded()), 12)


def _similarities(store: str, question: Question) -> dict[str, float]:
    table = rows(store)
    vectors = np.array(table["vector"].to_pylist(), dtype=np.float64)
    scores = vectors @ np.asarray(question.vector, dtype=np.float64)
    return dict(zip(table["chunk_id"].to_pylist(), scores.tolist(), strict=True))


@pytest.mark.parametrize("mode", ["vector", "funnel"])
def test_vectors_are_ranked_by_their_cosine(store: str, question: Question, mode: str) -> None:
    truth = _similarities(store, question)
    hits = MODES[mode](question)
    best = sorted(truth.values(), reverse=True)[:12]
    assert len(truth) == 150
    assert [hit["score"] for hit in hits] == pytest.approx(best, abs=1e-5)
    assert [hit["score"] for hit in hits] == pytest.approx([truth[h["chunk_id"]] for h in hits], abs=1e-5)


def test_every_hit_of_the_funnel_carries_the_text_of_its_own_chunk(store: str, question: Question) -> None:
    texts = dict(zip(*(rows(store)[name].to_pylist() for name in ("chunk_id", "text")), strict=True))
    hits = by_funnel(question)
    assert [hit["text"] for hit in hits] == [texts[hit["chunk_id"]] for hit in hits]


def test_text_finds_the_chunks_that_hold_a_word_of_the_query(store: str, question: Question) -> None:
    hits = by_text(question)
    words = set(question.text.split()) if question.text.isascii() else {"雪", "山", "京都", "言葉", "bread"}
    assert hits
    assert all(any(word in hit["text"] for word in words) for hit in hits)
    assert [hit["text_score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


def test_japanese_words_are_found_as_words(tmp_path: Path) -> None:
    at = str(tmp_path / "store")
    folder = write_pages(
        tmp_path / "docs", {"a.md": "東京都の人口。", "b.md": "京都の寺。", "c.md": "Kyoto temple"}
    )
    run(job_for(folder, at))
    dataset = open_version(Objects(at), "docs", Log(Objects(at), "docs").live())
    assert [hit["doc_id"] for hit in by_text(Question(dataset, "京都", None, 5))] == ["b.md"]
    assert [hit["doc_id"] for hit in by_text(Question(dataset, "TEMPLE", None, 5))] == ["c.md"]


def test_both_rankings_have_equal_weight_each_from_its_last_candidate_to_its_best(question: Question) -> None:
    wide = Question(question.dataset, question.text, question.vector, 100)
    expected: dict[str, float] = {}
    for ranking in (by_vector(wide), by_text(wide)):
        scores = [hit["score"] for hit in ranking]
        for hit in ranking:
            share = (hit["score"] - scores[-1]) / (scores[0] - scores[-1]) / 2
            expected[hit["chunk_id"]] = expected.get(hit["chunk_id"], 0.0) + share
    hits = by_both(question)
    best = sorted(expected.values(), reverse=True)[:12]
    assert [hit["score"] for hit in hits] == pytest.approx(best)
    assert all(hit["score"] == pytest.approx(expected[hit["chunk_id"]]) for hit in hits)
    assert {"vector_score", "text_score"} <= {name for hit in hits for name in hit}


def test_without_a_word_in_common_both_is_the_ranking_by_vector(store: str, question: Question) -> None:
    asked = Question(question.dataset, "ありません", question.vector, 5)
    assert by_text(asked) == []
    assert [hit["chunk_id"] for hit in by_both(asked)] == [hit["chunk_id"] for hit in by_vector(asked)]


def test_the_only_candidate_of_a_ranking_is_its_best(question: Question) -> None:
    where = f"chunk_id = '{by_text(question)[0]['chunk_id']}'"
    [hit] = by_both(Question(question.dataset, question.text, question.vector, 5, where))
    assert hit["score"] == 1.0
