"""The engine that works on Ray: actors take requests, a bounded number at a time.

A killed worker's requests go to others. Ray's own retries are off: what was finished before a
worker died lies in the spool, and only our driver knows what still has to be sent.
"""

import asyncio
import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar, cast

import ray
from ray.exceptions import RayActorError, RayTaskError

from infra.ray_quota import ClusterQuota
from pipeline.engine import limiter_of
from pipeline.errors import ProviderRefused
from pipeline.job import Job
from pipeline.local_models import NEEDS
from pipeline.model import WAITING, Outcome, Request
from pipeline.quota.machine import quota_name
from pipeline.worker import MOST_IN_FLIGHT, Worker

T = TypeVar("T")
R = TypeVar("R")

_ASKING_SECONDS = 5.0  # that workers have to say what they know, in the end
_COOLING_SECONDS = 1.0  # before a worker that died is given work again
_DEATHS_ALLOWED = 20  # a worker; beyond them something kills it, and retrying pays for nothing


class _Actor:
    """One worker with a client and connections of its own."""

    def __init__(self, pickled: bytes, most: int) -> None:
        # Bytes, since a restarted actor must not depend on arguments that Ray may lose.
        job: Job = pickle.loads(pickled)
        quota = ClusterQuota(quota_name(job.space, job.endpoint))
        self._worker = Worker.of(job, limiter_of(job, quota), most)
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

    async def unanswered(self) -> dict[int, int]:
        return dict(self._worker.unanswered)


_RemoteActor: Any = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=0)(_Actor)


class RayEngine:
    """Fans requests out over actors, and writing out over tasks."""

    def __init__(self, workers: int, gpus: int = 0) -> None:
        self._workers = workers
        self._gpus = gpus  # of the cluster: a model on one has it to itself
        self._unanswered: Mapping[int, int] = {}

    def embed(self, job: Job, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Send every request, a bounded number at a time over all workers; outcomes come as they finish."""
        on_gpus = bool(self._gpus) and job.space.provider in NEEDS
        workers = min(self._workers, self._gpus) if on_gpus else self._workers
        if not job.space.remote:  # a worker has a core; the next request waits beside it
            endpoint = replace(job.endpoint, threads=1, max_in_flight=2 * workers)
            job = replace(job, endpoint=endpoint)
        most = job.endpoint.max_in_flight or MOST_IN_FLIGHT * workers
        fleet = _Fleet(job, workers, -(-most // workers), num_gpus=int(on_gpus))
        try:
            yield from fleet.run(iter(requests), most)
        finally:
            self._unanswered = fleet.end()

    def unanswered(self) -> Mapping[int, int]:
        """Tokens that may have been billed in vain when `embed` was ended early, by a request's number."""
        return self._unanswered

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

    def __init__(self, job: Job, workers: int, most: int, num_gpus: int) -> None:
        self._job = job
        # Ray hides GPUs from who asks for none.
        actor = _RemoteActor.options(num_gpus=num_gpus)
        self._actors = [actor.remote(pickle.dumps(job), most) for _ in range(workers)]
        self._load = dict.fromkeys(range(workers), 0)
        self._rested = dict.fromkeys(range(workers), 0.0)  # monotonic seconds from which it works again
        self._deaths = dict.fromkeys(range(workers), 0)
        self._flying: dict[Any, tuple[int, Request]] = {}
        self._again: deque[Request] = deque()
        self._lost: Counter[int] = Counter()  # workers that died with it on its way, by request

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
            if not done:
                yield WAITING
            if not self._flying:
                time.sleep(0.05)  # every worker is resting

    def end(self) -> Mapping[int, int]:
        """Send nothing more, let what is on its way arrive in the spool, then end the workers.

        Gives the tokens of what was not done that may have been billed in vain, by a request's number.
        """
        for actor in self._actors:
            actor.stop.remote()
        if self._flying:
            ray.wait(list(self._flying), num_returns=len(self._flying), timeout=10)
        unanswered = self._asked() if self._flying or self._again else {}
        for actor in self._actors:
            ray.kill(actor)
        if self._job.space.remote:
            ClusterQuota(quota_name(self._job.space, self._job.endpoint)).leave(self._job.run_id)
        return unanswered

    def _asked(self) -> Mapping[int, int]:
        """What workers know of attempts without an answer, and the driver of workers that died with one."""
        found = Counter[int]()
        asked = [actor.unanswered.remote() for actor in self._actors]
        for reference in ray.wait(asked, num_returns=len(asked), timeout=_ASKING_SECONDS)[0]:
            with suppress(RayActorError):
                found.update(ray.get(reference))
        for request in (*(request for _, request in self._flying.values()), *self._again):
            found[request.number] += self._lost[request.number] * request.tokens
        return found

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
            self._lost[request.number] += 1
            if request.attempts is None:
                self._again.append(request)
                return None
            # Whether it can be paid for once more, only the run's bill knows.
            outcome = Outcome(request.number, undone=request.hashes, reason="its worker died")
        lost = self._lost.pop(request.number, 0)
        return replace(
            outcome,
            paid_again=outcome.paid_again + lost * len(request.texts),
            unanswered=outcome.unanswered + lost * request.tokens,
        )


def _result(reference: Any) -> Any:
    """A task's result; its own error, not Ray's wrapping of it."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from None
