"""Two rankings as one."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.search.ask import Ask
from pipeline.search.fusion import by_both, by_confidence
from pipeline.search.question import NOTHING, Ranked
from pipeline.search.rank import by_vector, by_words
from tests.pipeline.search.conftest import Asking


def _scaled(ranked: Ranked) -> dict[int, float]:
    scores = ranked.scores
    shares = (scores - scores[-1]) / (scores[0] - scores[-1])
    return dict(zip(ranked.rows.tolist(), shares.tolist(), strict=True))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_weighted_sum_gives_the_vector_its_share_and_the_text_the_rest(
    asking: Asking, alpha: float
) -> None:
    question = asking(mode="hybrid", alpha=alpha)
    nearest, worded = _scaled(by_vector(question, 100)), _scaled(by_words(question, 100))
    expected = {
        row: alpha * nearest.get(row, 0.0) + (1 - alpha) * worded.get(row, 0.0) for row in nearest | worded
    }
    ranked = by_both(question, 12)
    assert ranked.scores == pytest.approx(sorted(expected.values(), reverse=True)[:12])
    assert ranked.scores == pytest.approx([expected[row] for row in ranked.rows.tolist()])


def test_ranks_are_joined_by_their_reciprocals(asking: Asking) -> None:
    question = asking(mode="hybrid", fusion="ranks")
    expected: dict[int, float] = {}
    for ranked in (by_vector(question, 100), by_words(question, 100)):
        for place, row in enumerate(ranked.rows.tolist(), start=1):
            expected[row] = expected.get(row, 0.0) + 1 / (60 + place)
    assert by_both(question, 12).scores == pytest.approx(sorted(expected.values(), reverse=True)[:12])


def _ranked(scores: list[float]) -> Ranked:
    return Ranked(np.arange(len(scores), dtype=np.uint64), np.array(scores))


def test_a_ranking_with_one_clear_hit_weighs_more_than_one_where_all_are_alike() -> None:
    clear, vague = _ranked([9.0, 2.0, 2.0, 1.0]), _ranked([0.71, 0.70, 0.70, 0.69])
    nearest, worded = by_confidence(vague, clear)
    assert worded.weight > 0.9
    assert nearest.weight + worded.weight == pytest.approx(1.0)


def test_rankings_that_say_nothing_of_themselves_weigh_the_same() -> None:
    nearest, worded = by_confidence(_ranked([0.5]), _ranked([3.0]))
    assert (nearest.weight, worded.weight) == (0.5, 0.5)


def test_an_empty_ranking_weighs_nothing() -> None:
    nearest, worded = by_confidence(_ranked([0.9, 0.5]), NOTHING)
    assert (nearest.weight, worded.weight) == (1.0, 0.0)


@pytest.mark.parametrize("fusion", ["confidence", "ranks"])
def test_without_a_word_in_common_both_is_the_ranking_by_vector(asking: Asking, fusion: str) -> None:
    question = asking(mode="hybrid", text="ありません", fusion=fusion)
    assert len(by_words(question, 5).rows) == 0
    assert by_both(question, 5).rows.tolist() == by_vector(question, 5).rows.tolist()


def test_the_only_candidate_of_both_is_their_best(asking: Asking) -> None:
    allowed = by_words(asking(mode="hybrid"), 1).rows
    [score] = by_both(asking(mode="hybrid", allowed=allowed), 5).scores
    assert score == 1.0


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"mode": "vector", "alpha": 0.5}, "go with --mode hybrid"),
        ({"mode": "hybrid", "alpha": 1.5}, "--alpha is 1.5; it is between 0 and 1"),
        ({"mode": "hybrid", "fusion": "ranks", "alpha": 0.5}, "--alpha weighs the sum"),
        ({"mode": "hybrid", "fusion": "magic"}, "no fusion 'magic'; choose one of confidence, sum, ranks"),
        ({"mode": "hybrid", "metric": "l1"}, "--metric is for --mode vector"),
    ],
)
def test_wishes_that_do_not_fit_together_are_refused(wishes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Ask(**wishes)  # type: ignore[arg-type]
