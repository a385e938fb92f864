"""Hits: diverse ones, with the text around them."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.search.arrange import diverse
from pipeline.search.ask import MODES, Ask
from pipeline.search.find import Searcher
from pipeline.search.rank import by_vector, vectors_of
from tests.pipeline.search.conftest import Asking
from tests.support import job_for, run, write_pages

PAGE = "\n\n".join(f"# Part {n}\n\nRivers carry water number {n} to the sea. 川は海へ。" for n in range(7))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """One page of seven parts, thrice; and another."""
    base = tmp_path_factory.mktemp("pages")
    texts = {f"{name}.md": PAGE for name in "abc"} | {"o'hara.md": "# Ovens\n\nBread is baked in ovens."}
    at = str(base / "store")
    run(job_for(write_pages(base / "docs", texts), at))
    return Searcher(Objects(at), "docs")


def _likeness(asking: Asking, diversity: float) -> float:
    """The mean cosine between the hits."""
    question = asking(diversity=diversity, top_k=8)
    ranked = diverse(question, by_vector(question, 60), 8)
    vectors = vectors_of(question.dataset, ranked.rows)
    assert len(set(ranked.rows.tolist())) == 8
    return float((vectors @ vectors.T)[np.triu_indices(8, 1)].mean())


def test_the_more_diversity_is_asked_for_the_less_alike_hits_are(asking: Asking) -> None:
    plain, some, much = (_likeness(asking, diversity) for diversity in (0.0, 0.5, 1.0))
    assert plain >= some
    assert plain > much


def test_the_first_hit_is_the_best_however_diverse(asking: Asking) -> None:
    question = asking(diversity=0.9)
    best = by_vector(question, 60)
    assert diverse(question, best, 5).rows[0] == best.rows[0]


@pytest.mark.parametrize("mode", MODES)
def test_equal_chunks_come_once_where_diversity_is_asked_for(pages: Searcher, mode: str) -> None:
    ask = Ask(mode=mode, top_k=3, diversity=1.0)
    texts = [hit["text"] for hit in pages.find("water number 3", ask)]
    assert len(set(texts)) == len(texts) == 3


def test_the_text_around_a_hit_is_that_of_its_document(pages: Searcher) -> None:
    for reach in (1, 2, 50):
        for hit in pages.find("water number 3", Ask(mode="text", top_k=3, neighbours=reach)):
            context = hit["context"]
            joined = PAGE[context["start"] : context["end"]]
            assert context["text"].split() == joined.split()
            assert context["start"] <= hit["start"] < hit["end"] <= context["end"]
            assert hit["text"] in context["text"]
    assert context["text"].split() == PAGE.split()


def test_a_document_whose_name_has_a_quote_has_neighbours_too(pages: Searcher) -> None:
    [hit] = pages.find("bread ovens", Ask(mode="text", top_k=1, neighbours=1))
    assert hit["context"] == {"start": hit["start"], "end": hit["end"], "text": hit["text"]}


def test_many_questions_are_answered_as_each_alone(pages: Searcher) -> None:
    queries = ["water number 5", "川", "bread"]
    for mode in MODES:
        ask = Ask(mode=mode, top_k=4, where="doc_id <> 'b.md'")
        together = pages.find_all(queries, ask)
        assert [[hit["chunk_id"] for hit in hits] for hits in together] == [
            [hit["chunk_id"] for hit in pages.find(query, ask)] for query in queries
        ]
        assert all(hit["doc_id"] != "b.md" for hits in together for hit in hits)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [({"diversity": 2.0}, "--diversity is 2.0"), ({"neighbours": -1}, "--neighbours is -1")],
)
def test_wishes_beyond_their_bounds_are_refused(wishes: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Ask(**wishes)  # type: ignore[arg-type]
