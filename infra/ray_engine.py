"""The engine that works on Ray: actors take requests, a bounded number at a time.

A killed worker's requests go to others. Ray's own retries are off: what was finished before a
worker died lies in the spool, and only our driver knows what still has to be sent.
"""

import asyncio
import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar, cast

import ray
from ray.exceptions import RayActorError, RayTaskError

from infra.ray_quota import QuotaActor, RayLimiter
from pipeline.errors import ProviderRefused
from pipeline.model import Job, Outcome, Request
from pipeline.worker import Worker

T = TypeVar("T")
R = TypeVar("R")

_COOLING_SECONDS = 1.0  # before a worker that died is given work again
_DEATHS_ALLOWED = 20  # a worker; beyond them something kills it, and retrying pays for nothing


class _Actor:
    """One worker with a client and connections of its own."""

    def __init__(self, job: bytes, quota: str) -> None:
        # Bytes and a name, since a restarted actor must not depend on arguments that Ray may lose.
        self._worker = Worker.of(pickle.loads(job), RayLimiter(ray.get_actor(quota)))

        self._tasks: set[asyncio.Task[Outcome]] = set()

    async def embed(self, request: Request) -> Outcome:
        task = cast("asyncio.Task[Outcome]", asyncio.current_task())
        self._tasks.add(task)
        try:
            return await self._worker.embed(request)
        finally:
            self._tasks.discard(task)

    async def stop(self) -> None:
        self._worker.stop(self._tasks)


_RemoteActor: Any = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=0)(_Actor)


class RayEngine:
    """Fans requests out over actors, and writing out over tasks."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def embed(self, job: Job, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Send every request, `max_in_flight` at a time over all workers; outcomes come as they finish."""
        fleet = _Fleet(job, self._workers)
        try:
            yield from fleet.run(iter(requests), job.endpoint.max_in_flight)
        finally:
            fleet.end()

    def map(self, step: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a step to each item as a task; at most two a worker wait at a time."""
        remote: Any = ray.remote(num_cpus=1, max_retries=3)(_apply)
        waiting = iter(items)
        flying = deque(remote.remote(step, item) for item in islice(waiting, 2 * self._workers))
        while flying:
            yield _result(flying.popleft())
            flying.extend(remote.remote(step, item) for item in islice(waiting, 1))


def _apply(step: Callable[[T], R], item: T) -> R:
    return step(item)


class _Fleet:
    """The actors of a run, what each is doing, and what has to be done again."""

    def __init__(self, job: Job, workers: int) -> None:
        name = f"quota-{job.run_id}"
        self._quota = QuotaActor.options(name=name).remote(job.endpoint.rpm, job.endpoint.tpm)
        self._actors = [_RemoteActor.remote(pickle.dumps(job), name) for _ in range(workers)]
        self._load = dict.fromkeys(range(workers), 0)
        self._rested = dict.fromkeys(range(workers), 0.0)  # monotonic seconds from which it works again
        self._deaths = dict.fromkeys(range(workers), 0)
        self._flying: dict[Any, tuple[int, Request]] = {}
        self._again: deque[Request] = deque()
        self._lost: Counter[int] = Counter()  # texts on their way when a worker died, by request

    def run(self, requests: Iterator[Request], most: int) -> Iterator[Outcome]:
        while True:
            exhausted = self._fill(requests, most)
            if not self._flying and not self._again and exhausted:
                return
            done, _ = (
                ray.wait(list(self._flying), num_returns=1, timeout=_COOLING_SECONDS)
                if self._flying
                else ([], [])
            )
            for reference in done:
                outcome = self._take(reference)
                if outcome is not None:
                    yield outcome
            if not self._flying:
                time.sleep(0.05)  # every worker is resting

    def end(self) -> None:
        """Send nothing more, let what is on its way arrive in the spool, then end the workers."""
        for actor in self._actors:
            actor.stop.remote()
        if self._flying:
            ray.wait(list(self._flying), num_returns=len(self._flying), timeout=10)
        for actor in (*self._actors, self._quota):
            ray.kill(actor)

    def _fill(self, requests: Iterator[Request], most: int) -> bool:
        """Hand out requests while there is room; says whether none is left."""
        while len(self._flying) < most:
            worker = self._idlest()
            if worker is None:
                return False
            request = self._again.popleft() if self._again else next(requests, None)
            if request is None:
                return True
            reference = self._actors[worker].embed.remote(request)
            self._flying[reference] = (worker, request)
            self._load[worker] += 1
        return False

    def _idlest(self) -> int | None:
        now = time.monotonic()
        rested = [worker for worker in self._load if self._rested[worker] <= now]
        return min(rested, key=self._load.__getitem__, default=None)

    def _take(self, reference: Any) -> Outcome | None:
        worker, request = self._flying.pop(reference)
        self._load[worker] -= 1
        try:
            outcome: Outcome = _result(reference)
        except RayActorError as error:
            # The error covers ActorUnavailableError too, where the worker lives but cannot be reached.
            self._deaths[worker] += 1
            if self._deaths[worker] > _DEATHS_ALLOWED:
                raise ProviderRefused(f"workers keep dying: {str(error).splitlines()[0]}") from error
            self._rested[worker] = time.monotonic() + _COOLING_SECONDS
            self._again.append(request)
            self._lost[request.number] += len(request.texts)
            return None
        return replace(outcome, paid_again=outcome.paid_again + self._lost[outcome.number])


def _result(reference: Any) -> Any:
    """A task's result; its own error, not Ray's wrapping of it."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from None
