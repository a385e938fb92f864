"""The one retry loop: bounded by time, jittered, and it waits for what the endpoint asks."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from pipeline.errors import ProviderRefused, RequestFailed, Retryable, Undone, Unreachable

T = TypeVar("T")

# An endpoint that has never answered is more likely misnamed than down.
_FIRST_CONTACT_SECONDS = 15.0

_backoff = wait_random_exponential(multiplier=0.5, max=20)


@dataclass(frozen=True, slots=True)
class Attempted(Generic[T]):
    """An answer, and what it took to get it."""

    answer: T
    retries: int
    perhaps_billed: int  # failed attempts that the provider may have charged for


async def _at_once() -> None:
    """Nobody has to be waited for."""


class Retrier:
    """Repeats attempts at one endpoint while they raise Retryable, within its patience."""

    def __init__(
        self,
        patience: float,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience  # seconds a request may take with all its attempts
        self._sleep = sleep
        self._clock = clock
        self._contacted = False

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        turn: Callable[[], Awaitable[None]] = _at_once,
        billed: int | None = None,
    ) -> Attempted[T]:
        """Repeat an attempt until it succeeds; before each one, wait for its turn.

        The time until its turn tries nobody's patience: that is our own quota, not the endpoint.
        Raises Undone where `billed` attempts that failed may have been billed, ProviderRefused with the
        last reason where patience ends, and whatever else the attempt raises at once.
        """
        taken = _Taken(billed)

        async def timed() -> T:
            await turn()
            began = self._clock()
            try:
                return await self._watched(attempt)
            finally:
                taken.seconds += self._clock() - began

        loop = AsyncRetrying(
            retry=retry_if_exception_type(Retryable),
            wait=_wait,
            stop=lambda state: taken.enough or taken.seconds + state.upcoming_sleep > self._allowed,
            sleep=self._sleep,
            after=taken.count,
            before_sleep=taken.wait,
            retry_error_callback=taken.give_up,
        )
        answer: T = await loop(timed)
        return Attempted(answer, loop.statistics["attempt_number"] - 1, taken.perhaps_billed)

    async def _watched(self, attempt: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await attempt()
        except Unreachable:
            raise
        except RequestFailed:
            self._contacted = True
            raise
        self._contacted = True
        return answer

    @property
    def _allowed(self) -> float:
        return self._patience if self._contacted else min(self._patience, _FIRST_CONTACT_SECONDS)


@dataclass(slots=True)
class _Taken:
    """What one request has taken so far."""

    most: int | None  # attempts that may be billed; None: as many as it takes
    seconds: float = 0.0  # in attempts, and between them
    perhaps_billed: int = 0  # attempts

    @property
    def enough(self) -> bool:
        """Whether another attempt could be one more than may be billed."""
        return self.most is not None and self.perhaps_billed >= self.most

    def count(self, state: RetryCallState) -> None:
        """Count a failed attempt."""
        error = _error(state)
        self.perhaps_billed += isinstance(error, Retryable) and error.perhaps_billed

    def wait(self, state: RetryCallState) -> None:
        """Count the wait before the next attempt."""
        self.seconds += state.upcoming_sleep

    def give_up(self, state: RetryCallState) -> NoReturn:
        """End the run where patience is over, or the request where it may not be billed again."""
        error = _error(state)
        if self.enough:
            # Whoever is given the request back sends it again.
            raise Undone(
                str(error), perhaps_billed=self.perhaps_billed, retries=state.attempt_number
            ) from error
        raise ProviderRefused(
            f"gave up at attempt {state.attempt_number}, after {self.seconds:.0f} s: {error}. "
            "What was paid is kept; run the same command again"
        ) from error


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _wait(state: RetryCallState) -> float:
    """Full-jitter exponential backoff, on top of what the endpoint asked for.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    error = _error(state)
    asked = error.retry_after if isinstance(error, Retryable) else None
    return (asked or 0.0) + _backoff(state)
