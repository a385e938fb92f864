"""The quota of an endpoint: requests and tokens a minute, as token buckets that refill steadily."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

# A bucket holds what flows in during this time, so that a burst stays small against the minute
# over which the provider counts.
_BURST_SECONDS = 1.0


@dataclass(slots=True)
class Bucket:
    """A budget a minute, and how much of it has gathered unused."""

    per_minute: float
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self.capacity

    @property
    def capacity(self) -> float:
        """The most that gathers by itself."""
        return max(1.0, self.per_minute * _BURST_SECONDS / 60)

    def refill(self, seconds: float) -> None:
        """Let the time's share flow in."""
        self.level = min(self.capacity, self.level + self.per_minute * seconds / 60)

    def wait(self, amount: float) -> float:
        """Seconds until there is enough."""
        return max(0.0, (amount - self.level) * 60 / self.per_minute)

    def take(self, amount: float, wait: float) -> None:
        """Take an amount after a wait; one beyond the capacity gathers while it is waited for."""
        self.level = min(max(self.capacity, amount), self.level + self.per_minute * wait / 60) - amount


class Quota:
    """Grants in the order asked, so that no minute sees more than the budget and one burst.

    A request larger than a burst counts as the burst.
    """

    def __init__(self, rpm: int | None, tpm: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._requests = Bucket(rpm) if rpm else None
        self._tokens = Bucket(tpm) if tpm else None
        self._clock = clock
        self.last = clock()  # when the latest grant starts
        self.closed_until = self.last  # nothing starts before

    def reserve(self, requests: int, tokens: int) -> float:
        """Take requests and tokens; gives the seconds to wait before using them."""
        now = self._clock()
        start = max(now, self.closed_until, self.last)
        budgets = ((self._requests, requests), (self._tokens, tokens))
        wanted = [(bucket, amount) for bucket, amount in budgets if bucket]
        for bucket, _ in wanted:
            bucket.refill(start - self.last)
        wait = max((bucket.wait(amount) for bucket, amount in wanted), default=0.0)
        for bucket, amount in wanted:
            bucket.take(amount, wait)
        self.last = start + wait
        return self.last - now

    def pause(self, seconds: float) -> None:
        """Grant nothing for a while."""
        self.closed_until = max(self.closed_until, self._clock() + seconds)


class LocalLimiter:
    """A Limiter for the workers of one event loop."""

    def __init__(self, quota: Quota, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._quota = quota
        self._sleep = sleep

    async def acquire(self, requests: int, tokens: int) -> None:
        """Wait until this much may be sent."""
        while (wait := self._quota.reserve(requests, tokens)) > 0:
            start = self._quota.last
            await self._sleep(wait)
            if self._quota.closed_until <= start:
                return
            # The endpoint asked everybody to wait beyond this start: it is forfeited.

    async def pause(self, seconds: float) -> None:
        """Let nobody send for a while."""
        self._quota.pause(seconds)
