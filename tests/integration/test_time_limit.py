"""A run's time limit: nothing is sent after it, what was paid is kept, and the next run goes on."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.cache import VectorCache
from pipeline.engine import InlineEngine
from pipeline.errors import OutOfTime
from pipeline.job import Budget, Job
from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.run import Report, ingest
from pipeline.store.log import Log
from tests.endpoint import Faults, MeteredEndpoint
from tests.flows.inside import vecmill_here
from tests.support import OPENAI, job_for, metered, run, write_pages

PAGES = {f"{n:02}.md": f"# Page {n}\n\nParagraph of page {n}. 第{n}頁の段落です。" for n in range(20)}


@dataclass
class BilledClock:
    """A clock that moves with the endpoint's work: a second for each text billed."""

    endpoint: MeteredEndpoint

    def __call__(self) -> float:
        return float(self.endpoint.ledger.texts_billed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def _job(folder: Path, store: str, endpoint: MeteredEndpoint, seconds: float | None, **more: Any) -> Job:
    access = metered(endpoint.url, batch_inputs=2, max_in_flight=1, **more)
    return job_for(folder, store, budget=Budget(seconds=seconds), **access)


def _run(job: Job, endpoint: MeteredEndpoint) -> Report:
    return ingest(job, lambda _: nullcontext(InlineEngine()), clock=BilledClock(endpoint))


def _cached(store: str) -> int:
    dataset = VectorCache(Objects(store), OPENAI).open()
    return 0 if dataset is None else dataset.count_rows()


def test_a_run_stops_sending_at_its_limit_and_the_next_one_goes_on(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = _job(folder, store, endpoint, seconds=8)
        with pytest.raises(OutOfTime, match="time limit of 8 s is reached") as raised:
            _run(job, endpoint)
        assert (endpoint.ledger.texts_billed, _cached(store)) == (8, 8)
        assert Log(Objects(store), "docs").last() is None
        assert f"{endpoint.ledger.tokens_billed} tokens were spent" in str(raised.value)
        assert "run the same command again to go on" in str(raised.value)
        recorded = Ledger(Objects(store)).run(job.run_id)
        assert (recorded["state"], recorded["spent"]["texts"]) == ("failed", 8)

        report = run(replace(job, run_id="later", budget=Budget()))
    assert (report.published, report.embedding["cache_hits"], report.embedding["texts"]) == (True, 8, 12)
    assert endpoint.ledger.billed_more_than_once() == {}


def test_a_run_that_is_done_by_its_limit_is_published(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        assert _run(_job(folder, store, endpoint, seconds=20), endpoint).published
    assert endpoint.ledger.texts_billed == 20


def test_a_limit_that_is_over_before_anything_is_sent_pays_nothing(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        endpoint.ledger.bill(["before"], [1])
        times = iter([0.0])
        job = _job(folder, store, endpoint, seconds=5)
        with pytest.raises(OutOfTime, match="0 tokens were spent"):
            ingest(job, lambda _: nullcontext(InlineEngine()), clock=lambda: next(times, 6.0))
        assert endpoint.ledger.arrived == 0


def test_a_run_that_waits_between_attempts_is_stopped_there(folder: Path, store: str) -> None:
    """No answer comes that could remind the run of its limit: every attempt fails, and it backs off."""
    with MeteredEndpoint(key="sk-test", faults=Faults(rates={"server_error": 1.0})) as endpoint:
        job = _job(folder, store, endpoint, seconds=3)
        with pytest.raises(OutOfTime):
            ingest(
                job,
                lambda _: nullcontext(InlineEngine()),
                clock=lambda: float(endpoint.ledger.arrived),  # a second an attempt
            )
        arrived = endpoint.ledger.arrived
        assert 3 <= arrived <= 5
        assert endpoint.ledger.requests == 0


def test_the_command_says_so_with_the_exit_code_of_a_budget(
    folder: Path, store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with MeteredEndpoint(key="sk-test", faults=Faults(rates={"server_error": 1.0})) as endpoint:
        words = ("--base-url", endpoint.url, "--embedding", OPENAI.name, "--time-limit", "1s")
        ran = vecmill_here(
            capsys, "ingest", str(folder), "--table", "docs", "--store", store, *words, "--json"
        )
    assert (ran.code, ran.json["error"]["kind"]) == (4, "OutOfTime")
    assert ran.json["error"]["message"].startswith("the time limit of 1 s is reached")
