"""The engine keeps a bounded number of requests in flight, and loses nothing however it is stopped."""

import asyncio
import gc
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from pipeline.cache import VectorCache
from pipeline.engine import InlineEngine
from pipeline.errors import InputError, ProviderRefused, StoreRefused
from pipeline.ids import digest
from pipeline.job import Endpoint, Job, Secret
from pipeline.model import Outcome, Request
from pipeline.objects import Objects
from pipeline.spool import Spool
from tests.endpoint import MeteredEndpoint
from tests.pipeline.embedding.canned import Behaviour, Exchange, answer, canned, packed, says
from tests.support import OPENAI, job_for, metered, run, write_pages

_SIZE = OPENAI.dimensions


def _job(store: str, url: str, in_flight: int = 4) -> Job:
    Objects(store, create=True)
    endpoint = Endpoint(url, Secret("sk-test"), max_in_flight=in_flight)
    return job_for(Path("nowhere"), store, space=OPENAI, endpoint=endpoint)


def _requests(number: int, texts: int = 2) -> list[Request]:
    return [_request(n, [f"text {n}/{m} 文" for m in range(texts)]) for n in range(number)]


def _request(number: int, texts: list[str]) -> Request:
    return Request(number, tuple(texts), tuple(map(digest, texts)), sum(map(len, texts)))


def _spooled(store: str) -> set[str]:
    """The hashes of the texts whose vectors lie in the spool."""
    spool = Spool(Objects(store), OPENAI)
    return {name for _, rows in spool.rows(spool.names()) for name in rows["text_hash"].to_pylist()}


def _billed(endpoint: MeteredEndpoint) -> set[str]:
    return {digest(charge.text) for charge in endpoint.ledger.charges}


def _hashes(requests: list[Request]) -> set[str]:
    return {name for request in requests for name in request.hashes}


class Held:
    """A latency that lasts until the test lets go."""

    def __init__(self) -> None:
        self._let_go = threading.Event()

    async def __call__(self, _: float) -> None:
        await asyncio.to_thread(self._let_go.wait, 60)

    def let_go(self) -> None:
        self._let_go.set()


# ---- all goes well


@pytest.mark.parametrize("in_flight", [1, 3, 8])
def test_as_many_requests_as_allowed_are_in_flight_and_never_more(store: str, in_flight: int) -> None:
    with MeteredEndpoint(latency=0.02, count="characters") as endpoint:
        outcomes = list(InlineEngine().embed(_job(store, endpoint.url, in_flight), _requests(24)))
    assert endpoint.ledger.max_in_flight == in_flight
    assert sorted(outcome.number for outcome in outcomes) == list(range(24))
    assert _spooled(store) == _billed(endpoint) == _hashes(_requests(24))
    assert endpoint.ledger.billed_more_than_once() == {}


def test_a_slow_request_holds_up_no_other(store: str) -> None:
    calls = count()

    async def first_is_last(_: float) -> None:
        if next(calls) == 0:
            while endpoint.ledger.requests < 5:
                await asyncio.sleep(0.001)

    with MeteredEndpoint(latency=1, sleep=first_is_last, count="characters") as endpoint:
        requests = _requests(6)
        outcomes = list(InlineEngine().embed(_job(store, endpoint.url, 2), requests))
    numbers = [outcome.number for outcome in outcomes]
    assert sorted(numbers) == list(range(6))
    assert max(numbers.index(0), numbers.index(1)) >= 4  # one of the two that were sent first was held


def test_requests_are_drawn_as_there_is_room_for_them(store: str) -> None:
    drawn: list[int] = []

    def requests() -> Iterator[Request]:
        for request in _requests(20):
            drawn.append(request.number)
            yield request

    with MeteredEndpoint(count="characters") as endpoint:
        for done, _ in enumerate(InlineEngine().embed(_job(store, endpoint.url, 3), requests()), start=1):
            assert len(drawn) <= done + 3 + 2  # what is done, what flies, what landed together with this one
    assert drawn == list(range(20))


def test_nothing_to_embed_sends_nothing(store: str) -> None:
    with MeteredEndpoint(count="characters") as endpoint:
        assert list(InlineEngine().embed(_job(store, endpoint.url), [])) == []
    assert endpoint.ledger.arrived == 0


def test_it_works_in_a_thread_that_no_signal_reaches(store: str) -> None:
    found: list[Outcome] = []
    with MeteredEndpoint(count="characters") as endpoint:
        job = _job(store, endpoint.url)
        thread = threading.Thread(target=lambda: found.extend(InlineEngine().embed(job, _requests(3))))
        thread.start()
        thread.join()
    assert len(found) == 3


