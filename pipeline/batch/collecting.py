"""collecting: what a batch has come to, request by request."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.batch.desk import Desk
from pipeline.batch.orders import Line, Order
from pipeline.batch.tickets import Tickets
from pipeline.embedding.batch import State
from pipeline.errors import ProviderRefused, Rejected, RequestFailed, Retryable
from pipeline.model import Outcome, Request
from pipeline.ports import Embedded
from pipeline.spool import Spool

_log = logging.getLogger(__name__)

_SURELY = 8  # requests that are not all rejected for their texts


@dataclass(slots=True)
class Flight:
    """An order under way."""

    order: Order
    lines: dict[str, Line]  # without their texts, by custom id
    numbers: dict[str, int] | None = None  # of this run's requests, by custom id; None: another run's order

    @classmethod
    def of(
        cls, order: Order, lines: "Iterator[Line] | list[Line]", numbers: list[int] | None = None
    ) -> "Flight":
        """An order with its requests; `numbers` of this run's own, in their order."""
        bare = {str(line.number): replace(line, texts=()) for line in lines}
        return cls(order, bare, None if numbers is None else dict(zip(bare, numbers, strict=True)))

    def owner(self, name: str) -> int | None:
        """The request of this run that a line is; None for another run's."""
        return None if self.numbers is None else self.numbers[name]


@dataclass(slots=True)
class _Verdict:
    """What the lines of a batch have come to, other than answers."""

    seen: set[str] = field(default_factory=set)
    rejected: dict[str, Rejected] = field(default_factory=dict)
    refused: ProviderRefused | None = None


class Collector:
    """Spools answers, and says what became of the rest."""

    def __init__(self, desk: Desk, spool: Spool, tickets: Tickets) -> None:
        self._desk = desk
        self._spool = spool
        self._tickets = tickets
        self.rejected: list[Request] = []  # for the ordinary lane

    def collect(self, flight: Flight, state: State) -> Iterator[Outcome]:
        """Take in all of a batch that has ended, then forget its order.

        Raises ProviderRefused where the provider will not do such requests, or somebody has cancelled it.
        """
        verdict = _Verdict()
        try:
            yield from self._read(flight, state, verdict)
        except BaseException:
            counted = sorted({*flight.order.counted, *map(int, verdict.seen)})
            self._desk.orders.save(replace(flight.order, counted=tuple(counted)))
            raise
        # A request that was not done is said to be so: this one was, and perhaps billed.
        lost = Retryable(f"the files of batch {state.id} do not have it", perhaps_billed=True)
        for name in [name for name in flight.lines if name not in verdict.seen]:
            yield from self._took(flight, name, lost)
        if len(verdict.rejected) == len(flight.lines) > _SURELY:
            [*_, last] = verdict.rejected.values()
            verdict.refused = ProviderRefused(
                f"batch {state.id}: all its requests were rejected; the last: {last}"
            )
        if not verdict.refused:
            yield from self._set_aside(flight, list(verdict.rejected))
        self.forget(flight, state)
        if verdict.refused:
            raise verdict.refused
        if state.status == "cancelled" and flight.numbers is not None:
            raise ProviderRefused(
                f"batch {state.id} was cancelled at the provider; what it had done is kept. "
                "Run the same command again to order the rest anew"
            )

    def undone(self, flight: Flight, reason: str) -> Iterator[Outcome]:
        """Nothing came of a batch, and nothing of it was billed."""
        for name in flight.lines:
            yield from self._took(flight, name, Retryable(reason))

    def forget(self, flight: Flight, state: State) -> None:
        """Close an order, and delete the texts that were sent.

        What came back stays with the provider until it expires: another run may be waiting for it, too.
        """
        self._desk.orders.close(flight.order)
        file_id = state.input_file
        if file_id:
            try:
                self._desk.call(lambda: self._desk.provider.discard(file_id))
            except ProviderRefused as error:
                _log.info("%s was not deleted: %s", file_id, error)

    def _read(self, flight: Flight, state: State, verdict: _Verdict) -> Iterator[Outcome]:
        def unseen(name: str) -> int | None:
            known = name in flight.lines and name not in verdict.seen
            return len(flight.lines[name].hashes) if known else None

        with TemporaryDirectory(prefix="vecmill-batch-") as folder:
            path = Path(folder) / "lines.jsonl"
            for file_id in state.files:
                self._desk.call(partial(self._desk.provider.fetch, file_id, path))
                with path.open("rb") as file:
                    for name, answer in self._desk.provider.read(file, unseen):
                        verdict.seen.add(name)
                        if isinstance(answer, ProviderRefused):
                            verdict.refused = answer
                        elif isinstance(answer, Rejected):
                            verdict.rejected[name] = answer
                        else:
                            yield from self._took(flight, name, answer)

    def _took(self, flight: Flight, name: str, answer: Embedded | RequestFailed) -> Iterator[Outcome]:
        """One request's answer, or why it has none."""
        line = flight.lines[name]
        if isinstance(answer, Embedded):
            tokens = 0 if line.number in flight.order.counted else answer.tokens
            part = Outcome(0, texts=len(line.hashes), tokens=tokens, batch_tokens=tokens, requests=1)
            part = replace(part, spooled=(self._spool.put(line.hashes, answer.vectors, part),))
        else:
            billed = isinstance(answer, Retryable) and answer.perhaps_billed
            part = Outcome(
                0,
                paid_again=len(line.hashes) * billed,
                unanswered=line.tokens * billed,
                undone=line.hashes,
                reason=str(answer),
            )
        yield from self._tickets.share(part, line.hashes, flight.owner(name))

    def _set_aside(self, flight: Flight, names: list[str]) -> Iterator[Outcome]:
        """Keep the texts of rejected requests for the ordinary lane."""
        wanted = set(names)
        texts = {
            str(line.number): line.texts
            for line in (self._desk.orders.lines(flight.order) if names else ())
            if str(line.number) in wanted
        }
        for name in names:
            line = flight.lines[name]
            kept = dict(zip(line.hashes, texts.get(name, ()), strict=False))
            for number, hashes in self._tickets.owners(line.hashes, flight.owner(name)).items():
                if kept:
                    tokens = max(1, line.tokens * len(hashes) // len(line.hashes))
                    chosen = tuple(kept[one] for one in hashes)
                    self.rejected.append(Request(number, chosen, tuple(hashes), tokens))
                else:  # another run has collected it, and its texts are gone
                    undone = Outcome(number, undone=tuple(hashes), reason="another run has collected it")
                    yield from self._tickets.add(undone, len(hashes))
