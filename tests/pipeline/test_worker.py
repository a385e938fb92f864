"""A worker sends each request until it is answered, singles out the guilty, and spools what it paid for."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import ProviderRefused
from pipeline.ids import digest
from pipeline.model import Outcome
from pipeline.ports import Stated
from tests.endpoint import Fault, Faults, MeteredEndpoint
from tests.endpoint.probe import Clock
from tests.pipeline.bench import Bench, request
from tests.pipeline.embedding.calls import free_port
from tests.pipeline.embedding.canned import answer, canned, packed, says

TEXTS = [f"text {n}" if n % 2 else f"文 {n}" for n in range(8)]

BenchFor = Callable[..., Bench]


@pytest.fixture
def bench(store: str) -> BenchFor:
    return lambda endpoint, **more: Bench(store, endpoint.url, **more)


# ---- answers


def test_an_answered_request_is_in_the_spool_before_it_is_reported(bench: BenchFor) -> None:
    with MeteredEndpoint(count="characters") as endpoint:
        made = bench(endpoint)
        [outcome] = made.run(request(TEXTS, 5))
    assert outcome == Outcome(
        5,
        texts=len(TEXTS),
        tokens=endpoint.ledger.tokens_billed,
        requests=1,
        spooled=tuple(made.spool.names()),
    )
    assert len(outcome.spooled) == 1
    assert made.holds(TEXTS)


def test_a_request_that_is_in_the_spool_is_not_sent_again(bench: BenchFor) -> None:
    with MeteredEndpoint(count="characters") as endpoint:
        first = bench(endpoint).run(request(TEXTS))
        again = bench(endpoint).run(request(TEXTS))
        assert endpoint.ledger.arrived == 1
    assert again == first


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.INSUFFICIENT_QUOTA, Fault.HANG}))
def test_one_fault_costs_one_retry_at_most_and_leaves_nothing_partial(bench: BenchFor, fault: Fault) -> None:
    harmless = fault in (Fault.SHUFFLED, Fault.FLOAT_ONLY)
    with MeteredEndpoint(faults=Faults([fault]), count="characters") as endpoint:
        made = bench(endpoint)
        [outcome] = made.run(request(TEXTS))
    assert made.holds(TEXTS)
    assert (outcome.texts, outcome.requests, outcome.retries) == (len(TEXTS), 1, 0 if harmless else 1)
    assert endpoint.ledger.arrived == outcome.requests + outcome.retries
    # A reset does not tell whether it was billed: that it may have been is what counts.
    paid_in_vain = endpoint.ledger.texts_billed - len(TEXTS)
    assert outcome.paid_again == (len(TEXTS) if fault is Fault.RESET_BEFORE_BILLING else paid_in_vain)


def test_a_request_that_hangs_is_sent_again(bench: BenchFor) -> None:
    with MeteredEndpoint(faults=Faults(["hang"]), count="characters") as endpoint:
        made = bench(endpoint, timeout=0.3)
        [outcome] = made.run(request(TEXTS))
    assert made.holds(TEXTS)
    assert (outcome.retries, outcome.paid_again) == (1, len(TEXTS))


def test_a_storm_of_faults_ends_right_and_the_report_equals_the_bill(bench: BenchFor) -> None:
    kinds = ["server_error", "garbage", "short", "long", "nan", "wrong_dimensions", "shuffled", "float_only"]
    faults = Faults(rates=dict.fromkeys(kinds, 0.08), seed=3)
    requests = [request([f"{n}/{m} 雨" for m in range(4)], n) for n in range(30)]
    with MeteredEndpoint(faults=faults, count="characters") as endpoint:
        made = bench(endpoint)
        outcomes = made.run(*requests, at_once=4)
    assert made.holds([text for one in requests for text in one.texts])
    assert [outcome.number for outcome in outcomes] == list(range(30))
    total = sum(outcomes, Outcome(0))
    assert total.texts + total.paid_again == endpoint.ledger.texts_billed
    assert total.requests + total.retries == endpoint.ledger.arrived
    assert total.retries > 5


# ---- refusals


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"key": "another"}, r"refuses the key \(401\)"),
        ({"faults": Faults(insufficient_quota=True)}, "quota of this key"),
    ],
)
def test_a_refusal_stops_at_once(bench: BenchFor, known: dict[str, Any], reason: str) -> None:
    with MeteredEndpoint(**known, count="characters") as endpoint:
        made = bench(endpoint)
        with pytest.raises(ProviderRefused, match=reason):
            made.run(request(TEXTS))
        assert (endpoint.ledger.arrived, endpoint.ledger.requests, made.slept) == (1, 0, [])


def test_an_address_without_embeddings_stops_at_once(bench: BenchFor) -> None:
    with MeteredEndpoint(count="characters") as endpoint:
        made = Bench(bench(endpoint).store, endpoint.url.removesuffix("/v1"))
        with pytest.raises(ProviderRefused, match=r"has no embeddings of 'text-embedding-3-small' \(404\)"):
            made.run(request(TEXTS))
    assert made.slept == []


def test_an_endpoint_that_is_down_is_given_up_within_fifteen_seconds(store: str) -> None:
    made = Bench(store, f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(ProviderRefused, match="no connection to"):
        made.run(request(TEXTS))
    assert 0 < sum(made.slept) <= 15


def test_an_endpoint_that_only_fails_is_given_up_when_patience_ends(bench: BenchFor) -> None:
    with MeteredEndpoint(faults=Faults(rates={"server_error": 1}), count="characters") as endpoint:
        made = bench(endpoint, patience=60.0)
        with pytest.raises(ProviderRefused, match="answers 50"):
            made.run(request(TEXTS))
    assert 30 < sum(made.slept) <= 60
    assert made.spool.names() == []


# ---- the guilty


@pytest.mark.parametrize("guilty", [[0], [7], [3], [0, 7], [2, 3, 4], list(range(8))])
def test_the_guilty_stand_alone_and_every_other_text_is_embedded_and_billed_once(
    bench: BenchFor, guilty: list[int]
) -> None:
    poison = [TEXTS[n] for n in guilty]
    innocent = [text for text in TEXTS if text not in poison]
    with MeteredEndpoint(faults=Faults(poison=poison), count="characters") as endpoint:
        made = bench(endpoint)
        [outcome] = made.run(request(TEXTS, 3))
    assert [name for name, _ in outcome.rejected] == [digest(text) for text in poison]
    assert all("rejects the input (400)" in reason for _, reason in outcome.rejected)
    assert sorted(charge.text for charge in endpoint.ledger.charges) == sorted(innocent)
    assert made.holds(innocent)
    assert (outcome.number, outcome.texts) == (3, len(innocent))
    assert outcome.tokens == endpoint.ledger.tokens_billed
    assert outcome.requests == endpoint.ledger.requests == len(outcome.spooled)


def test_one_guilty_text_among_many_is_found_in_few_requests(bench: BenchFor) -> None:
    texts = [f"text {n}" for n in range(128)]
    with MeteredEndpoint(faults=Faults(poison=[texts[77]]), count="characters") as endpoint:
        [outcome] = bench(endpoint).run(request(texts))
    assert (len(outcome.rejected), outcome.texts) == (1, 127)
    assert endpoint.ledger.arrived == 1 + 2 * 7


def test_who_is_told_to_stop_takes_in_the_half_that_is_on_its_way_and_sends_no_other(bench: BenchFor) -> None:
    entered, let_go = threading.Event(), threading.Event()

    async def held(_: float) -> None:
        entered.set()
        await asyncio.to_thread(let_go.wait, 60)

    async def scenario(made: Bench) -> None:
        worker = made.worker()
        task = asyncio.ensure_future(worker.embed(request(TEXTS)))
        await asyncio.to_thread(entered.wait, 60)
        worker.stop([task])
        let_go.set()
        await asyncio.wait([task])
        assert task.cancelled()
        await worker.close()

    faults = Faults(poison=[TEXTS[7]])
    with MeteredEndpoint(faults=faults, latency=1, sleep=held, count="characters") as endpoint:
        made = bench(endpoint)
        asyncio.run(scenario(made))
    assert made.holds(TEXTS[:4])
    assert endpoint.ledger.arrived == 2


# ---- the quota


def test_within_the_quota_no_request_is_refused_and_none_waits_longer_than_the_quota_asks(
    bench: BenchFor,
) -> None:
    clock = Clock()
    requests = [request([f"{n:04} 雨の日の川" * 4], n) for n in range(40)]
    with MeteredEndpoint(rpm=600, tpm=4800, burst_seconds=1, clock=clock, count="characters") as endpoint:
        bench(endpoint, rpm=600, tpm=4800, clock=clock).run(*requests)
    assert (endpoint.ledger.rejected_429, endpoint.ledger.requests) == (0, 40)
    burst = 80  # tokens, of 80 a second
    tokens = sum(one.tokens for one in requests)
    assert clock.now - Clock().now == pytest.approx((tokens - burst) / 80, abs=1)


def test_every_attempt_takes_its_turn_and_a_rate_limit_holds_back_all_workers(bench: BenchFor) -> None:
    told: list[tuple[str, float]] = []

    class Told:
        async def acquire(self, tokens: int) -> None:
            told.append(("acquire", tokens))

        def answered(self, counted: int, billed: int, stated: Stated) -> None:
            told.append(("answered", counted))

        async def pause(self, seconds: float) -> None:
            told.append(("pause", seconds))

    named = says(429, "", **{"retry-after-ms": "1500"})
    with canned(named, says(500), says(429), says(200, answer([packed(*[1.0] * 8)]))) as endpoint:
        bench(endpoint, limiter=Told()).run(request(["四文字も"]))
    turn = ("acquire", 4)
    assert told == [turn, ("pause", 1.5), turn, turn, ("pause", 1.0), turn, ("answered", 4)]


def test_a_quota_set_too_high_gives_way_to_the_limit_that_the_endpoint_states(bench: BenchFor) -> None:
    clock = Clock()
    requests = [request([f"文 {n}"], n) for n in range(30)]
    with MeteredEndpoint(rpm=60, burst_seconds=1, clock=clock, count="characters") as endpoint:
        made = bench(endpoint, rpm=120, clock=clock)
        outcomes = made.run(*requests)
    assert endpoint.ledger.billed_more_than_once() == {}
    assert made.holds([one.texts[0] for one in requests])
    total = sum(outcomes, Outcome(0))
    assert total.retries == endpoint.ledger.rejected_429 <= 1
    assert (total.paid_again, total.requests) == (0, 30)
    assert clock.now - Clock().now <= 32


def test_the_time_spent_waiting_for_the_quota_is_not_held_against_the_endpoint(bench: BenchFor) -> None:
    requests = [request([f"text {n}"], n) for n in range(4)]
    with MeteredEndpoint(faults=Faults([None, *["server_error"] * 3]), count="characters") as endpoint:
        outcomes = bench(endpoint, rpm=1, patience=20.0).run(*requests)
    assert sum(outcome.retries for outcome in outcomes) == 3
