"""Requests and tokens a minute, as continuously refilled buckets, and the headers that tell their state."""

import math
from collections.abc import Callable

from .wire import WireError

Clock = Callable[[], float]

# A wait computed in floats may leave a bucket this little short of what was waited for, in its own units.
SLACK = 1e-6


class Bucket:
    """One allowance: it starts full, refills `per_minute / 60` a second and holds `burst_seconds` worth."""

    def __init__(self, per_minute: int, burst_seconds: float, clock: Clock) -> None:
        self.per_minute = per_minute
        self.rate = per_minute / 60  # units a second
        # Never below one unit: a slow limit with a short burst would refuse everything for ever.
        self.capacity = max(1.0, self.rate * burst_seconds)
        self._level = self.capacity
        self._clock = clock
        self._at = clock()

    def level(self) -> float:
        """What the bucket holds now, in units."""
        now = self._clock()
        self._level = min(self.capacity, self._level + (now - self._at) * self.rate)
        self._at = now
        return self._level

    def wait(self, amount: float) -> float:
        """Seconds until the bucket holds `amount`: 0 when it does, infinity when it never can."""
        short = amount - self.level()
        if short <= SLACK:
            return 0.0
        return short / self.rate if amount <= self.capacity + SLACK else math.inf

    def take(self, amount: float) -> None:
        """Takes what `wait` said is there."""
        self._level = max(0.0, self.level() - amount)


class RateLimits:
    """The two buckets of a key, either of them absent when unlimited; used from the server's thread only."""

    def __init__(self, rpm: int | None, tpm: int | None, burst_seconds: float, clock: Clock) -> None:
        given = {"requests": rpm, "tokens": tpm}
        self._buckets = {kind: Bucket(limit, burst_seconds, clock) for kind, limit in given.items() if limit}

    def admit(self, tokens: int) -> None:
        """Takes one request and its tokens, or raises a 429 and takes nothing."""
        amounts = {"requests": 1, "tokens": tokens}
        waits = {kind: bucket.wait(amounts[kind]) for kind, bucket in self._buckets.items()}
        kind = max(waits, key=lambda name: waits[name], default=None)
        if kind is not None and waits[kind] > 0:
            raise self._refusal(kind, amounts[kind], waits[kind])
        for name, bucket in self._buckets.items():
            bucket.take(amounts[name])

    def _refusal(self, kind: str, amount: int, wait: float) -> WireError:
        bucket = self._buckets[kind]
        message = f"Rate limit reached on {kind} per min: limit {bucket.per_minute}, requested {amount}."
        if math.isinf(wait):
            # No retry-after: waiting does not help a request that is larger than a full bucket.
            too_large = f"{message} The request is too large: at most {math.floor(bucket.capacity)} at once."
            return WireError(429, too_large, kind=kind, code="rate_limit_exceeded")
        headers = {"retry-after": str(_ceil(wait)), "retry-after-ms": str(_ceil(wait * 1000))}
        message = f"{message} Try again in {duration(wait)}."
        return WireError(429, message, kind=kind, code="rate_limit_exceeded", headers=headers)

    def headers(self) -> dict[str, str]:
        """The `x-ratelimit-*` headers, none for an unlimited kind; `reset` tells when the bucket is full."""
        headers = {}
        for kind, bucket in self._buckets.items():
            headers[f"x-ratelimit-limit-{kind}"] = str(bucket.per_minute)
            headers[f"x-ratelimit-remaining-{kind}"] = str(math.floor(bucket.level() + SLACK))
            headers[f"x-ratelimit-reset-{kind}"] = duration(bucket.wait(bucket.capacity))
        return headers


def quota_gone() -> WireError:
    """The 429 that no waiting heals: the account has nothing left to pay with."""
    code = "insufficient_quota"
    return WireError(
        429, "You exceeded your current quota; check your plan and billing.", kind=code, code=code
    )


def duration(seconds: float) -> str:
    """Seconds, rounded up to a millisecond, as the service writes them: `0s`, `6ms`, `1.2s`, `1m3s`."""
    milliseconds = _ceil(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, milliseconds = divmod(milliseconds, 60_000)
    text = f"{milliseconds / 1000:g}s"
    if minutes:
        text = f"{minutes % 60}m{text}"
    return f"{minutes // 60}h{text}" if minutes >= 60 else text


def _ceil(value: float) -> int:
    # Rounded first: 0.1 + 0.2 seconds are 300 ms, not 301.
    return math.ceil(round(value, 6))
