"""Measures of how far two rankings agree."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.agreement import correlation, documents, overlap


def _hit(doc_id: str, start: int, end: int) -> dict[str, Any]:
    return {"doc_id": doc_id, "start": start, "end": end}


_HITS = st.lists(
    st.builds(lambda doc, start, size: _hit(doc, start, start + size), st.sampled_from("abc"),
              st.integers(0, 50), st.integers(1, 20)), max_size=12
)  # fmt: skip
_RANKING = st.lists(st.sampled_from("abcdefghij"), unique=True)


def test_hits_are_shared_where_they_lie_on_a_common_piece_of_one_document() -> None:
    one = [_hit("a", 0, 10), _hit("b", 0, 10)]
    assert overlap(one, [_hit("a", 9, 30), _hit("b", 10, 20)], 10) == 0.5
    assert overlap(one, [_hit("c", 0, 10)], 10) == 0.0
    assert overlap(one, [_hit("a", 0, 5), _hit("a", 5, 10)], 10) == 0.75
    assert overlap(one, one[:1], 1) == 1.0
    assert overlap([], [], 5) == 1.0


@given(_HITS, _HITS, st.integers(1, 12))
def test_overlap_is_a_share_the_same_both_ways_and_whole_with_itself(
    one: list[dict[str, Any]], other: list[dict[str, Any]], k: int
) -> None:
    assert overlap(one, one, k) == 1.0
    assert 0.0 <= overlap(one, other, k) == overlap(other, one, k) <= 1.0


def test_a_reversed_order_correlates_with_minus_one_and_ties_share_their_ranks() -> None:
    assert correlation(list("abcd"), list("dcba"), 4) == pytest.approx(-1.0)
    assert correlation(list("abcd"), list("abdc"), 4) == pytest.approx(0.8)
    assert correlation(list("abc"), list("abxy"), 3) == pytest.approx(0.8)
    assert correlation(list("ab"), list("cd"), 2) == pytest.approx(-4 / 4.5)  # ranks 0, 1, 2.5, 2.5
    assert correlation(["a"], ["a"], 5) == 1.0


@given(_RANKING, _RANKING, st.integers(1, 10))
def test_correlation_lies_between_minus_one_and_one_and_is_one_with_itself(
    one: list[str], other: list[str], k: int
) -> None:
    assert correlation(one, one, k) == pytest.approx(1.0)
    value = correlation(one, other, k)
    assert -1.0 - 1e-9 <= value <= 1.0 + 1e-9
    assert value == pytest.approx(correlation(other, one, k))


def test_documents_stand_where_their_best_chunk_does() -> None:
    assert documents([_hit("b", 0, 1), _hit("a", 0, 1), _hit("b", 1, 2)]) == ["b", "a"]
