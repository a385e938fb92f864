"""The worker: sends one request after another, and spools what comes back.

Every engine runs this code; it differs only in where.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from pipeline.embedding import connect
from pipeline.embedding.retry import Retrier
from pipeline.errors import Rejected, Throttled
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
    ) -> None:
        self._provider = provider
        self._spool = spool
        self._limiter = limiter
        self._retrier = Retrier(patience, sleep)
        self.sending: set[asyncio.Task[Outcome]] = set()  # those whose request is on its way

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
        done = self._spool.find(request.hashes)
        if done:
            return done
        try:
            attempted = await self._retrier.run(lambda: self._attempt(request))
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

    async def close(self) -> None:
        """Let go of the provider's connections."""
        await self._provider.close()

    async def _attempt(self, request: Request) -> Embedded:
        await self._limiter.acquire(1, request.tokens)
        task = cast("asyncio.Task[Outcome]", asyncio.current_task())
        self.sending.add(task)
        try:
            return await self._provider.embed(request.texts)
        except Throttled as error:
            await self._limiter.pause(error.retry_after or 1.0)
            raise
        finally:
            self.sending.discard(task)

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
