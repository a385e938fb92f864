"""The batch lane is taken where a person asks for it, or where there is time and it saves money."""

from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.job import Endpoint, Job, Price, SourceSpec
from pipeline.model import Amount
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.stages.lanes import hours_at_most, lane_of
from tests.support import LOCAL, OPENAI

_LARGE = Amount(10_000, 50_000_000, 80)  # a dollar


def _job(space: Space = OPENAI, price: Price | None = None, **endpoint: Any) -> Job:
    source = SourceSpec("files", "docs")
    return Job("run", "store", "docs", source, SplitterSpec(), space, Endpoint(**endpoint), price=price)


@pytest.mark.parametrize(
    ("amount", "endpoint", "lane"),
    [
        (_LARGE, {"lane": "auto"}, "ordinary"),  # nobody says that there is time
        (_LARGE, {"lane": "auto", "deadline": 23.9}, "batch"),  # a day, but for the minutes before
        (_LARGE, {"lane": "auto", "deadline": 23.0}, "ordinary"),
        (_LARGE, {"lane": "auto", "deadline": 24.0}, "batch"),
        (_LARGE, {"lane": "auto", "deadline": 47.0, "enqueued_tokens": 25_000_000}, "ordinary"),
        (_LARGE, {"lane": "auto", "deadline": 48.0, "enqueued_tokens": 25_000_000}, "batch"),
        (_LARGE, {"lane": "auto", "deadline": 0.0}, "ordinary"),
        (_LARGE, {"lane": "batch", "deadline": 1.0}, "batch"),  # a person's word is the last
        (_LARGE, {"lane": "ordinary", "deadline": 100.0}, "ordinary"),
        (Amount(9, 900_000, 3), {"lane": "auto", "deadline": 24.0, "tpm": 10**6}, "ordinary"),  # 0.009 USD
        (Amount(9, 900_000, 3), {"lane": "auto", "deadline": 24.0, "tpm": 10**5}, "batch"),
        (Amount(9, 900_000, 3), {"lane": "auto", "deadline": 24.0, "rpm": 2}, "batch"),
        (Amount(9, 1_100_000, 3), {"lane": "auto", "deadline": 24.0}, "batch"),  # 0.011 USD
    ],
)
def test_the_lane_follows_from_the_options_and_the_amount(
    amount: Amount, endpoint: dict[str, Any], lane: str
) -> None:
    assert lane_of(_job(**endpoint), amount) == lane


def test_two_rounds_take_two_windows_and_hours_that_have_passed_are_gone() -> None:
    job = _job(lane="auto", deadline=47.0)
    assert (lane_of(job, _LARGE, rounds=2), lane_of(job, _LARGE)) == ("ordinary", "batch")
    assert lane_of(job, _LARGE, passed=22.5 * 3600) == "batch"
    assert lane_of(job, _LARGE, passed=24.5 * 3600) == "ordinary"


def test_a_price_that_is_not_known_may_be_worth_a_day() -> None:
    unknown = Space("openai", "bge-m3", 64)
    endpoint: dict[str, Any] = {"lane": "auto", "deadline": 24.0}
    assert lane_of(_job(unknown, **endpoint), Amount(1, 10, 1)) == "batch"
    assert lane_of(_job(unknown, Price(0.02, "me"), **endpoint), Amount(1, 10, 1)) == "ordinary"


def test_this_machines_own_work_has_no_batch_lane() -> None:
    with pytest.raises(InputError, match="has no batch lane"):
        lane_of(_job(LOCAL, lane="batch"), _LARGE)
    assert lane_of(_job(LOCAL, lane="auto", deadline=99.0), _LARGE) == "ordinary"


def test_a_day_for_each_time_that_the_queue_is_filled() -> None:
    assert hours_at_most(_job(), _LARGE) == 24
    assert hours_at_most(_job(enqueued_tokens=20_000_000), _LARGE) == 72
    assert hours_at_most(_job(), Amount(2_000_001, 10, 1)) == 72
