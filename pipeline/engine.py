"""The engine that works in this process: asyncio, with a bounded number of requests in flight."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

from pipeline.job import Job
from pipeline.model import WAITING, Outcome, Request
from pipeline.ports import Limiter
from pipeline.quota.limiter import Budget, LeasingLimiter, Office, QuotaHere, Unlimited
from pipeline.worker import MOST_IN_FLIGHT, Worker

T = TypeVar("T")
R = TypeVar("R")
_Tasks = set[asyncio.Task[Outcome]]

# Answers that are on their way when a run stops are paid for: they get this long to arrive.
_GRACE_SECONDS = 10.0
_LOOK_SECONDS = 0.5  # after which whoever waits for an outcome is told that there is none yet


def limiter_of(job: Job, office: Office) -> Limiter:
    """What a job's worker waits for before it sends: a share of the quota kept in an office."""
    return LeasingLimiter(office, Budget.of(job)) if job.space.remote else Unlimited()


class InlineEngine:
    """Does the work in this process; on one machine as fast as a cluster of processes."""

    def __init__(self, office: Callable[[Job], Office] = lambda _: QuotaHere()) -> None:
        """An engine; `office` opens the quota of a job's endpoint, which is this process's own else."""
        self._office = office
        self._unanswered: Mapping[int, int] = {}

    def embed(self, job: Job, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Send every request, a bounded number at a time; outcomes come as they finish."""
        waiting, most = iter(requests), job.endpoint.max_in_flight or MOST_IN_FLIGHT
        flying: _Tasks = set()
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(_unless_interrupted)
            worker = runner.run(_start(job, self._office))
            try:
                while True:
                    room = most - len(flying)
                    runner.run(_send(worker, list(islice(waiting, room)), flying))
                    if not flying:
                        return
                    done, flying = runner.run(_first(flying))
                    if not done:
                        yield WAITING
                    failures = [task.exception() for task in done if task.exception()]
                    yield from [task.result() for task in done if not task.exception()]
                    if failures and failures[0]:
                        raise failures[0]
            finally:
                # A Ctrl-C inside a task can leave the loop with a stop to come, which would end what is next.
                with suppress(RuntimeError):
                    runner.run(asyncio.sleep(0))
                runner.run(_stop(worker, flying))
                self._unanswered = dict(worker.unanswered)

    def unanswered(self) -> Mapping[int, int]:
        """Tokens that may have been billed in vain when `embed` was ended early, by a request's number."""
        return self._unanswered

    def map(self, step: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a step to each item, one after another."""
        return map(step, items)


async def _start(job: Job, office: Callable[[Job], Office]) -> Worker:
    return Worker.of(job, limiter_of(job, office(job)))


async def _send(worker: Worker, requests: list[Request], flying: _Tasks) -> None:
    # Handed over at once: a Ctrl-C that arrives now takes the place of what is returned.
    flying.update(asyncio.ensure_future(worker.embed(request)) for request in requests)


async def _first(flying: _Tasks) -> tuple[_Tasks, _Tasks]:
    return await asyncio.wait(flying, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)


async def _stop(worker: Worker, flying: _Tasks) -> None:
    """Send nothing more, but take in what is on its way."""
    worker.stop(flying)
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*flying, return_exceptions=True), _GRACE_SECONDS)
    await worker.close()


def _unless_interrupted(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of a task that Ctrl-C happened to meet: the run says so itself."""
    if not isinstance(context.get("exception"), KeyboardInterrupt):
        loop.default_exception_handler(context)
