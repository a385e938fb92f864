"""Measures of rankings, against numbers worked out by hand, and against their bounds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.labelled import Mean
from pipeline.analysis.measures import measures, recall


def test_the_measures_of_one_ranking_are_those_worked_out_by_hand() -> None:
    ranking, grades = ["x", "a", "y", "b", "z"], {"a": 1.0, "b": 2.0, "c": 1.0}
    found = {name: one.mean for name, one in measures([ranking], [grades], 5).items()}
    best = 2 + 1 / math.log2(3) + 1 / math.log2(4)
    assert found == pytest.approx(
        {
            "ndcg@5": (1 / math.log2(3) + 2 / math.log2(5)) / best,
            "recall@5": 2 / 3,
            "mrr@5": 1 / 2,
            "map@5": (1 / 2 + 2 / 4) / 3,
        },
        abs=1e-4,
    )


def test_only_the_first_documents_count() -> None:
    found = measures([["x", "y", "a"]], [{"a": 1.0}], 2)
    assert [one.mean for one in found.values()] == [0.0, 0.0, 0.0, 0.0]


def test_more_answers_than_places_can_still_all_be_right() -> None:
    found = measures([["a", "b"]], [dict.fromkeys("abcd", 1.0)], 2)
    assert [found[name].mean for name in ("ndcg@2", "mrr@2", "map@2")] == [1.0, 1.0, 1.0]
    assert found["recall@2"].mean == 0.5


_IDS = st.sampled_from("abcdefghij")


@given(
    st.lists(
        st.tuples(
            st.lists(_IDS, unique=True),
            st.dictionaries(_IDS, st.floats(0.5, 4.0), min_size=1),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 12),
)
def test_every_measure_lies_between_0_and_1_within_its_bounds(
    asked: list[tuple[list[str], dict[str, float]]], depth: int
) -> None:
    for score in measures([one for one, _ in asked], [two for _, two in asked], depth).values():
        assert 0.0 <= score.low <= score.mean <= score.high <= 1.0


def test_the_mean_lies_in_its_interval_nineteen_times_in_twenty() -> None:
    import random

    chance, inside = random.Random(3), 0
    for _ in range(400):
        drawn = Mean.of([float(chance.random() < 0.4) for _ in range(100)])
        inside += drawn.low <= 0.4 <= drawn.high
    assert 0.91 <= inside / 400 <= 0.98


def test_recall_is_of_all_that_are_relevant_also_where_not_all_fit() -> None:
    wanted = dict.fromkeys("abc", 1.0)
    assert recall(list("axb"), wanted, 3) == pytest.approx(2 / 3)
    assert recall(list("abc"), wanted, 2) == pytest.approx(2 / 3)
