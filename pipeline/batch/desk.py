"""The desk: where orders are placed and looked up, each call to the provider with its retries."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pipeline.batch.orders import Line, Order, Orders
from pipeline.embedding.batch import BatchProvider, State
from pipeline.embedding.retry import Retrier
from pipeline.job import Job
from pipeline.objects import Objects

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

_log = logging.getLogger(__name__)

_PATIENCE = 3600.0  # seconds that the endpoint may be away: what takes a day must survive an hour
_SETTLED = 60.0  # seconds after which a batch that was created is in the provider's list
_LOOK_AGAIN = 5.0  # seconds


class Desk:
    """Deals with the provider for one job, a call at a time."""

    def __init__(
        self,
        job: Job,
        provider: BatchProvider,
        runner: asyncio.Runner,
        sleep: Sleep,
        clock: Callable[[], float],
    ) -> None:
        self.job = job
        self.provider = provider
        self.clock = clock  # unix seconds
        self.orders = Orders(Objects(job.store), job.space, job.endpoint.base_url)
        self._runner = runner
        self._sleep = sleep
        self._retrier = Retrier(_PATIENCE, sleep, clock)

    def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Call the provider until it answers."""
        return self._runner.run(self._called(attempt))

    async def _called(self, attempt: Callable[[], Awaitable[T]]) -> T:
        return (await self._retrier.run(attempt)).answer

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._runner.run(_slept(self._sleep, seconds))

    def place(self, lines: Sequence[Line]) -> Order:
        """Order a batch; the intent is kept before anything can exist that has to be paid for."""
        key = f"{self.job.run_id}-{secrets.token_hex(8)}"
        tokens = sum(line.tokens for line in lines)
        order = Order(key, self.job.run_id, self.job.endpoint.base_url, tokens, 0.0).stepped(self.clock())
        self.orders.write(order, lines)
        file_id = self._upload(f"{key}.jsonl", lines)
        order = order.stepped(self.clock(), creating=True)
        self.orders.save(order)
        return self._created(order, self.call(_Creating(self.provider, self._sleep, order, file_id)))

    def found(self, order: Order) -> Order | None:
        """The order with the batch that it came to; None where it never came to one, and is forgotten.

        Its latest step may be so fresh that its batch is not in the provider's list yet.
        """
        while order.creating:
            state = self.call(lambda: self.provider.find(order.key, order.at))
            if state:
                return self._created(order, state)
            if self.clock() - order.at > _SETTLED:
                break
            self.wait(_LOOK_AGAIN)
        self.orders.close(order)
        return None

    def _upload(self, name: str, lines: Sequence[Line]) -> str:
        data = b"".join(self.provider.line(str(line.number), line.texts) for line in lines)
        return self.call(lambda: self.provider.upload(name, data))

    def _created(self, order: Order, state: State) -> Order:
        order = order.stepped(self.clock(), batch_id=state.id)
        self.orders.save(order)
        _log.info("batch %s holds %d tokens", state.id, order.tokens)
        return order


class _Creating:
    """Creates an order's batch; where an earlier attempt may have done so, looks it up before the next."""

    def __init__(self, provider: BatchProvider, sleep: Sleep, order: Order, file_id: str) -> None:
        self._provider = provider
        self._sleep = sleep
        self._order = order
        self._file = file_id
        self._tried = False

    async def __call__(self) -> State:
        if self._tried:
            await self._sleep(_LOOK_AGAIN)
            state = await self._provider.find(self._order.key, self._order.at)
            if state:
                return state
        self._tried = True
        return await self._provider.create(self._file, self._order.key)


async def _slept(sleep: Sleep, seconds: float) -> None:
    await sleep(seconds)
