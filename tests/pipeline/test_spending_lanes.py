"""A run's bill knows what came by batch, and a budget reaches twice as far there."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.job import Budget, Job, SourceSpec
from pipeline.model import Outcome
from pipeline.spending import Spending
from pipeline.splitter_spec import SplitterSpec
from tests.pipeline.batch.service import request
from tests.support import OPENAI

_RATE = 0.02 / 1e6  # US dollars a token, on the ordinary lane


def _spending(ordinary: int, **budget: Any) -> Spending:
    """The bill of a run by batch, whose money pays for so many ordinary tokens."""
    source = SourceSpec("files", "docs")
    job = Job("r", "s", "t", source, SplitterSpec(), OPENAI, budget=Budget(usd=ordinary * _RATE, **budget))
    spending = Spending.of(job)
    spending.take("batch")
    return spending


def test_a_budget_pays_by_batch_for_twice_the_tokens_and_all_go_at_once() -> None:
    spending = _spending(50)
    requests = [replace(request(number, ["文" * 10]), tokens=20) for number in range(6)]
    granted = [spending.grant(one) for one in requests]
    assert [one is not None for one in granted] == [True] * 5 + [False]
    for one in requests[:5]:
        assert spending.settle(Outcome(one.number, texts=1, tokens=20, batch_tokens=20)) is None
    assert spending.usd == pytest.approx(100 * _RATE / 2)
    assert spending.grant(requests[5]) is None


def test_what_went_over_the_ordinary_lane_counts_twice() -> None:
    spending = _spending(50)
    first, second, third = (replace(request(number, ["x"]), tokens=30) for number in range(3))
    assert spending.grant(first)
    spending.settle(Outcome(0, texts=1, tokens=30, batch_tokens=10))
    assert spending.spent == 10 + 2 * 20
    assert spending.usd == pytest.approx((10 / 2 + 20) * _RATE)
    assert spending.grant(second)
    assert spending.grant(third) is None


def test_a_bound_of_tokens_is_of_tokens_on_any_lane() -> None:
    assert _spending(50, tokens=40).allowed == 40
    assert _spending(50).allowed == 100


def test_what_is_left_under_way_is_billed_to_the_run_that_collects_it() -> None:
    spending = _spending(50)
    assert spending.grant(request(0, ["x"]))
    spending.close(lambda hashes: Outcome(0, texts=1, tokens=9, batch_tokens=9), {})
    assert (spending.tokens, spending.flying) == (0, 0)
