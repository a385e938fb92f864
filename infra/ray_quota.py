"""One quota for all workers of a run on Ray."""

import asyncio
from typing import Any

import ray

from pipeline.quota import Quota


class _Keeper:
    """Keeps the buckets; it grants at once and never waits itself."""

    def __init__(self, rpm: int | None, tpm: int | None) -> None:
        self._quota = Quota(rpm, tpm)

    def reserve(self, requests: int, tokens: int) -> tuple[float, float]:
        """Take requests and tokens; gives the seconds to wait before using them, and when that is over."""
        return self._quota.reserve(requests, tokens), self._quota.last

    def forfeited(self, start: float) -> bool:
        """Whether the endpoint has asked everybody to wait beyond a start that was granted."""
        return self._quota.closed_until > start

    def pause(self, seconds: float) -> None:
        """Grant nothing for a while."""
        self._quota.pause(seconds)


QuotaActor: Any = ray.remote(num_cpus=0)(_Keeper)


class RayLimiter:
    """A Limiter for one worker, which asks the quota's actor."""

    def __init__(self, quota: Any) -> None:
        self._quota = quota

    async def acquire(self, requests: int, tokens: int) -> None:
        """Wait until this much may be sent."""
        while True:
            wait, start = await self._quota.reserve.remote(requests, tokens)
            if wait <= 0:
                return
            await asyncio.sleep(wait)
            if not await self._quota.forfeited.remote(start):
                return

    async def pause(self, seconds: float) -> None:
        """Let nobody send for a while."""
        await self._quota.pause.remote(seconds)
