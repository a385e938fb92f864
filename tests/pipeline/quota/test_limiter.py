"""The workers of a process lease quota for all that wait at once, and nobody waits for nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from pipeline.errors import StoreRefused
from pipeline.ports import Stated
from pipeline.quota.limiter import Budget, LeasingLimiter, QuotaHere, Unlimited
from pipeline.quota.quota import Ask, Lease
from tests.endpoint.probe import Clock


class Timeline:
    """Sleepers wake one after another, in the order of their times; only then does time pass."""

    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.clock.now + seconds, woken))
        await woken.wait()

    async def pass_until_all_are_done(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        while not all(task.done() for task in tasks):
            for _ in range(8):  # turns of the loop, so that whoever was woken gets to its next sleep
                await asyncio.sleep(0)
            if self._sleepers:
                first = min(self._sleepers, key=lambda sleeper: sleeper[0])
                self._sleepers.remove(first)
                self.clock.now = max(self.clock.now, first[0])
                first[1].set()


@dataclass
class Told:
    """An office that writes down what it is asked, and answers as it is told to."""

    answers: list[Lease | Exception] = field(default_factory=list)
    asked: list[Ask] = field(default_factory=list)

    async def ask(self, ask: Ask) -> Lease:
        self.asked.append(ask)
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers and ask.sizes else Lease(0.0, len(ask.sizes))
        if isinstance(answer, Exception):
            raise answer
        return answer


def _sent(rpm: int, requests: int, pauses: dict[float, float]) -> list[float]:
    """When each of some requests, all there at once, may be sent; pauses are called at their times."""
    line = Timeline()
    limiter = LeasingLimiter(
        QuotaHere(line.clock), Budget("run", "schedule", rpm, None), line.sleep, line.clock
    )
    sent: list[float] = []

    async def work() -> None:
        await limiter.acquire(1)
        sent.append(line.clock.now)

    async def call(at: float, seconds: float) -> None:
        await line.sleep(at)
        await limiter.pause(seconds)

    async def scenario() -> None:
        calls = [call(at, seconds) for at, seconds in pauses.items()]
        tasks = [asyncio.ensure_future(one) for one in (*calls, *(work() for _ in range(requests)))]
        await line.pass_until_all_are_done(tasks)

    asyncio.run(scenario())
    return sent


def test_requests_are_sent_one_after_another_at_the_rate() -> None:
    assert _sent(60, 5, {}) == pytest.approx([0, 1, 2, 3, 4], abs=0.02)


def test_a_pause_holds_back_all_and_lets_them_go_at_the_rate_again() -> None:
    sent = _sent(60, 5, {1.5: 10.0})
    assert sent[:2] == pytest.approx([0, 1], abs=0.02)
    assert all(at >= 11.5 for at in sent[2:])
    # What gathers in a second of the pause may go at once; the rest at the rate, a little less after it.
    assert sent[4] - sent[3] == pytest.approx(1 / 0.9, abs=0.3)


def test_one_lease_is_asked_for_all_that_wait_and_the_bills_are_told_once() -> None:
    office = Told([Lease(0.0, 2), Lease(0.0, 3)])
    limiter = LeasingLimiter(office, Budget("run", "rerun", 60, 6000))

    async def scenario() -> None:
        limiter.answered(10, 12, Stated(tokens_left=5))
        limiter.answered(20, 22, Stated())
        await asyncio.gather(*(limiter.acquire(tokens) for tokens in (1, 2, 3, 4, 5)))

    asyncio.run(scenario())
    news = {"counted": 30, "billed": 34, "stated": Stated(tokens_left=5)}
    assert office.asked == [
        Ask("run", "rerun", 60, 6000, (1, 2, 3, 4, 5), **news),  # type: ignore[arg-type]
        Ask("run", "rerun", 60, 6000, (3, 4, 5)),
    ]


def test_without_a_budget_nobody_asks_again_for_a_second() -> None:
    office, line = Told([Lease(0.0, 1, unlimited=True)]), Timeline()
    limiter = LeasingLimiter(office, Budget("run", "schedule"), line.sleep, line.clock)

    async def scenario() -> None:
        for _ in range(50):
            await limiter.acquire(1)
        assert len(office.asked) == 1
        line.clock.now += 1.1
        await limiter.acquire(1)

    asyncio.run(scenario())
    assert len(office.asked) == 2


def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    line = Timeline()
    limiter = LeasingLimiter(
        QuotaHere(line.clock), Budget("run", "schedule", 60, None), line.sleep, line.clock
    )

    async def scenario() -> float:
        tasks = [asyncio.ensure_future(limiter.acquire(1)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in tasks[1:4]:
            task.cancel()
        await line.pass_until_all_are_done(tasks)
        return line.clock.now

    assert asyncio.run(scenario()) == pytest.approx(1.0, abs=0.02)


def test_an_office_that_fails_fails_all_who_wait_and_the_next_ask_is_a_new_one() -> None:
    office = Told([StoreRefused("no space"), Lease(0.0, 1)])
    limiter = LeasingLimiter(office, Budget("run", "schedule", 60, None))

    async def scenario() -> list[BaseException | None]:
        found = await asyncio.gather(*(limiter.acquire(1) for _ in range(3)), return_exceptions=True)
        await limiter.acquire(1)
        return found

    assert [str(error) for error in asyncio.run(scenario())] == ["no space"] * 3


def test_a_machine_of_one_s_own_is_not_waited_for() -> None:
    limiter = Unlimited()

    async def scenario() -> None:
        await limiter.pause(99)
        await limiter.acquire(10**9)
        limiter.answered(1, 2, Stated())

    asyncio.run(asyncio.wait_for(scenario(), 5))
