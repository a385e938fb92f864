"""An endpoint with batches, a store, and a lane whose time passes as soon as it is waited for."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from pipeline.batch.files import Bounds
from pipeline.batch.lane import BatchLane
from pipeline.batch.orders import Order, Orders
from pipeline.engine import InlineEngine
from pipeline.ids import digest
from pipeline.job import Endpoint, Job, Secret, SourceSpec
from pipeline.model import WAITING, Outcome, Request
from pipeline.objects import Objects
from pipeline.splitter_spec import SplitterSpec
from pipeline.spool import Spool
from tests.endpoint import BatchRules, MeteredEndpoint
from tests.endpoint.answers import vector
from tests.support import OPENAI

KEY = "sk-test"


@dataclass(slots=True)
class Time:
    """Unix seconds that pass only while somebody sleeps."""

    now: float = 1_700_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass(slots=True)
class Service:
    """What a test of the lane deals with."""

    endpoint: MeteredEndpoint
    store: str
    time: Time
    bounds: Bounds = field(default_factory=lambda: Bounds(50_000, 200_000_000))

    def job(self, run_id: str = "run-1", **changes: Any) -> Job:
        endpoint = Endpoint(
            base_url=self.endpoint.url, api_key=Secret(KEY), **{"lane": "batch", "patience": 5.0, **changes}
        )
        return Job(
            run_id,
            self.store,
            "docs",
            SourceSpec("files", "docs"),
            SplitterSpec(),
            OPENAI,
            endpoint,
        )

    def lane(self) -> BatchLane:
        return BatchLane(InlineEngine(), self.time.sleep, self.time, self.bounds)

    def embed(self, requests: Iterable[Request], run_id: str = "run-1", **changes: Any) -> list[Outcome]:
        """Send requests as a new run; gives its outcomes, without those that say that there are none."""
        found = self.lane().embed(self.job(run_id, **changes), requests)
        return [outcome for outcome in found if outcome is not WAITING]

    def interrupted(self, requests: Iterable[Request], run_id: str = "first") -> None:
        """Send requests in a run that ends as soon as it has something to wait for."""
        running = cast("Generator[Outcome, None, None]", self.lane().embed(self.job(run_id), requests))
        assert next(running) is WAITING
        running.close()

    def orders(self) -> list[Order]:
        return Orders(Objects(self.store), OPENAI, self.endpoint.url).open()

    def vectors(self) -> dict[str, Any]:
        """What was spooled, by text_hash."""
        spool = Spool(Objects(self.store), OPENAI)
        tables = [rows for _, rows in spool.rows(spool.names())]
        return {
            text_hash: np.array(row, np.float32)
            for table in tables
            for text_hash, row in zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
        }


@contextmanager
def service(store: str, bounds: Bounds | None = None, **rules: Any) -> Iterator[Service]:
    """A running endpoint whose batches take 100 seconds, unless `rules` say otherwise."""
    time = Time()
    Objects(store, create=True)
    shared = ("faults", "bounds")
    of_endpoint = {name: rules.pop(name) for name in shared if name in rules}
    batches = BatchRules(now=time, **{"seconds": 100.0, **rules})
    with MeteredEndpoint(key=KEY, count="characters", batch_rules=batches, **of_endpoint) as endpoint:
        made = Service(endpoint, store, time)
        if bounds:
            made.bounds = bounds
        yield made


def request(number: int, texts: Sequence[str]) -> Request:
    """A request whose tokens are characters, as the endpoint counts them."""
    return Request(number, tuple(texts), tuple(digest(text) for text in texts), sum(map(len, texts)))


def some(count: int, texts: int = 2) -> list[Request]:
    """Requests of different texts in both languages."""
    return [
        request(number, [f"text {number} {n} 文章{number}の{n}" for n in range(texts)])
        for number in range(count)
    ]


def right(found: dict[str, Any], requests: Iterable[Request]) -> bool:
    """Whether each text of the requests, and none else, has its own vector."""
    expected = {
        text_hash: vector(OPENAI.model, text, OPENAI.dimensions)
        for one in requests
        for text_hash, text in zip(one.hashes, one.texts, strict=True)
    }
    return found.keys() == expected.keys() and all(
        np.allclose(found[one], expected[one], atol=1e-6) for one in expected
    )


def totals(outcomes: list[Outcome]) -> tuple[int, int, int]:
    """Texts, tokens, and tokens by batch."""
    return (
        sum(outcome.texts for outcome in outcomes),
        sum(outcome.tokens for outcome in outcomes),
        sum(outcome.batch_tokens for outcome in outcomes),
    )
