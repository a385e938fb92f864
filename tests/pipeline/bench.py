"""A worker at a workbench: its waits pass at once, by a clock that they move."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.embedding import connect
from pipeline.ids import digest
from pipeline.job import Endpoint, Secret
from pipeline.model import Outcome, Request
from pipeline.objects import Objects
from pipeline.ports import Limiter
from pipeline.quota.limiter import Budget, LeasingLimiter, QuotaHere
from pipeline.space import Space
from pipeline.spool import Spool
from pipeline.worker import Worker
from tests.endpoint.answers import vector
from tests.endpoint.probe import Clock

SPACE = Space("openai", "text-embedding-3-small", 8)


def request(texts: Sequence[str], number: int = 0) -> Request:
    """One request, its tokens counted in characters."""
    return Request(number, tuple(texts), tuple(map(digest, texts)), sum(map(len, texts)))


@dataclass
class Bench:
    """A worker whose waits pass at once, by a clock that they move."""

    store: str
    url: str
    rpm: int | None = None
    tpm: int | None = None
    timeout: float = 10.0
    patience: float = 180.0
    limiter: Limiter | None = None  # another than the quota's own
    clock: Clock = field(default_factory=Clock)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        objects = Objects(self.store, create=True)
        self.spool = Spool(objects, SPACE)

    def worker(self) -> Worker:
        """The worker; to be made inside the loop that it works in."""
        provider = connect(SPACE, Endpoint(self.url, Secret("sk-test"), timeout=self.timeout))
        budget = Budget("run", "schedule", self.rpm, self.tpm)
        limiter = self.limiter or LeasingLimiter(QuotaHere(self.clock), budget, self._sleep, self.clock)
        return Worker(provider, self.spool, limiter, self.patience, self._sleep, self.clock)

    def run(self, *requests: Request, at_once: int = 1) -> list[Outcome]:
        """Embed requests, some at a time."""

        async def all_of_them() -> list[Outcome]:
            worker = self.worker()
            gate = asyncio.Semaphore(at_once)

            async def one(request: Request) -> Outcome:
                async with gate:
                    return await worker.embed(request)

            try:
                return await asyncio.gather(*map(one, requests))
            finally:
                await worker.close()

        return asyncio.run(all_of_them())

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.clock.now + seconds
        await asyncio.sleep(0)
        self.clock.now = max(self.clock.now, until)

    def vectors(self) -> dict[str, Any]:
        """What lies in the spool, by text hash."""
        tables = [rows.to_pylist() for _, rows in self.spool.rows(self.spool.names())]
        return {row["text_hash"]: row["vector"] for table in tables for row in table}

    def holds(self, texts: Sequence[str]) -> bool:
        """Whether the spool holds the right vectors of these texts, and no others."""
        found = self.vectors()
        right = {digest(text): vector(SPACE.model, text, SPACE.dimensions) for text in texts}
        return found.keys() == right.keys() and all(
            np.allclose(found[name], right[name], atol=1e-7) for name in right
        )
