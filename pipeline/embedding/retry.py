"""The one retry loop: bounded by time, jittered, and it waits for what the endpoint asks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from pipeline.errors import ProviderRefused, RequestFailed, Retryable, Unreachable
from pipeline.ports import Embedded

# An endpoint that has never answered is more likely misnamed than down.
_FIRST_CONTACT_SECONDS = 15.0

_backoff = wait_random_exponential(multiplier=0.5, max=20)


@dataclass(frozen=True, slots=True)
class Attempted:
    """An answer, and what it took to get it."""

    answer: Embedded
    retries: int
    perhaps_billed: int  # failed attempts that the provider may have charged for


class Retrier:
    """Repeats attempts at one endpoint while they raise Retryable, within its patience."""

    def __init__(self, patience: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._patience = patience  # seconds a request may take with all its attempts
        self._sleep = sleep
        self._contacted = False

    async def run(self, attempt: Callable[[], Awaitable[Embedded]]) -> Attempted:
        """Repeat an attempt until it succeeds.

        Raises ProviderRefused with the last reason where patience ends, and whatever else the
        attempt raises at once.
        """
        billed = 0

        def note(state: RetryCallState) -> None:
            nonlocal billed
            error = _error(state)
            billed += isinstance(error, Retryable) and error.perhaps_billed

        loop = AsyncRetrying(
            retry=retry_if_exception_type(Retryable),
            wait=_wait,
            stop=self._too_late,
            sleep=self._sleep,
            after=note,
            retry_error_callback=self._give_up,
        )
        answer: Embedded = await loop(self._watched, attempt)
        return Attempted(answer, loop.statistics["attempt_number"] - 1, billed)

    async def _watched(self, attempt: Callable[[], Awaitable[Embedded]]) -> Embedded:
        try:
            answer = await attempt()
        except Unreachable:
            raise
        except RequestFailed:
            self._contacted = True
            raise
        self._contacted = True
        return answer

    def _too_late(self, state: RetryCallState) -> bool:
        return (state.seconds_since_start or 0.0) + state.upcoming_sleep > self._allowed

    @property
    def _allowed(self) -> float:
        return self._patience if self._contacted else min(self._patience, _FIRST_CONTACT_SECONDS)

    def _give_up(self, state: RetryCallState) -> Embedded:
        error = _error(state)
        raise ProviderRefused(
            f"gave up after {state.attempt_number} attempts in {self._allowed:g} s: {error}. "
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
