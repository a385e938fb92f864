"""Decides who may send how much, and when: all runs that share an endpoint and a key ask here.

It never waits and never calls back. An answer is a lease, or the time at which to ask again, so that the
same decisions serve an actor of a cluster, a file of a machine, and a simulation.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipeline.ports import Stated
from pipeline.quota.meter import GATHERS, WINDOW, Meter

PRIORITIES = ("schedule", "rerun", "backfill")
"""Which runs go first: each goes before those to its right."""

# A lease covers so much of the whole quota, or one request where that is more.
_LEASE = 0.1  # seconds of quota
# Leases are given so far ahead: the quota is never idle while an answer travels.
_AHEAD = 0.25  # seconds
# What a quota that is lost had granted may still be on its way, and may have been a little ahead of its pace.
_LOST = GATHERS + 2 * _AHEAD  # seconds
_LONGEST_WAIT = 2.0  # seconds until somebody asks again: he may be the only one left
_SHORTEST_WAIT = 0.005
_FORGOTTEN = 5.0  # seconds after which a run that did not ask has no share
_HUNGRY = 0.5  # seconds for which others wait for one that does not come when it was told to
_BEHIND = 2.0  # leases by which a run may be ahead of another of its priority
# A 429 although the budget was kept: somebody else uses the key. Less, then slowly more again.
_LESS, _MORE, _LEAST = 0.9, 0.01, 0.1  # of the budget: at a 429, a second, at least
_OTHERS = 0.25  # of the budget: with less left than this, others use it
_SMOOTHED = 0.98  # of what the ratio of billed to counted tokens is told from, kept from answer to answer
_RATIOS = (0.2, 5.0)  # beyond them something else is wrong
_NOTHING = Stated()


@dataclass(frozen=True, slots=True)
class Ask:
    """What a worker wants to send, and what it has learned since it asked last."""

    run: str  # run_id
    priority: str  # one of PRIORITIES
    rpm: float | None  # the run's own budget; None: none known
    tpm: float | None
    sizes: tuple[int, ...]  # tokens of the requests that wait, in order
    counted: int = 0  # tokens of requests answered since, as they were counted
    billed: int = 0  # and as they were billed
    stated: Stated = _NOTHING  # by the latest answer
    throttled: float | None = None  # seconds that the endpoint asked to wait, since


@dataclass(frozen=True, slots=True)
class Lease:
    """An answer: so much may be sent from a moment on, or nothing, and then is the time to ask again."""

    wait: float  # seconds from now
    requests: int = 0  # the first so many of those that wait
    unlimited: bool = False  # and all others until it is time to ask again, since there is no budget


@dataclass(slots=True)
class _Run:
    """What one run has had, and whether it wants more."""

    priority: int
    seen: float  # when it asked last
    used: float = 0.0  # seconds of the whole quota, its head start where it came later included
    hungry_until: float = -1.0  # it was told to wait, and may still want what it was not given
    line: float = 0.0  # until when those who wait for it are told to wait
    meters: dict[str, Meter] = field(default_factory=dict)  # its own budget, where the quota is larger


class Quota:
    """The quota of an endpoint and key.

    The budget is the largest that a run names, or the endpoint's own where that is less; each run keeps to
    its own besides. Runs of one priority share evenly, whatever the number of their workers.
    """

    def __init__(self, *, used: bool = False) -> None:
        """A quota of which nothing is known; `used` takes the minute before as used up."""
        self._used = used
        self._meters: dict[str, Meter] = {}
        self._runs: dict[str, _Run] = {}
        self._closed_until = -math.inf
        self._share = 1.0  # of the budget: less after a 429
        self._shared_at = -math.inf  # when the share was true
        self._stated = _NOTHING
        self._counted = self._billed = 0.0  # tokens, smoothed

    def ask(self, ask: Ask, now: float) -> Lease:
        """Grant a lease, or say when to ask again."""
        if self._used and not self._meters:
            self._closed_until = now + _LOST
        run = self._known(ask, now)
        self._learn(ask, now)
        if not ask.sizes:
            return Lease(0.0)
        if now < self._closed_until:
            return self._later(run, self._closed_until - now, now)
        if not self._meters:
            return Lease(0.0, len(ask.sizes), unlimited=True)
        turn = self._turn(run, now)
        if turn > 0:
            return self._later(run, turn, now)
        return self._granted(ask, run, now)

    @property
    def ratio(self) -> float:
        """Tokens billed for one that was counted."""
        return min(max(self._billed / self._counted, _RATIOS[0]), _RATIOS[1]) if self._counted else 1.0

    def spent(self, now: float) -> Mapping[str, float]:
        """Requests and tokens granted in the minute before."""
        return {kind: meter.spent(now) for kind, meter in self._meters.items()}

    def _known(self, ask: Ask, now: float) -> _Run:
        """The run that asks; what it says of its budget counts from now on."""
        for name in [name for name, run in self._runs.items() if now - run.seen > _FORGOTTEN]:
            del self._runs[name]
        priority = PRIORITIES.index(ask.priority)
        run = self._runs.get(ask.run)
        if run is None:
            peers = [other.used for other in self._runs.values() if other.priority == priority]
            run = self._runs[ask.run] = _Run(priority, now, min(peers, default=0.0))
        run.priority, run.seen = priority, now
        for kind, budget in (("requests", ask.rpm), ("tokens", ask.tpm)):
            if budget is None:
                run.meters.pop(kind, None)
            elif kind not in run.meters:
                run.meters[kind] = Meter(budget, now)
            elif run.meters[kind].per_minute != budget:
                run.meters[kind].resize(budget)
        self._budget(now)
        return run

    def _budget(self, now: float) -> None:
        """Set the whole budget: the largest of the runs', at most the endpoint's own, and of it the share."""
        if self._share < 1:
            self._share = min(1.0, self._share + _MORE * (now - self._shared_at))
            self._shared_at = now
        stated = {"requests": self._stated.requests_a_minute, "tokens": self._stated.tokens_a_minute}
        for kind, limit in stated.items():
            named = [run.meters[kind].per_minute for run in self._runs.values() if kind in run.meters]
            budgets = [budget for budget in (max(named, default=None), limit) if budget is not None]
            if not budgets:
                self._meters.pop(kind, None)
                continue
            budget = min(budgets) * self._share
            if kind not in self._meters:
                self._meters[kind] = Meter(budget, now, used=self._used)
            elif self._meters[kind].per_minute != budget:
                self._meters[kind].resize(budget)

    def _learn(self, ask: Ask, now: float) -> None:
        """Take in what the worker has learned from the endpoint."""
        if ask.counted and ask.billed:
            for meters in (self._meters, *(run.meters for run in self._runs.values())):
                if "tokens" in meters and (meters is self._meters or meters is self._runs[ask.run].meters):
                    meters["tokens"].spend(ask.billed - ask.counted * self.ratio, now)
            self._counted = self._counted * _SMOOTHED + ask.counted
            self._billed = self._billed * _SMOOTHED + ask.billed
        if ask.throttled is not None:
            if now >= self._closed_until:  # one that says the same again is not counted again
                self._share, self._shared_at = max(_LEAST, self._share * _LESS), now
            self._closed_until = max(self._closed_until, now + ask.throttled)
        if ask.stated != _NOTHING:
            self._stated = ask.stated
            self._budget(now)
            for kind, left in (("requests", ask.stated.requests_left), ("tokens", ask.stated.tokens_left)):
                if left is not None and kind in self._meters:
                    meter = self._meters[kind]
                    if left < _OTHERS * meter.per_minute:
                        meter.cap(left, now)

    def _turn(self, run: _Run, now: float) -> float:
        """Seconds until it is the run's turn, as far as other runs are concerned; 0 for now."""
        hungry = [other for other in self._runs.values() if other is not run and other.hungry_until > now]
        if any(other.priority < run.priority for other in hungry):
            return _AHEAD
        least = min((other.used for other in hungry if other.priority == run.priority), default=None)
        if least is None:
            return 0.0
        if run.hungry_until <= now:  # what it did not want while others waited is not saved up
            run.used = max(run.used, least)
        late = run.used - least - _BEHIND * _LEASE
        return late * len(hungry) if late > 0 else 0.0

    def _granted(self, ask: Ask, run: _Run, now: float) -> Lease:
        """A lease of the first requests that wait, or later, where the quota is spent."""
        ratio = self.ratio
        own = {kind: meter for kind, meter in run.meters.items() if self._is_less(kind, meter)}
        given = {"requests": 1.0, "tokens": ask.sizes[0] * ratio}
        wait, alone = _wait(self._meters, given, now), _wait(own, given, now)
        if max(wait, alone) > _AHEAD:
            lease = self._seconds(given)
            return self._later(run, max(wait, alone) - _AHEAD / 2, now, lease, hungry=alone <= wait)
        wait = max(wait, alone)
        number, start = 1, now + wait
        for size in ask.sizes[1:]:
            more = {"requests": given["requests"] + 1, "tokens": given["tokens"] + size * ratio}
            late = max(_wait(self._meters, more, start), _wait(own, more, start))
            if self._seconds(more) > _LEASE or late > 0:
                break
            given, number = more, number + 1
        for meters in (self._meters, run.meters):
            for kind, meter in meters.items():
                meter.spend(given[kind], start)
        run.used += self._seconds(given)
        if number < len(ask.sizes) and not own:
            run.hungry_until = max(run.hungry_until, start + _HUNGRY)
        return Lease(wait, number)

    def _is_less(self, kind: str, meter: Meter) -> bool:
        """Whether a run's own budget is less than the whole, and has to be looked at."""
        return kind not in self._meters or meter.per_minute < self._meters[kind].per_minute

    def _seconds(self, amounts: Mapping[str, float]) -> float:
        """For how long amounts use the whole quota."""
        return max(amounts[kind] * WINDOW / meter.per_minute for kind, meter in self._meters.items())

    def _later(
        self, run: _Run, wait: float, now: float, lease: float = _LEASE, *, hungry: bool = True
    ) -> Lease:
        """Send a worker to the end of its run's line: they come one after another, and not all at once."""
        others = 1 + sum(other is not run and other.hungry_until > now for other in self._runs.values())
        due = max(run.line, now + wait)
        run.line = min(due + others * max(lease, _LEASE), now + wait + _LONGEST_WAIT)
        told = min(max(due - now, _SHORTEST_WAIT), _LONGEST_WAIT)
        if hungry:  # for more than its own budget allows
            run.hungry_until = max(run.hungry_until, now + told + _HUNGRY)
        return Lease(told)

    def state(self) -> dict[str, Any]:
        """All of it, for JSON; `of` reads it back."""
        return {
            "meters": {kind: meter.state() for kind, meter in self._meters.items()},
            "runs": {name: _run_state(run) for name, run in self._runs.items()},
            "closed_until": max(self._closed_until, -1e18),
            "share": [self._share, max(self._shared_at, -1e18)],
            "stated": asdict(self._stated),
            "tokens": [self._counted, self._billed],
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "Quota":
        """The quota with a state."""
        made = cls()
        made._meters = {kind: Meter.of(values) for kind, values in state["meters"].items()}
        made._runs = {name: _run_of(values) for name, values in state["runs"].items()}
        made._closed_until = state["closed_until"]
        made._share, made._shared_at = state["share"]
        made._stated = Stated(**state["stated"])
        made._counted, made._billed = state["tokens"]
        return made


def _wait(meters: Mapping[str, Meter], amounts: Mapping[str, float], at: float) -> float:
    """Seconds until all of some meters have so much."""
    return max((meter.wait(amounts[kind], at) for kind, meter in meters.items()), default=0.0)


def _run_state(run: _Run) -> dict[str, Any]:
    meters = {kind: meter.state() for kind, meter in run.meters.items()}
    return {**asdict(replace(run, meters={})), "meters": meters}


def _run_of(values: Mapping[str, Any]) -> _Run:
    return _Run(**{**values, "meters": {kind: Meter.of(of) for kind, of in values["meters"].items()}})
