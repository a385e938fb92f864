"""The quota decides who may send: never too much in a minute, evenly by run, and by priority."""

import heapq
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ports import Stated
from pipeline.quota.meter import WINDOW
from pipeline.quota.quota import PRIORITIES, Ask, Quota


@dataclass
class Crowd:
    """Workers who always want more, and ask when they are told to, by a clock that they move."""

    rpm: int | None
    tpm: int | None
    priorities: tuple[str, ...] = ("schedule",)  # of each run
    workers: int = 1  # a run
    size: int = 4000  # tokens a request, at most
    line: int = 8  # requests that wait
    quota: Quota = field(default_factory=Quota)
    restart: float | None = None  # when the quota is lost, and made anew
    grants: list[tuple[float, int, int, int]] = field(default_factory=list)  # when, run, requests, tokens
    asks: int = 0
    cpu: float = 0.0  # seconds that the quota took

    def work(self, seconds: float, seed: int = 0) -> "Crowd":
        chance = random.Random(seed)
        runs = len(self.priorities)
        heap = [(chance.random() / 10, worker) for worker in range(runs * self.workers)]
        heapq.heapify(heap)
        while heap[0][0] < seconds:
            now, worker = heapq.heappop(heap)
            if self.restart is not None and now > self.restart:
                self.quota, self.restart = Quota(used=True), None
            run = worker % runs
            sizes = tuple(chance.randint(self.size // 2, self.size) for _ in range(self.line))
            began = time.thread_time()
            lease = self.quota.ask(Ask(f"run {run}", self.priorities[run], self.rpm, self.tpm, sizes), now)
            self.cpu += time.thread_time() - began
            self.asks += 1
            if lease.requests:
                tokens = sum(sizes[: lease.requests])
                self.grants.append((now + lease.wait, run, lease.requests, tokens))
            heapq.heappush(heap, (now + max(lease.wait, 0.001) + chance.random() / 300, worker))
        return self

    def most_in_a_minute(self) -> tuple[int, int]:
        """Requests and tokens."""
        grants, first = sorted(self.grants), 0
        most_requests = most_tokens = requests = tokens = 0
        for at, _, more, sent in grants:
            requests, tokens = requests + more, tokens + sent
            while grants[first][0] <= at - WINDOW + 1e-6:
                requests, tokens = requests - grants[first][2], tokens - grants[first][3]
                first += 1
            most_requests, most_tokens = max(most_requests, requests), max(most_tokens, tokens)
        return most_requests, most_tokens

    def used(self, since: float, until: float) -> int:
        """Tokens."""
        return sum(tokens for at, _, _, tokens in self.grants if since <= at < until)

    def by_run(self, since: float = 0.0) -> Counter[int]:
        """Tokens that each run was given."""
        found: Counter[int] = Counter()
        for at, run, _, tokens in self.grants:
            found[run] += tokens if at >= since else 0
        return found


@pytest.mark.parametrize(("workers", "size"), [(1, 2000), (4, 2000), (4, 300), (40, 2000)])
def test_from_the_tenth_second_on_all_is_used_and_no_minute_sees_more(workers: int, size: int) -> None:
    crowd = Crowd(3000, 600_000, workers=workers, size=size).work(130)
    requests, tokens = crowd.most_in_a_minute()
    assert requests <= 3000
    assert tokens <= 600_000
    assert crowd.used(10, 130) >= 0.99 * 600_000 * 2


@settings(max_examples=15)
@given(
    st.none() | st.integers(5, 5000),
    st.integers(2000, 2_000_000),
    st.integers(1, 12),
    st.integers(1, 3),
    st.integers(1, 2000),
    st.integers(0, 99),
)
def test_no_minute_sees_more_whatever_is_asked(
    rpm: int | None, tpm: int, workers: int, runs: int, size: int, seed: int
) -> None:
    crowd = Crowd(rpm, tpm, ("schedule",) * runs, workers, size).work(90, seed)
    requests, tokens = crowd.most_in_a_minute()
    assert tokens <= tpm
    assert rpm is None or requests <= rpm


@pytest.mark.slow
def test_a_thousand_workers_of_twenty_runs_share_a_hundred_million_tokens_evenly_and_cheaply() -> None:
    crowd = Crowd(1_000_000, 100_000_000, ("schedule",) * 20, 50, 20_000).work(130)
    requests, tokens = crowd.most_in_a_minute()
    assert requests <= 1_000_000
    assert tokens <= 100_000_000
    assert crowd.used(10, 130) >= 0.99 * 100_000_000 * 2
    shares = crowd.by_run(since=10).values()
    average = sum(shares) / 20
    assert all(abs(share - average) <= 0.05 * average for share in shares)
    assert crowd.cpu < 0.5 * 130  # of one core: it takes a twentieth of that


@pytest.mark.parametrize("at", [20.0, 45.0, 70.0])
def test_a_quota_that_is_lost_and_made_anew_is_never_over_the_limit(at: float) -> None:
    crowd = Crowd(3000, 600_000, workers=4, size=2000, restart=at).work(150)
    requests, tokens = crowd.most_in_a_minute()
    assert requests <= 3000
    assert tokens <= 600_000
    assert crowd.used(10, 150) >= 0.98 * 600_000 * 140 / 60


def test_scheduled_runs_go_before_reruns_and_these_before_backfills() -> None:
    crowd = Crowd(3000, 600_000, PRIORITIES, workers=5).work(60)
    shares = crowd.by_run(since=1)
    assert shares[0] >= 0.99 * sum(shares.values())
    crowd = Crowd(3000, 600_000, ("backfill", "rerun"), workers=5).work(60)
    shares = crowd.by_run(since=1)
    assert shares[1] >= 0.99 * sum(shares.values())


def test_a_run_that_wants_little_leaves_the_rest_to_others_of_any_priority() -> None:
    quota, now, given = Quota(), 0.0, 0
    while now < 60:
        if round(now * 100) % 100 == 0:  # once a second
            quota.ask(Ask("scheduled", "schedule", None, 60_000, (100,)), now)
        given += 100 * quota.ask(Ask("backfill", "backfill", None, 60_000, (100,) * 9), now).requests
        now += 0.01
    assert given >= 0.85 * 60_000


def test_a_run_keeps_to_its_own_budget_within_a_larger_one() -> None:
    quota, now = Quota(), 0.0
    given: Counter[str] = Counter()
    while now < 120:
        for run, budget in (("small", 6000), ("large", 60_000)):
            given[run] += 100 * quota.ask(Ask(run, "schedule", None, budget, (100,) * 5), now).requests
        now += 0.02
    assert given["small"] <= 12_100  # one may start just behind the two minutes
    assert given["small"] + given["large"] >= 0.92 * 120_000


def _first_wait(quota: Quota, now: float, **changes: object) -> float:
    """How long somebody waits who asks until he is let go."""
    ask = replace(Ask("run", "schedule", 600, 60_000, (100,)), **changes)  # type: ignore[arg-type]
    begun = now
    while True:
        lease = quota.ask(ask, now)
        now += lease.wait
        if lease.requests:
            return now - begun
        ask = replace(ask, throttled=None, counted=0, billed=0)


def test_without_a_budget_all_may_go_until_the_endpoint_states_one() -> None:
    quota = Quota()
    ask = Ask("run", "schedule", None, None, (100,) * 50)
    assert quota.ask(ask, 0.0).unlimited
    told = replace(ask, stated=Stated(tokens_a_minute=6000, tokens_left=6000))
    assert not quota.ask(told, 1.0).unlimited
    assert quota.ask(ask, 1.0).requests < 50


def test_a_budget_above_the_endpoint_s_own_limit_gives_way_to_it() -> None:
    crowd = Crowd(None, 600_000, size=2000)
    crowd.quota.ask(Ask("run 0", "schedule", None, 600_000, (1,), stated=Stated(tokens_a_minute=60_000)), 0)
    crowd.work(120)
    assert crowd.most_in_a_minute()[1] <= 60_000
    assert crowd.used(10, 120) >= 0.95 * 60_000 * 110 / 60


def test_all_wait_as_long_as_the_endpoint_asks_and_then_go_a_little_slower() -> None:
    quota = Quota()
    assert _first_wait(quota, 0.0) == 0.0
    assert _first_wait(quota, 1.0, throttled=5.0) == pytest.approx(5.0, abs=0.3)
    assert _first_wait(quota, 2.0, run="another") >= 4.0


def test_where_others_use_the_same_key_what_the_endpoint_says_is_left_is_believed() -> None:
    quota = Quota()
    _first_wait(quota, 0.0)
    left = Stated(tokens_a_minute=60_000, tokens_left=0)
    quota.ask(Ask("run", "schedule", 600, 60_000, (100,), stated=left), 1.0)
    assert _first_wait(quota, 1.0) > 0.05


@pytest.mark.parametrize("off", [0.85, 1.0, 1.15])
def test_a_count_that_is_off_is_learned_from_the_bills(off: float) -> None:
    """Billed are `off` times the tokens that were counted."""
    quota, now, sent = Quota(), 0.0, list[tuple[float, float]]()
    news = 0
    while now < 130:
        sizes = (1000,) * 5
        lease = quota.ask(
            Ask("run", "schedule", None, 600_000, sizes, counted=news, billed=round(news * off)), now
        )
        news = 1000 * lease.requests
        if lease.requests:
            sent.append((now + lease.wait, news * off))
        now += max(lease.wait, 0.002)
    assert quota.ratio == pytest.approx(off, abs=0.01)
    used = sum(tokens for at, tokens in sent if at >= 10)
    assert 0.97 * 1_200_000 <= used <= 1.005 * 1_200_000


@given(st.integers(0, 99))
def test_its_state_as_json_is_all_of_it(seed: int) -> None:
    crowd = Crowd(300, 60_000, ("schedule", "backfill"), 3, 500).work(5, seed)
    again = Quota.of(json.loads(json.dumps(crowd.quota.state())))
    for now in (5.0, 5.2, 6.0, 30.0):
        ask = Ask("run 1", "backfill", 300, 60_000, (400, 400))
        assert again.ask(ask, now) == crowd.quota.ask(ask, now)
