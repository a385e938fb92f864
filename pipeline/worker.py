"""The worker: sends one request after another, and spools what comes back.

Every engine runs this code; it differs only in where.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import cast

from pipeline.embedding import connect
from pipeline.embedding.retry import Retrier
from pipeline.errors import Rejected, RequestFailed, Throttled
from pipeline.model import Job, Outcome, Request
from pipeline.objects import Objects
from pipeline.ports import Embedded, Limiter, Provider
from pipeline.spool import Spool


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
    ) -> None:
        self._provider = provider
        self._spool = spool
        self._limiter = limiter
        self._retrier = Retrier(patience, sleep, clock)
        self._sending: set[asyncio.Task[Outcome]] = set()  # those whose request is on its way
        self._stopped = False

    @classmethod
    def of(cls, job: Job, limiter: Limiter) -> "Worker":
        """The worker of a job, with handles of its own."""
        spool = Spool(Objects(job.store), job.space)
        return cls(connect(job.space, job.endpoint), spool, limiter, job.endpoint.patience)

    async def embed(self, request: Request) -> Outcome:
        """Send a request until it is answered, and spool its vectors.

        A rejected request is halved until the guilty texts stand alone. Raises ProviderRefused
        where the provider will not serve, and StoreRefused where the spool will not take it.
        """
        if self._stopped:
            raise asyncio.CancelledError
        done = self._spool.find(request.hashes)
        if done:
            return done
        try:
            attempted = await self._retrier.run(
                lambda: self._attempt(request), lambda: self._limiter.acquire(1, request.tokens)
            )
        except Rejected as error:
            return await self._halve(request, str(error))
        outcome = Outcome(
            request.number,
            texts=len(request.texts),
            tokens=attempted.answer.tokens,
            requests=1,
            retries=attempted.retries,
            paid_again=attempted.perhaps_billed * len(request.texts),
        )
        name = self._spool.put(request.hashes, attempted.answer.vectors, outcome)
        return replace(outcome, spooled=(name,))

    def stop(self, tasks: Iterable[asyncio.Task[Outcome]]) -> None:
        """Send nothing more: of the tasks that embed, only those go on that wait for an answer."""
        self._stopped = True
        for task in tasks:
            if task not in self._sending:
                task.cancel()

    async def close(self) -> None:
        """Let go of the provider's connections."""
        await self._provider.close()

    async def _attempt(self, request: Request) -> Embedded:
        task = cast("asyncio.Task[Outcome]", asyncio.current_task())
        self._sending.add(task)
        try:
            return await self._provider.embed(request.texts)
        except RequestFailed as error:
            if self._stopped:
                raise asyncio.CancelledError from error
            if isinstance(error, Throttled):
                await self._limiter.pause(error.retry_after or 1.0)
            raise
        finally:
            self._sending.discard(task)

    async def _halve(self, request: Request, reason: str) -> Outcome:
        if len(request.texts) == 1:
            return Outcome(request.number, rejected=((request.hashes[0], reason),))
        middle = len(request.texts) // 2
        outcome = Outcome(request.number)
        for part in (slice(None, middle), slice(middle, None)):
            texts, hashes = request.texts[part], request.hashes[part]
            tokens = max(1, request.tokens * len(texts) // len(request.texts))
            outcome += await self.embed(Request(request.number, texts, hashes, tokens))
        return outcome
