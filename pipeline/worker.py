"""The worker: sends one request after another, and spools what comes back.

Every engine runs this code; it differs only in where.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import ParamSpec, TypeVar, cast

from pipeline.concurrency import Window
from pipeline.embedding import connect
from pipeline.embedding.retry import Attempted, Retrier
from pipeline.errors import ProviderRefused, Rejected, RequestFailed, Retryable, Throttled, Undone
from pipeline.job import Job
from pipeline.model import Outcome, Request
from pipeline.objects import Objects, is_remote
from pipeline.ports import Embedded, Limiter, Provider
from pipeline.spool import Spool

P = ParamSpec("P")
T = TypeVar("T")

MOST_IN_FLIGHT = 64
"""Requests at once a worker where nobody asks for a number: their answers have to fit into memory."""


class Worker:
    """Embeds requests of one job; several may run at once in one event loop."""

    def __init__(
        self,
        provider: Provider,
        spool: Spool,
        limiter: Limiter,
        patience: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST_IN_FLIGHT,
        *,
        spools_aside: bool = False,
    ) -> None:
        self._provider = provider
        self._spool = spool
        self._limiter = limiter
        self._window = Window(most)
        self._retrier = Retrier(patience, sleep, clock)
        self._spools_aside = spools_aside  # whether others go on while the spool is waited for
        self._sending: set[asyncio.Task[Outcome]] = set()  # those whose request is on its way
        self._stopped = False
        # Tokens of attempts that may have been billed, by a request's number, until an outcome tells of them.
        self.unanswered = Counter[int]()

    @classmethod
    def of(cls, job: Job, limiter: Limiter, most: int | None = None) -> "Worker":
        """The worker of a job, with handles of its own; `most` is its share of requests at once."""
        return cls(
            connect(job.space, job.endpoint),
            Spool(Objects(job.store), job.space),
            limiter,
            job.endpoint.patience,
            most=most or job.endpoint.max_in_flight or MOST_IN_FLIGHT,
            spools_aside=is_remote(job.store),
        )

    async def embed(self, request: Request) -> Outcome:
        """Send a request until it is answered, and spool its vectors.

        A rejected request is halved until the guilty texts stand alone. Raises ProviderRefused
        where the provider will not serve, and StoreRefused where the spool will not take it.
        """
        if self._stopped:
            raise asyncio.CancelledError
        done = await self._spooling(self._spool.find, request.hashes)
        if done:
            return done
        try:
            attempted = await self._retrier.run(
                lambda: self._attempt(request), lambda: self._turn(request.tokens), request.attempts
            )
        except Rejected as error:
            return await self._halve(request, str(error))
        except Undone as error:
            return self._undone(request, error)
        return await self._finished(request, attempted)

    def stop(self, tasks: Iterable[asyncio.Task[Outcome]]) -> None:
        """Send nothing more: of the tasks that embed, only those go on that wait for an answer."""
        self._stopped = True
        for task in tasks:
            if task not in self._sending:
                task.cancel()

    async def close(self) -> None:
        """Let go of the provider's connections."""
        await self._provider.close()

    async def _turn(self, tokens: int) -> None:
        """Wait for room, then for the quota: what is leased is sent at once."""
        await self._window.enter()
        try:
            await self._limiter.acquire(tokens)
        except BaseException:
            self._window.leave()
            raise

    async def _attempt(self, request: Request) -> Embedded:
        """Send a request whose turn it is."""
        task = cast("asyncio.Task[Outcome]", asyncio.current_task())
        self._sending.add(task)
        self.unanswered[request.number] += request.tokens
        try:
            answer = await self._provider.embed(request.texts)
        except (RequestFailed, ProviderRefused) as error:
            if not (isinstance(error, Retryable) and error.perhaps_billed):
                self.unanswered[request.number] -= request.tokens
            if self._stopped:
                raise asyncio.CancelledError from error
            if isinstance(error, Throttled):
                self._window.shrink()
                await self._limiter.pause(error.retry_after or 1.0)
            raise
        finally:
            self._sending.discard(task)
            self._window.leave()
        self._window.grow()
        self._limiter.answered(request.tokens, answer.tokens, answer.stated)
        return answer

    async def _finished(self, request: Request, attempted: Attempted[Embedded]) -> Outcome:
        outcome = Outcome(
            request.number,
            texts=len(request.texts),
            tokens=attempted.answer.tokens,
            requests=1,
            retries=attempted.retries,
            paid_again=attempted.perhaps_billed * len(request.texts),
            unanswered=self.unanswered[request.number] - request.tokens,
        )
        vectors = attempted.answer.vectors
        name = await self._spooling(self._spool.put, request.hashes, vectors, outcome)
        del self.unanswered[request.number]
        return replace(outcome, spooled=(name,))

    async def _spooling(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Use the spool: beside the event loop, where it is far away."""
        if self._spools_aside:
            return await asyncio.to_thread(step, *args, **kwargs)
        return step(*args, **kwargs)

    async def _halve(self, request: Request, reason: str) -> Outcome:
        if len(request.texts) == 1:
            lost = self.unanswered.pop(request.number, 0)
            return Outcome(request.number, unanswered=lost, rejected=((request.hashes[0], reason),))
        middle = len(request.texts) // 2
        outcome = Outcome(request.number)
        for part in (slice(None, middle), slice(middle, None)):
            texts, hashes = request.texts[part], request.hashes[part]
            tokens = max(1, request.tokens * len(texts) // len(request.texts))
            outcome += await self.embed(Request(request.number, texts, hashes, tokens, request.attempts))
        return outcome

    def _undone(self, request: Request, error: Undone) -> Outcome:
        return Outcome(
            request.number,
            retries=error.retries,
            paid_again=error.perhaps_billed * len(request.texts),
            unanswered=self.unanswered.pop(request.number, 0),
            undone=request.hashes,
            reason=str(error),
        )
