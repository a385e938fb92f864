"""A meter is used to the full, and in no minute is more spent than it has."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.quota.meter import WINDOW, Meter

_AMOUNTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.03, 1.0, 7.0, 90.0]), st.integers(1, 300)), max_size=60
)


def _spent(meter: Meter, asks: list[tuple[float, int]], now: float = 1000.0) -> list[tuple[float, int]]:
    """When each amount is spent, where everybody waits as long as he is told to."""
    found = []
    for gap, amount in asks:
        now += gap
        now += meter.wait(amount, now)
        meter.spend(amount, now)
        found.append((now, amount))
    return found


def _most_in_a_minute(spent: list[tuple[float, int]]) -> int:
    return max(
        (sum(amount for at, amount in spent if begin <= at < begin + WINDOW - 1e-6) for begin, _ in spent),
        default=0,
    )


@settings(max_examples=200)
@given(_AMOUNTS, st.integers(300, 5000))
def test_no_minute_sees_more_than_the_budget(asks: list[tuple[float, int]], budget: int) -> None:
    assert _most_in_a_minute(_spent(Meter(budget, 1000.0), asks)) <= budget


@given(_AMOUNTS, st.integers(300, 5000))
def test_the_wait_is_just_long_enough(asks: list[tuple[float, int]], budget: int) -> None:
    meter, now = Meter(budget, 1000.0), 1000.0
    for gap, amount in asks:
        now += gap
        wait = meter.wait(amount, now)
        assert wait <= WINDOW + 0.1
        assert meter.wait(amount, now + wait) == pytest.approx(0, abs=1e-6)
        now += wait
        meter.spend(amount, now)


@pytest.mark.parametrize("size", [1, 7, 30, 99])
def test_whoever_always_wants_more_gets_the_whole_budget_at_an_even_pace(size: int) -> None:
    spent = _spent(Meter(6000, 0.0), [(0.0, size)] * (18_000 // size), 0.0)
    for second in range(10, 120, 10):
        within = sum(amount for at, amount in spent if second <= at < second + 10)
        assert within == pytest.approx(1000, abs=max(20, 2 * size))


def test_an_amount_beyond_the_budget_passes_alone() -> None:
    meter = Meter(100, 0.0)
    spent = _spent(meter, [(0.0, 50), (0.0, 250), (0.0, 50)], 0.0)
    assert spent[1][0] - spent[0][0] >= WINDOW
    assert spent[2][0] - spent[1][0] >= WINDOW


def test_a_meter_that_nobody_remembers_counts_the_minute_before_as_used() -> None:
    before = [(100 + second / 10, 10) for second in range(600)]  # all of 6,000, until 160
    after = _spent(Meter(6000, 160.0, used=True), [(0.0, 200)] * 60, 160.0)
    assert _most_in_a_minute(before + after) <= 6000
    assert after[29][0] < 160 + 62  # and still no time is lost


def test_what_is_given_back_can_be_spent_again() -> None:
    meter = Meter(6000, 0.0)
    meter.spend(3000, 0.0)
    meter.spend(-2900, 0.0)
    assert meter.wait(100, 0.0) == pytest.approx(1.0)
    assert meter.spent(0.0) == 100


def test_less_that_is_left_is_believed_and_more_is_not() -> None:
    meter = Meter(6000, 0.0)
    meter.cap(-500, 0.0)
    assert meter.wait(1, 0.0) == pytest.approx(5.0)
    meter.cap(9999, 0.0)
    assert meter.wait(1, 0.0) == pytest.approx(5.0)


@given(_AMOUNTS)
def test_its_state_as_json_is_all_of_it(asks: list[tuple[float, int]]) -> None:
    meter = Meter(900, 1000.0)
    spent = _spent(meter, asks)
    again = Meter.of(json.loads(json.dumps(meter.state())))
    now = spent[-1][0] if spent else 1000.0
    for later in (0.0, 0.5, 20.0, 61.0):
        assert again.wait(100, now + later) == pytest.approx(meter.wait(100, now + later))
    assert again.spent(now) == pytest.approx(meter.spent(now))
