"""The engine of the batch lane, over another for the ordinary one.

Whatever stops a run, its batches stay under way with the provider, and their orders in the store: the next
run that needs their texts collects them.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from pipeline.batch.collecting import Collector, Flight
from pipeline.batch.desk import Desk, Sleep
from pipeline.batch.files import Bounds, Sized, pack_files
from pipeline.batch.orders import RUNNING, Line
from pipeline.batch.tickets import Tickets
from pipeline.embedding.batch import BatchProvider, State
from pipeline.errors import ProviderRefused, Rejected
from pipeline.job import Job
from pipeline.model import WAITING, Outcome, Request
from pipeline.objects import Objects
from pipeline.ports import Engine
from pipeline.spool import Spool

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)

# OpenAI's bounds: https://platform.openai.com/docs/api-reference/batch/create
_INPUTS, _FILE_BYTES = 50_000, 200_000_000
_AT_ONCE = 20  # batches: a million embedding requests may be enqueued
_FIRST_POLL, _SLOWER, _LAST_POLL = 1.0, 1.5, 60.0  # seconds between polls: first, each time, at most
_LOOK_SECONDS = 5.0  # after which whoever waits for an outcome is told that there is none yet
_KEPT = 30 * 86_400.0  # seconds that the provider keeps what a batch has left


class BatchLane:
    """Sends by batch what a job sends by the batch lane, and leaves the rest to another engine."""

    def __init__(
        self,
        ordinary: Engine,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        bounds: Bounds | None = None,
    ) -> None:
        """An engine over another; the clock tells unix seconds, `bounds` are those of a batch."""
        self._ordinary = ordinary
        self._sleep = sleep
        self._clock = clock
        self._bounds = bounds or Bounds(_INPUTS, _FILE_BYTES)
        self._strange: set[str] = set()  # keys of orders whose batches the endpoint does not know

    def embed(self, job: Job, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Send every request once and spool its vectors.

        What a batch did not do, or not well, is undone, for the caller to send again. What it rejects goes
        over the ordinary lane, which finds the guilty texts within seconds. A job of the ordinary lane has
        batches collected that have ended, and waits for none. Raises InputError where the endpoint has no
        batches, ProviderRefused where it will do none, or somebody has cancelled one.
        """

        async def opened() -> BatchProvider:
            return BatchProvider(job.space, job.endpoint)

        self._bounds.tokens = self._bounds.tokens or job.endpoint.enqueued_tokens
        with asyncio.Runner() as runner:
            provider = runner.run(opened())
            desk = Desk(job, provider, runner, self._sleep, self._clock)
            wave = _Wave(desk, self._ordinary, self._bounds, self._strange)
            RUNNING.add(job.run_id)
            try:
                yield from wave.run(requests) if job.endpoint.lane == "batch" else wave.beside(requests)
            finally:
                RUNNING.discard(job.run_id)
                runner.run(provider.close())

    def unanswered(self) -> Mapping[int, int]:
        """What the ordinary lane may have been billed in vain: a batch is billed for what it brings."""
        return self._ordinary.unanswered()

    def map(self, step: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a step to each item, where the other engine does."""
        return self._ordinary.map(step, items)


class _Wave:
    """Requests that go by batch, from the first order to the last one collected."""

    def __init__(self, desk: Desk, ordinary: Engine, bounds: Bounds, strange: set[str]) -> None:
        self._desk = desk
        self._ordinary = ordinary
        self._bounds = bounds
        self._strange = strange
        self._tickets = Tickets()
        self._collector = Collector(desk, Spool(Objects(desk.job.store), desk.job.space), self._tickets)
        self._flights: list[Flight] = []
        self._full = False  # the provider's queue takes no more for now

    def run(self, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Send, wait, collect."""
        self._desk.call(self._desk.provider.check)
        try:
            self._take_up()
            yield from self._go(pack_files(self._sized(requests), self._bounds))
            yield from self._send_rejected()
        finally:
            if self._flights:
                _log.warning(
                    "batches under way with the provider: %d. They go on there, and are paid for; "
                    "the next run by the batch lane that needs their texts collects them",
                    len(self._flights),
                )

    def beside(self, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Collect what has ended, and send the rest over the ordinary lane."""
        self._take_up()
        for flight in list(self._flights):
            yield from self._look(flight)
        self._flights.clear()
        self._tickets.wait_for_none()
        sizes = dict[int, int]()

        def fresh() -> Iterator[Request]:
            for request in requests:
                rest = self._tickets.open(request)
                if rest:
                    sizes[rest.number] = len(rest.hashes)
                    yield rest

        for outcome in self._ordinary.embed(self._desk.job, fresh()):
            yield from self._tickets.settled()
            if outcome is WAITING:
                yield outcome
            else:
                yield from self._tickets.add(outcome, sizes[outcome.number])
        yield from self._tickets.settled()

    def _go(self, files: Iterator[list[Sized]]) -> Iterator[Outcome]:
        waiting, pause = next(files, None), _FIRST_POLL
        while self._flights or (waiting and not self._full):
            while waiting and self._room(waiting):
                self._submit(waiting)
                waiting, pause = next(files, None), _FIRST_POLL
            yield from self._tickets.settled()
            for flight in list(self._flights):
                yield from self._look(flight)
            if self._flights and not (waiting and self._room(waiting)):
                yield from self._wait(pause)
                pause = min(pause * _SLOWER, _LAST_POLL)
        for file in (waiting, *files):
            yield from self._give_back(file or [])
        yield from self._tickets.settled()

    # ---- what is under way already

    def _take_up(self) -> None:
        """Find the orders that earlier runs, or others beside this one, have under way."""
        for order in self._desk.orders.open():
            if order.key in self._strange:
                continue
            gone = order.batch_id is None and order.abandoned(self._desk.clock(), self._desk.job.run_id)
            found = self._desk.found(order) if gone else order
            if found:
                flight = Flight.of(found, self._desk.orders.lines(found))
                self._flights.append(flight)
                for line in flight.lines.values():
                    self._tickets.under_way(line.hashes)

    # ---- sending

    def _sized(self, requests: Iterable[Request]) -> Iterator[Sized]:
        """The requests without what is under way, and their sizes; it ends where the queue is full."""
        source = iter(requests)
        while not self._full and (request := next(source, None)):
            fresh = self._tickets.open(request)
            if fresh:
                try:
                    yield Sized(fresh, len(self._desk.provider.line("00000", fresh.texts)))
                except Rejected:
                    self._collector.rejected.append(fresh)

    def _room(self, file: list[Sized]) -> bool:
        """Whether the provider's queue has room for a file."""
        under_way = sum(flight.order.tokens for flight in self._flights)
        tokens = sum(line.request.tokens for line in file)
        most = self._bounds.tokens
        fits = most is None or not under_way or under_way + tokens <= most
        return fits and len(self._flights) < _AT_ONCE and not self._full

    def _submit(self, file: list[Sized]) -> None:
        lines = [
            Line(number, request.texts, request.hashes, request.tokens)
            for number, (request, _) in enumerate(file)
        ]
        order = self._desk.place(lines)
        self._flights.append(Flight.of(order, lines, [request.number for request, _ in file]))

    def _give_back(self, file: list[Sized]) -> Iterator[Outcome]:
        """What was packed, and the queue had no room for."""
        for request, _ in file:
            undone = Outcome(request.number, undone=request.hashes, reason="the provider's queue is full")
            yield from self._tickets.add(undone, len(request.hashes))

    def _send_rejected(self) -> Iterator[Outcome]:
        """Send what the batch lane rejects over the ordinary one, which finds the guilty texts."""
        rejected = self._collector.rejected
        job = replace(self._desk.job, endpoint=replace(self._desk.job.endpoint, lane="ordinary"))
        aside = [replace(request, number=place) for place, request in enumerate(rejected)]
        for outcome in self._ordinary.embed(job, aside) if aside else ():
            if outcome is WAITING:
                yield outcome
                continue
            request = rejected[outcome.number]
            yield from self._tickets.add(replace(outcome, number=request.number), len(request.hashes))

    # ---- waiting

    def _wait(self, seconds: float) -> Iterator[Outcome]:
        """Let time pass, and the caller look at the clock now and then."""
        while seconds > 0:
            yield WAITING
            self._desk.wait(min(seconds, _LOOK_SECONDS))
            seconds -= _LOOK_SECONDS

    def _look(self, flight: Flight) -> Iterator[Outcome]:
        """Look how an order stands, and collect it where it has ended."""
        batch_id = flight.order.batch_id
        if batch_id is None:
            yield from self._look_at_anothers(flight)
            return
        state = self._desk.call(lambda: self._desk.provider.poll(batch_id))
        if state is None:
            self._flights.remove(flight)
            self._strange.add(flight.order.key)
            # It is another account's, or gone: nobody gets anything from it any more.
            if flight.numbers is not None or self._desk.clock() - flight.order.at > _KEPT:
                self._desk.orders.close(flight.order)
            yield from self._collector.undone(flight, f"the endpoint does not know batch {batch_id}")
        elif state.status == "failed":
            yield from self._failed(flight, state)
        elif state.ended:
            yield from self._collector.collect(flight, state)
            self._flights.remove(flight)

    def _look_at_anothers(self, flight: Flight) -> Iterator[Outcome]:
        """Another run is about to create this batch, or has come to its end."""
        order = self._desk.orders.again(flight.order)
        if order and order.batch_id is None and order.abandoned(self._desk.clock(), self._desk.job.run_id):
            order = self._desk.found(order)
        if order:
            flight.order = order
        else:
            self._flights.remove(flight)
            yield from self._collector.undone(flight, "the run that ordered it has ended")

    def _failed(self, flight: Flight, state: State) -> Iterator[Outcome]:
        """The batch never began: nothing of it was billed."""
        self._flights.remove(flight)
        self._collector.forget(flight, state)
        if flight.numbers is None:  # whoever ordered it is not there to be told
            yield from self._collector.undone(flight, state.problem)
            return
        if not state.queue_full:
            raise ProviderRefused(f"batch {state.id} failed, and nothing of it was billed: {state.problem}")
        under_way = sum(other.order.tokens for other in self._flights)
        if not under_way and len(flight.lines) == 1:
            raise ProviderRefused(
                f"the provider's queue has no room for a batch of {flight.order.tokens:,} tokens: "
                f"{state.problem} What was paid is kept; run the same command again later"
            )
        # Others may fill the queue, too: all that is known is that this was too much.
        self._bounds.tokens = max(1, under_way, flight.order.tokens // 2)
        self._full = True
        yield from self._collector.undone(flight, state.problem)