def test_map_keeps_the_order_and_draws_one_item_at_a_time() -> None:
    items = iter([3, 1, 2])
    mapped = InlineEngine().map(str, items)
    assert next(mapped) == "3"
    assert list(items) == [1, 2]


# ---- it is stopped


def _one_refused(others: Behaviour) -> tuple[Behaviour, Behaviour]:
    """Of four requests in flight the first is refused; only when that is known the others are answered."""
    arrived, known = threading.Barrier(4, timeout=60), threading.Event()

    def refused(exchange: Exchange) -> None:
        arrived.wait()
        says(401)(exchange)
        exchange.read_to_end()
        known.set()

    def late(exchange: Exchange) -> None:
        if not known.is_set():
            arrived.wait()
        known.wait(60)
        others(exchange)

    return refused, late


def _until_refused(store: str, others: Behaviour) -> tuple[int, set[str]]:
    """How many requests were sent, and what was spooled, when one of four was refused."""
    with canned(*_one_refused(others)) as server:
        with pytest.raises(ProviderRefused, match="refuses the key"):
            list(InlineEngine().embed(_job(store, server.url), _requests(20, texts=1)))
        return len(server.exchanges), _spooled(store)


def test_an_error_stops_the_sending_but_what_is_on_its_way_lands_in_the_spool(store: str) -> None:
    vector = packed(*[1.0] * _SIZE)
    sent, spooled = _until_refused(store, says(200, answer([vector])))
    assert sent == 4
    assert len(spooled) == 3
    assert spooled < _hashes(_requests(4, texts=1))


@pytest.mark.parametrize("status", [400, 429, 500])
def test_after_an_error_nothing_is_sent_again(store: str, status: int) -> None:
    assert _until_refused(store, says(status)) == (4, set())


def test_what_is_on_its_way_lands_where_the_requests_themselves_fail(store: str) -> None:
    def requests() -> Iterator[Request]:
        yield from _requests(3)
        raise StoreRefused("the staged texts cannot be read")

    with MeteredEndpoint(count="characters") as endpoint:
        with pytest.raises(StoreRefused, match="cannot be read"):
            list(InlineEngine().embed(_job(store, endpoint.url, 2), requests()))
        assert _spooled(store) == _billed(endpoint) > set()


def test_a_space_that_cannot_be_made_ends_before_anything_is_drawn(store: str) -> None:
    with pytest.raises(InputError, match="is no endpoint"):
        next(InlineEngine().embed(_job(store, "nonsense"), _requests(3)))
    gc.collect()


def test_whoever_stops_listening_leaves_no_task_and_no_warning_and_loses_nothing(
    store: str, recwarn: pytest.WarningsRecorder
) -> None:
    with MeteredEndpoint(latency=0.01, count="characters") as endpoint:
        outcomes = InlineEngine().embed(_job(store, endpoint.url, 3), _requests(30))
        next(outcomes)
        outcomes.close()  # type: ignore[attr-defined]
        del outcomes
        gc.collect()
        assert _spooled(store) == _billed(endpoint)
        assert 1 <= endpoint.ledger.requests <= 6
    assert not recwarn.list
    assert [thread.name for thread in threading.enumerate() if "asyncio" in thread.name] == []


_CHILD = """
import sys
from pathlib import Path
from tests.support import job_for, metered, run

folder, store, url = sys.argv[1:]
run(job_for(Path(folder), store, **metered(url, batch_inputs=1, max_in_flight=3)))
"""


@pytest.mark.slow
def test_ctrl_c_stops_the_sending_but_what_is_on_its_way_lands_in_the_cache(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}. 第{n}頁。" for n in range(60)})
    held = Held()
    with MeteredEndpoint(latency=1, sleep=held, count="characters") as endpoint:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(folder), store, endpoint.url],
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )
        _wait_until(lambda: endpoint.ledger.arrived == 3 or child.poll() is not None)
        child.send_signal(signal.SIGINT)
        # Were the requests dropped, they would be by now: it is only what this can find that depends on it.
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
        held.let_go()
        _, said = child.communicate(timeout=60)
        assert (child.returncode, said.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")
        assert endpoint.ledger.requests == 3
        cached = VectorCache(Objects(store), OPENAI).open()
        assert cached is not None
        assert set(cached.to_table()["text_hash"].to_pylist()) == _billed(endpoint)

        report = run(job_for(folder, store, **metered(endpoint.url)))
        assert (report.embedding["cache_hits"], report.embedding["texts"]) == (3, 57)
        assert (endpoint.ledger.texts_billed, endpoint.ledger.billed_more_than_once()) == (60, {})


def _wait_until(true: Callable[[], bool]) -> None:
    turn = threading.Event()
    for _ in range(6000):
        if true():
            return
        turn.wait(0.01)
    pytest.fail("it did not come to pass within a minute")
