"""No minute sees more than the budget and one burst, and nobody waits longer than that takes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.quota import LocalLimiter, Quota
from tests.endpoint.probe import Clock


@dataclass(frozen=True)
class Ask:
    """What a worker asks for."""

    gap: float  # seconds since the ask before
    requests: int = 1
    tokens: int = 1
    pause: float = 0.0  # seconds that the endpoint asked for just before; 0 is none


ASKS = st.lists(
    st.builds(
        Ask,
        gap=st.sampled_from([0.0, 0.0, 0.1, 1.0, 7.0, 90.0]),
        requests=st.integers(0, 3),
        tokens=st.integers(0, 400),
        pause=st.sampled_from([0.0, 0.0, 0.0, 0.5, 30.0]),
    ),
    max_size=40,
)
BUDGETS = st.tuples(st.none() | st.integers(1, 1200), st.none() | st.integers(1, 6000))


def _starts(budgets: tuple[int | None, int | None], asks: Sequence[Ask]) -> list[float]:
    """When each ask may be used, in seconds by the clock."""
    clock = Clock(0.0)
    quota, starts = Quota(*budgets, clock), []
    for ask in asks:
        clock.now += ask.gap
        if ask.pause:
            quota.pause(ask.pause)
        starts.append(clock.now + quota.reserve(ask.requests, ask.tokens))
    return starts


def _most_in_any_window(starts: Sequence[float], amounts: Sequence[int], budget: int, burst: float) -> float:
    """How far any span of time is beyond its share of the budget and one burst."""
    worst = 0.0
    for first, begin in enumerate(starts):
        used = 0
        for start, amount in zip(starts[first:], amounts[first:], strict=True):
            used += amount
            worst = max(worst, used - burst - budget * (start - begin) / 60)
    return worst


@given(BUDGETS, ASKS)
def test_no_span_of_time_sees_more_than_its_share_and_one_burst(
    budgets: tuple[int | None, int | None], asks: list[Ask]
) -> None:
    starts = _starts(budgets, asks)
    for budget, amounts in zip(
        budgets, ([ask.requests for ask in asks], [ask.tokens for ask in asks]), strict=True
    ):
        if budget is not None and amounts:
            burst = max(1.0, budget / 60, *amounts)
            assert _most_in_any_window(starts, amounts, budget, burst) <= 1e-6 * budget


@given(BUDGETS, ASKS)
def test_starts_are_in_the_order_asked_never_before_it_and_never_within_a_pause(
    budgets: tuple[int | None, int | None], asks: list[Ask]
) -> None:
    starts, now, closed = _starts(budgets, asks), 0.0, 0.0
    assert starts == sorted(starts)
    for ask, start in zip(asks, starts, strict=True):
        now += ask.gap
        closed = max(closed, now + ask.pause if ask.pause else 0.0)
        assert start >= max(now, closed) - 1e-9


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(1, 6000))
def test_a_queue_moves_at_the_rate_of_the_budget_and_no_slower(sizes: list[int], budget: int) -> None:
    starts = _starts((None, budget), [Ask(0.0, 1, size) for size in sizes])
    burst = max(1.0, budget / 60)
    for start, used in zip(starts, (sum(sizes[: n + 1]) for n in range(len(sizes))), strict=True):
        assert start <= max(0.0, used - burst) * 60 / budget + 1e-6


def test_the_burst_is_one_second_of_the_budget() -> None:
    assert _starts((120, None), [Ask(0.0)] * 5) == pytest.approx([0, 0, 0.5, 1.0, 1.5])
    assert _starts((None, 600), [Ask(0.0, 1, 4)] * 4) == pytest.approx([0, 0, 0.2, 0.6])


def test_what_was_not_used_does_not_pile_up_beyond_the_burst() -> None:
    asks = [Ask(0.0), Ask(3600.0), Ask(0.0), Ask(0.0)]
    assert _starts((60, None), asks) == pytest.approx([0, 3600, 3601, 3602])


def test_requests_that_waited_for_tokens_do_not_start_all_at_once() -> None:
    asks = [Ask(0.0, 1, 600), *[Ask(1.0, 1, 0)] * 5]
    assert _starts((60, 600), asks) == pytest.approx([59, 60, 61, 62, 63, 64])


def test_after_a_pause_the_queue_moves_at_the_rate_again() -> None:
    asks = [Ask(0.0, pause=20.0), *[Ask(0.0)] * 3]
    assert _starts((60, None), asks) == pytest.approx([20, 21, 22, 23])


@pytest.mark.parametrize("budgets", [(None, None), (0, 0)])
def test_without_a_budget_only_a_pause_is_waited_for(budgets: tuple[int | None, int | None]) -> None:
    asks = [Ask(0.0, 9, 9999), Ask(0.0, 9, 9999, pause=3.0), Ask(1.0), Ask(2.0)]
    assert _starts(budgets, asks) == [0, 3, 3, 3]


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    assert _starts((None, None), [Ask(0.0, pause=30.0), Ask(1.0, pause=0.5)]) == [30, 30]


# ---- the limiter


class Timeline:
    """Sleepers wake one after another, in the order of their times; only then does time pass."""

    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.clock.now + seconds, woken))
        await woken.wait()

    async def pass_until_all_are_done(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        while not all(task.done() for task in tasks):
            for _ in range(5):  # turns of the loop, so that whoever was woken gets to its next sleep
                await asyncio.sleep(0)
            if self._sleepers:
                first = min(self._sleepers, key=lambda sleeper: sleeper[0])
                self._sleepers.remove(first)
                self.clock.now = max(self.clock.now, first[0])
                first[1].set()


def _sent(rpm: int, workers: int, pauses: dict[float, float]) -> list[float]:
    """When each of some workers, who all ask at once, may send; pauses are called at their times."""
    line = Timeline()
    limiter = LocalLimiter(Quota(rpm, None, line.clock), line.sleep)
    sent: list[float] = []

    async def work() -> None:
        await limiter.acquire(1, 1)
        sent.append(line.clock.now)

    async def call(at: float, seconds: float) -> None:
        await line.sleep(at)
        await limiter.pause(seconds)

    async def scenario() -> None:
        calls = [call(at, seconds) for at, seconds in pauses.items()]
        tasks = [asyncio.ensure_future(one) for one in (*calls, *(work() for _ in range(workers)))]
        await line.pass_until_all_are_done(tasks)

    asyncio.run(scenario())
    return sent


def test_workers_send_one_after_another_at_the_rate() -> None:
    assert _sent(60, 4, {}) == pytest.approx([0, 1, 2, 3])


def test_a_pause_holds_back_those_too_who_had_a_start_already_and_lets_them_go_at_the_rate() -> None:
    assert _sent(60, 5, {0.5: 10.0}) == pytest.approx([0, 10.5, 11.5, 12.5, 13.5])


def test_whose_start_lies_behind_the_pause_keeps_it() -> None:
    assert _sent(6, 4, {1.0: 5.0}) == pytest.approx([0, 10, 20, 30])


@settings(deadline=None)
@given(
    st.integers(6, 600), st.integers(1, 12), st.dictionaries(st.floats(0, 20), st.floats(0.1, 30), max_size=3)
)
def test_workers_keep_the_budget_through_any_pauses(
    rpm: int, workers: int, pauses: dict[float, float]
) -> None:
    sent = _sent(rpm, workers, pauses)
    assert len(sent) == workers
    burst = max(1.0, rpm / 60)
    assert _most_in_any_window(sent, [1] * workers, rpm, burst) <= 1e-6 * rpm
    for start in sent[1:]:
        assert not any(at < start < at + seconds - 1e-6 for at, seconds in pauses.items())
