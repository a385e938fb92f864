"""Conditions on what a comparison has measured."""

import pytest

from pipeline.condition import Condition
from pipeline.errors import InputError

_NEW = {"overlap@10": 0.8, "recall@10": 0.9, "search_ms": 5.0}
_LIVE = {"overlap@10": 0.8, "recall@10": 0.92, "search_ms": 4.0}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("overlap@10>=0.8", True),
        ("overlap@10>0.8", False),
        (" recall@10 >= live - 0.02 ", True),
        ("recall@10>=live", False),
        ("search_ms<=live+1", True),
        ("search_ms<5", False),
        ("overlap@10>=0.5,recall@10>=0.5,search_ms<10", True),
        ("overlap@10>=0.5,recall@10>=0.95", False),
    ],
)
def test_conditions_hold_or_say_what_was_measured(text: str, holds: bool) -> None:
    failures = [found for one in Condition.parse(text) if (found := one.failure(_NEW, _LIVE))]
    assert (not failures) == holds


def test_a_failure_names_the_measure_and_both_numbers() -> None:
    [one] = Condition.parse("recall@10>=live-0.01")
    assert one.failure(_NEW, _LIVE) == "recall@10 is 0.9, wanted is >=0.91"


@pytest.mark.parametrize(
    "text", ["", "recall", "recall@10>=", "recall@10=0.9", "recall@10>=high", "0.9<=recall"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no condition"):
        Condition.parse(text)


def test_an_unknown_measure_is_refused_with_those_that_there_are() -> None:
    [one] = Condition.parse("ndcg@10>=0.3")
    with pytest.raises(
        InputError, match=r"ndcg@10, which is not measured here; there are overlap@10, .*--qrels"
    ):
        one.failure(_NEW, _LIVE)
