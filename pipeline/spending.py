"""What a run has been billed, and may still be: the one place that lets a request go or keeps it back."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipeline.deadline import Deadline
from pipeline.errors import OverBudget
from pipeline.job import Job
from pipeline.model import Outcome, Plan, Request
from pipeline.prices import affordable, price_of, usd

# Attempts that a request is paid for ahead where the budget has room: then its retries wait for nobody.
_GENEROUS = 16
_MARKS = 2  # tokens that some tokenizers put around each text


@dataclass(slots=True)
class Spending:
    """The bill of one run, over all its rounds.

    A request on its way counts with the most that it can be billed: no tokenizer makes more tokens of a text
    than it has bytes. Where the budget is too short for that, requests go one at a time, and count as they
    were counted; unless an answer was billed higher than it was counted, for then no count is trusted.
    """

    job: Job
    total: Outcome = field(default_factory=lambda: Outcome(0))
    allowed: int | None = None  # tokens; None where nothing bounds them
    counted: int = 0  # tokens of what is done, as the plan has counted them
    lane: str = "ordinary"  # of what is sent from now on
    _flying: dict[int, Request] = field(default_factory=dict)  # by number
    _reserved: int = 0  # tokens that what is on its way can be billed at most
    _lost: int = 0  # tokens that attempts without an answer can have been billed at most
    _trusted: bool = True

    @classmethod
    def of(cls, job: Job) -> "Spending":
        """The bill of a run that begins."""
        return cls(job, allowed=affordable(job))

    @property
    def tokens(self) -> int:
        """Tokens that were billed, or may have been without an answer."""
        return self.total.tokens + self.total.unanswered

    @property
    def usd(self) -> float | None:
        """What was billed, or may have been, in US dollars; None where the price is not known."""
        cheap = self.total.batch_tokens
        dear, half = usd(self.job, self.tokens - cheap), usd(self.job, cheap, "batch")
        return None if dear is None or half is None else dear + half

    @property
    def spent(self) -> int:
        """Tokens billed, or perhaps billed, at the lane's price: by batch, ordinary ones are two."""
        ordinary = self.tokens - self.total.batch_tokens
        return self.tokens + (ordinary if self.lane == "batch" else 0)

    def take(self, lane: str) -> None:
        """Send by a lane from now on: its price says how far the budget reaches."""
        self.lane, self.allowed = lane, affordable(self.job, lane)

    def check(self, planned: Plan) -> None:
        """Raise OverBudget where a plan costs more than is left after what earlier rounds have paid."""
        self.take(planned.lane)
        if self.allowed is None or planned.tokens + self.spent <= self.allowed:
            return
        cost = usd(self.job, planned.tokens, planned.lane)
        before = self.said() if self.tokens else "nothing was paid"
        money = f"{cost:.6f} USD" if cost is not None else f"{planned.tokens} tokens"
        raise OverBudget(
            f"{'at most ' if planned.rounds else ''}{planned.texts} texts ({planned.tokens} tokens) cost "
            f"{money}, the budget is {self.named()}; {before}. "
            "Raise --budget-usd or --budget-tokens, or ingest less"
        )

    @property
    def flying(self) -> int:
        """Requests that are on their way."""
        return len(self._flying)

    def grant(self, request: Request) -> Request | None:
        """The request with the attempts that can be paid for; None where not even one can be, for now."""
        if self.allowed is None:
            self._flying[request.number] = request
            return request
        lost = 0 if self._trusted else self._lost - self.total.unanswered
        once, left = self._once(request), self.allowed - self.spent - lost - self._reserved
        if self.lane == "batch":
            return self._sent(request, 1, once) if once <= left else None
        if once * _GENEROUS <= left:
            return self._sent(request, _GENEROUS, once)
        alone = not self._flying and self._trusted and request.tokens <= left
        return self._sent(request, 1, once) if once <= left or alone else None

    def settle(self, outcome: Outcome) -> Request | None:
        """Take an outcome into the bill; gives the part of its request that has to be sent again."""
        request = self._flying.pop(outcome.number, None)
        self.total += replace(outcome, spooled=(), undone=(), number=self.total.number)
        if request is None:
            return None
        again = _part(request, outcome.undone) if outcome.undone else None
        self.counted += request.tokens - (again.tokens if again else 0)
        if request.attempts is not None:
            most = self._once(request)
            self._reserved -= most * request.attempts
            self._lost += -(-most * outcome.unanswered // max(1, request.tokens))
            self._trusted = self._trusted and outcome.tokens <= request.tokens
        return again

    def close(self, find: Callable[[Sequence[str]], Outcome | None], unanswered: Mapping[int, int]) -> None:
        """End the sending: what `find` finds was answered, and of the rest so many tokens may be billed."""
        for request in list(self._flying.values()):
            if self.lane == "batch":  # whoever collects it is billed for it
                self.settle(Outcome(request.number))
                continue
            found = find(request.hashes)
            self.settle(
                replace(found, number=request.number, rejected=())
                if found
                else Outcome(request.number, unanswered=unanswered.get(request.number, 0))
            )

    def refuse(self, request: Request) -> OverBudget:
        """The error that says why a request is not sent, and what was spent."""
        why = "" if self._trusted else "; the endpoint bills more tokens than the plan has counted"
        return OverBudget(
            f"the budget of {self.named()} does not reach further: {self.said()}, and the next request, "
            f"{len(request.texts)} texts of {request.tokens:,} tokens, could pass it{why}. Nothing was "
            "published, what was paid is kept; raise --budget-usd or --budget-tokens, and run the same "
            "command again"
        )

    def named(self) -> str:
        """The budget, for people."""
        budget = self.job.budget
        bounds = [f"{budget.usd:.6f} USD"] if budget.usd is not None else []
        bounds += [f"{budget.tokens:,} tokens"] if budget.tokens is not None else []
        return " and ".join(bounds)

    def record(self) -> dict[str, Any]:
        """What was spent, as JSON for the run ledger."""
        total, price = self.total, price_of(self.job)
        return {
            "texts": total.texts,
            "tokens": total.tokens,
            "tokens_unanswered": total.unanswered,
            "requests": total.requests,
            "retries": total.retries,
            "paid_again": total.paid_again,
            "cost_usd": self.usd,
            "price": asdict(price) if price else None,
        }

    def said(self) -> str:
        """What was spent, for people."""
        cost = self.usd
        money = "" if cost is None else f"{cost:.6f} USD, "
        perhaps = self.total.unanswered
        lost = f", {perhaps:,} of them perhaps, for attempts without an answer" if perhaps else ""
        return f"{money}{self.tokens:,} tokens were spent{lost}"

    def _once(self, request: Request) -> int:
        """The tokens that an attempt is counted with; a batch's requests wait a day, and have no retries."""
        return request.tokens if self.lane == "batch" else _most(request)

    def _sent(self, request: Request, attempts: int, once: int) -> Request:
        sent = replace(request, attempts=attempts)
        self._flying[request.number] = sent
        self._reserved += once * attempts
        return sent


@dataclass(slots=True)
class Spent:
    """What a run has spent, over all its rounds: money, and time."""

    bill: Spending
    deadline: Deadline
    earlier: int = 0  # texts that were paid for other parts of the run
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("list", "split", "plan", "embed", "assemble", "publish"), 0.0)
    )

    @classmethod
    def of(cls, job: Job, clock: Callable[[], float] = time.monotonic) -> "Spent":
        """What a run that begins has spent."""
        return cls(Spending.of(job), Deadline.after(job.budget.seconds, clock))

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Count the time of a stage."""
        began = self.deadline.passed
        try:
            yield
        finally:
            self.seconds[stage] += self.deadline.passed - began

    def clock(self) -> dict[str, float]:
        """The seconds of each stage, and of all."""
        passed = {**self.seconds, "total": self.deadline.passed}
        return {stage: round(seconds, 3) for stage, seconds in passed.items()}


def _most(request: Request) -> int:
    """The tokens that a request can be billed at most, whatever tokenizer counts them."""
    sizes = (len(text.encode("utf-8", "surrogatepass")) + _MARKS for text in request.texts)
    return max(request.tokens, sum(sizes))


def _part(request: Request, hashes: Sequence[str]) -> Request:
    """The part of a request with these texts."""
    wanted = set(hashes)
    kept = [(text, one) for text, one in zip(request.texts, request.hashes, strict=True) if one in wanted]
    texts, names = zip(*kept, strict=True)
    tokens = max(1, request.tokens * len(texts) // len(request.texts))
    return Request(request.number, tuple(texts), tuple(names), tokens)
