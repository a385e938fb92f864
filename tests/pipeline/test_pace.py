"""The rate of late, and the time that is left: never promised shorter than the quota permits."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.pace import Pace, seconds_left

_AMOUNTS = st.integers(0, 10**12)
_RATES = st.floats(1e-3, 1e12)
_QUOTAS = st.none() | st.integers(1, 10**10)


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    pace = Pace()
    for second in range(61):
        tokens = min(second, 30) * 100 + max(0, second - 30) * 10  # quick at first, then slow
        pace.see(float(second), tokens, second)
    assert pace.tokens_a_minute == 600
    assert pace.requests_a_minute == 60


def test_before_anything_is_seen_there_is_no_rate() -> None:
    pace = Pace()
    assert (pace.tokens_a_minute, pace.requests_a_minute) == (0.0, 0.0)
    pace.see(1.0, 500, 2)
    assert pace.tokens_a_minute == 0.0


def test_a_stall_lowers_the_rate_to_nothing_within_the_window() -> None:
    pace = Pace(window=30)
    rates = []
    for second in range(45):
        pace.see(float(second), min(second, 5) * 100, 0)
        rates.append(pace.tokens_a_minute)
    assert rates[5] == 6000
    assert all(later <= earlier for earlier, later in pairwise(rates[5:]))
    assert rates[40] == 0.0


def test_a_burst_does_not_shorten_what_the_quota_takes() -> None:
    assert seconds_left(60_000, 10, tokens_a_minute=600_000, tpm=60_000) == 60
    assert seconds_left(60_000, 300, tokens_a_minute=600_000, tpm=60_000, rpm=100) == 180
    assert seconds_left(60_000, 10, tokens_a_minute=30_000, tpm=60_000) == 120


def test_where_nothing_moves_nothing_is_promised_and_where_nothing_is_left_it_is_over() -> None:
    assert seconds_left(10, 1, 0.0, 60, 60) is None
    assert seconds_left(0, 0, 0.0, 60, 60) == 0.0


@given(_AMOUNTS, _AMOUNTS, _RATES, _QUOTAS, _QUOTAS)
def test_the_time_left_is_never_negative_nor_below_the_quota(
    tokens: int, requests: int, rate: float, tpm: int | None, rpm: int | None
) -> None:
    left = seconds_left(tokens, requests, rate, tpm, rpm)
    assert left is not None
    assert 0 <= left < math.inf
    assert tpm is None or left >= tokens * 60 / tpm
    assert rpm is None or left >= requests * 60 / rpm


@given(_AMOUNTS, _AMOUNTS, _AMOUNTS, _RATES, _QUOTAS, _QUOTAS)
def test_with_more_left_it_never_takes_less(
    tokens: int, more: int, requests: int, rate: float, tpm: int | None, rpm: int | None
) -> None:
    first = seconds_left(tokens, requests, rate, tpm, rpm)
    second = seconds_left(tokens + more, requests + more, rate, tpm, rpm)
    assert first is not None
    assert second is not None
    assert second >= first


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10**6)), min_size=2, max_size=40))
def test_the_rate_is_never_negative_and_never_above_the_quickest_step(steps: list[tuple[float, int]]) -> None:
    pace, seconds, tokens, quickest = Pace(), 0.0, 0, 0.0
    pace.see(seconds, tokens, 0)
    for passed, done in steps:
        seconds, tokens = seconds + passed, tokens + done
        quickest = max(quickest, done * 60 / passed if passed else math.inf)
        pace.see(seconds, tokens, 0)
        assert 0 <= pace.tokens_a_minute <= quickest * (1 + 1e-6)
