"""The worker's side of the quota: those who want to send wait in line, and leases let them go."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from pipeline.errors import VecmillError
from pipeline.job import Job
from pipeline.ports import Stated
from pipeline.quota.quota import Ask, Lease, Quota

_AT_ONCE = 256  # waiting requests that one lease can let go
_UNLIMITED_SECONDS = 1.0  # for which no lease is asked for where there is no budget


class Office(Protocol):
    """Where the quota is kept."""

    async def ask(self, ask: Ask) -> Lease:
        """Ask for a lease, and tell what the endpoint has said since."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Who sends: a run, its priority, and what it may use a minute."""

    run: str  # run_id
    priority: str  # one of quota.PRIORITIES
    rpm: int | None = None  # requests
    tpm: int | None = None  # tokens

    @classmethod
    def of(cls, job: Job) -> "Budget":
        """The budget of a job."""
        return cls(job.run_id, job.priority, job.endpoint.rpm, job.endpoint.tpm)


class QuotaHere:
    """An Office for the workers of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._quota = Quota()
        self._clock = clock

    async def ask(self, ask: Ask) -> Lease:
        """Ask for a lease; see `Quota.ask`."""
        return self._quota.ask(ask, self._clock())


class Unlimited:
    """A Limiter that lets all go at once: the work is done on this machine."""

    async def acquire(self, tokens: int) -> None:
        """Return at once."""

    def answered(self, counted: int, billed: int, stated: Stated) -> None:
        """Learn nothing."""

    async def pause(self, seconds: float) -> None:
        """Nobody has to wait for a machine of one's own."""


class LeasingLimiter:
    """A Limiter for the workers of one event loop, which leases quota for all that wait at once."""

    def __init__(
        self,
        office: Office,
        budget: Budget,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._office = office
        self._sleep = sleep
        self._clock = clock
        self._news = Ask(budget.run, budget.priority, budget.rpm, budget.tpm, ())
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._leasing: asyncio.Task[None] | None = None
        self._free_until = clock()  # until then nobody has to ask
        self._paused_until = clock()

    async def acquire(self, tokens: int) -> None:
        """Wait until a request of so many tokens may be sent."""
        if self._clock() < self._free_until:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((tokens, turn))
        if self._leasing is None or self._leasing.done():
            self._leasing = asyncio.create_task(self._lease())
        await turn

    def answered(self, counted: int, billed: int, stated: Stated) -> None:
        """Learn from an answer: tokens as they were counted, and as they were billed, and its headers."""
        news = self._news
        self._news = replace(
            news,
            counted=news.counted + counted,
            billed=news.billed + billed,
            stated=news.stated if stated == Stated() else stated,
        )

    async def pause(self, seconds: float) -> None:
        """Let nobody send for a while: the endpoint asked for it."""
        self._free_until = self._clock()
        self._paused_until = max(self._paused_until, self._clock() + seconds)
        self._news = replace(self._news, throttled=max(self._news.throttled or 0.0, seconds))
        await self._office.ask(self._told(()))

    async def _lease(self) -> None:
        """Ask for leases for as long as anybody waits."""
        try:
            while self._waiting():
                await self._let_go()
        except (Exception, asyncio.CancelledError) as error:
            for _, turn in self._line:
                if not turn.done():
                    turn.set_exception(error) if isinstance(error, VecmillError) else turn.cancel()
            self._line.clear()
            if not isinstance(error, VecmillError | asyncio.CancelledError):
                raise

    async def _let_go(self) -> None:
        """Ask for one lease, and let those go that it covers."""
        began = self._clock()
        lease = await self._office.ask(self._told(tuple(size for size, _ in islice(self._line, _AT_ONCE))))
        if lease.wait > 0:
            await self._sleep(lease.wait)
        if lease.requests and self._paused_until > began:
            return  # the endpoint asked everybody to wait meanwhile: the lease is forfeited
        if lease.unlimited:
            self._free_until = self._clock() + _UNLIMITED_SECONDS
        for _ in range(len(self._line) if lease.unlimited else min(lease.requests, len(self._line))):
            _, turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)

    def _waiting(self) -> bool:
        """Whether anybody waits; those who gave up are taken out of the line."""
        if any(turn.done() for _, turn in self._line):
            self._line = deque((size, turn) for size, turn in self._line if not turn.done())
        return bool(self._line)

    def _told(self, sizes: tuple[int, ...]) -> Ask:
        """What to ask, with the news, which are told once."""
        ask = replace(self._news, sizes=sizes)
        self._news = replace(self._news, counted=0, billed=0, stated=Stated(), throttled=None)
        return ask
