"""Tickets: one outcome for each request, whatever batches its texts travel in."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pipeline.model import Outcome, Request

NOBODY = -2
"""The number of an outcome that belongs to no request: what another run has ordered, and this one not."""


class Tickets:
    """Which of a run's requests are open, and where their texts are."""

    def __init__(self) -> None:
        self._left: dict[int, int] = {}  # texts, by request
        self._parts: dict[int, Outcome] = {}
        self._under_way: set[str] = set()  # texts in batches that others have ordered
        self._done: set[str] = set()  # such texts that are collected
        self._waiting: dict[str, int] = {}  # such texts that a request of ours waits for
        self._settled: list[Outcome] = []

    def under_way(self, hashes: Iterable[str]) -> None:
        """Texts are in a batch that another has ordered."""
        self._under_way.update(hashes)

    def open(self, request: Request) -> Request | None:
        """Take a request; gives what of it has to be ordered, None where all of it is under way or done."""
        self._left[request.number] = len(request.hashes)
        self._parts[request.number] = Outcome(request.number)
        fresh, done = [], 0
        for place, text_hash in enumerate(request.hashes):
            if text_hash in self._done:
                done += 1
            elif text_hash in self._under_way:
                self._waiting[text_hash] = request.number
            else:
                fresh.append(place)
        if done:
            self._settled += self.add(Outcome(request.number, texts=done), done)
        if len(fresh) == len(request.hashes):
            return request
        if not fresh:
            return None
        return replace(
            request,
            texts=tuple(request.texts[place] for place in fresh),
            hashes=tuple(request.hashes[place] for place in fresh),
            tokens=max(1, request.tokens * len(fresh) // len(request.hashes)),
        )

    def wait_for_none(self) -> None:
        """What is under way is not waited for: it is ordered by whoever needs it."""
        self._under_way.clear()

    def settled(self) -> Iterator[Outcome]:
        """The outcomes of requests whose texts were all there when they came."""
        settled, self._settled = self._settled, []
        yield from settled

    def add(self, part: Outcome, texts: int) -> Iterator[Outcome]:
        """Take what became of some texts of `part`'s request; gives the request's outcome with the last."""
        number = part.number
        self._parts[number] += part
        self._left[number] -= texts
        if not self._left[number]:
            del self._left[number]
            yield self._parts.pop(number)

    def owners(self, hashes: Iterable[str], number: int | None) -> dict[int, list[str]]:
        """The texts by the request of ours that waits for them; `number`: all of them are that one's."""
        if number is not None:
            return {number: list(hashes)}
        found: dict[int, list[str]] = defaultdict(list)
        for text_hash in hashes:
            self._under_way.discard(text_hash)
            if text_hash in self._waiting:
                found[self._waiting.pop(text_hash)].append(text_hash)
        return found

    def share(self, part: Outcome, hashes: tuple[str, ...], number: int | None) -> Iterator[Outcome]:
        """Take what became of one request of a batch; what it was billed goes to the first of its owners."""
        owners = self.owners(hashes, number)
        if number is None and part.texts:
            self._done.update(hashes)
        if not owners:
            yield replace(part, number=NOBODY, texts=0, undone=(), paid_again=0)
        for owner, texts in owners.items():
            undone = tuple(texts) if part.undone else ()
            yield from self.add(
                replace(part, number=owner, texts=len(texts) if part.texts else 0, undone=undone), len(texts)
            )
            part = Outcome(0, texts=part.texts, undone=part.undone, reason=part.reason)
