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
    """A budget a minute; `level` may fall below zero, which is a wait for the next caller."""

    per_minute: float
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self.capacity

    @property
    def capacity(self) -> float:
        """The most that can have gathered unused."""
        return max(1.0, self.per_minute * _BURST_SECONDS / 60)

    def refill(self, seconds: float) -> None:
        """Let the time's share flow in."""
        self.level = min(self.capacity, self.level + self.per_minute * seconds / 60)

    def wait(self) -> float:
        """Seconds until the level is at zero again."""
        return max(0.0, -self.level * 60 / self.per_minute)


class Quota:
    """Grants requests and tokens so that no minute sees more than the budget and one burst."""

    def __init__(self, rpm: int | None, tpm: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._requests = Bucket(rpm) if rpm else None
        self._tokens = Bucket(tpm) if tpm else None
        self._clock = clock
        self._seen = clock()
        self._closed_until = 0.0

    def reserve(self, requests: int, tokens: int) -> float:
        """Take requests and tokens now; gives the seconds to wait before using them."""
        now = self._clock()
        wait = max(0.0, self._closed_until - now)
        for bucket, amount in ((self._requests, requests), (self._tokens, tokens)):
            if bucket:
                bucket.refill(now - self._seen)
                bucket.level -= amount
                wait = max(wait, bucket.wait())
        self._seen = now
        return wait

    def pause(self, seconds: float) -> None:
        """Grant nothing for a while."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)


class LocalLimiter:
    """A Limiter for the workers of one event loop."""

    def __init__(self, quota: Quota, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._quota = quota
        self._sleep = sleep

    async def acquire(self, requests: int, tokens: int) -> None:
        """Wait until this much may be sent."""
        wait = self._quota.reserve(requests, tokens)
        if wait > 0:
            await self._sleep(wait)

    async def pause(self, seconds: float) -> None:
        """Let nobody send for a while."""
        self._quota.pause(seconds)
