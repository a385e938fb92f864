"""Whole runs by batch: the table is right, the plan is the bill, and no text is billed twice."""

import os
import signal
from contextlib import nullcontext
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import pytest

from pipeline.batch.lane import BatchLane
from pipeline.engine import InlineEngine
from pipeline.errors import OutOfTime, OverBudget
from pipeline.job import Budget, Job
from pipeline.objects import Objects
from pipeline.run import Report, ingest, plan_only
from pipeline.splitter_spec import SplitterSpec
from pipeline.staging import Staging
from tests.endpoint import BatchRules, Calls, Faults, MeteredEndpoint
from tests.pipeline.batch.service import Time
from tests.support import OPENAI, command, job_for, metered, rows, run, vecmill, write_pages

pytestmark = pytest.mark.slow

KEY = "sk-test"
PAGES = {
    f"{n:02}.md": f"# Page {n}\n\nParagraph one of page {n}.\n\n## 第二節\n\n第{n}頁の段落です。"
    for n in range(20)
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def _served(time: Time | None = None, **rules: Any) -> MeteredEndpoint:
    faults = rules.pop("faults", Faults())
    if time:
        rules["now"] = time
    return MeteredEndpoint(key=KEY, faults=faults, batch_rules=BatchRules(**rules))


def _job(folder: Path, store: str, endpoint: MeteredEndpoint, **more: Any) -> Job:
    changes = {name: more.pop(name) for name in ("budget", "splitter") if name in more}
    values = metered(endpoint.url, **{"lane": "batch", "batch_inputs": 4, **more})
    return job_for(folder, store, **values, **changes)


def _run(job: Job, time: Time) -> Report:
    """Run a job; waiting takes no time but the clock's."""
    return ingest(job, lambda _: nullcontext(BatchLane(InlineEngine(), time.sleep, time)))


def _reference(folder: Path, tmp_path: Path) -> Any:
    """The table as the ordinary lane makes it."""
    store = str(tmp_path / "reference")
    with MeteredEndpoint(key=KEY) as endpoint:
        run(job_for(folder, store, **metered(endpoint.url)))
    return rows(store)


# ---- in this process


def test_the_plan_the_report_and_the_bill_tell_the_same_numbers_at_half_the_price(
    folder: Path, store: str, tmp_path: Path
) -> None:
    time = Time()
    with _served(time, seconds=5000.0) as endpoint:
        job = _job(folder, store, endpoint)
        planned = plan_only(job)
        report = _run(job, time)
        again = _run(_job(folder, store, endpoint), time)
    bill = endpoint.ledger
    assert (planned.lane, planned.hours_at_most, planned.seconds_at_quota) == ("batch", 24, None)
    assert (planned.texts, planned.tokens, planned.requests) == (40, bill.batch_tokens_billed, bill.requests)
    assert report.embedding["texts"] == 40
    assert report.embedding["tokens"] == report.embedding["batch_tokens"] == bill.tokens_billed
    assert report.cost_usd == planned.cost_usd == pytest.approx(bill.usd(0.02))
    assert bill.usd(0.02) == pytest.approx(bill.tokens_billed * 0.01 / 1e6)
    assert (again.published, bill.arrived, bill.billed_more_than_once()) == (False, 0, {})
    assert rows(store).equals(_reference(folder, tmp_path))


def test_a_run_goes_on_until_batches_have_done_all_that_expired_failed_or_was_spoiled(
    folder: Path, store: str, tmp_path: Path
) -> None:
    time = Time()
    lines = Faults(["server_error", "nan", "garbage", "short"])
    calls = Calls(upload=["server_error", "lost"], create=["lost"], get=["reset"], content=["lost"])
    with _served(time, seconds=150.0, window=100.0, lines=lines, calls=calls) as endpoint:
        calls.hook = lambda which, _: _in_time(endpoint) if which == "content" else None
        report = _run(_job(folder, store, endpoint), time)
        batches = endpoint.batches.made.values()
        assert {batch.status for batch in batches} >= {"expired"}
        assert len({batch.metadata["vecmill"] for batch in batches}) == len(batches) == 2
    assert rows(store).equals(_reference(folder, tmp_path))
    # Three requests of four texts were answered with what nobody can use.
    assert report.embedding["paid_again"] == 12
    assert len(endpoint.ledger.billed_more_than_once()) == 12


def _in_time(endpoint: MeteredEndpoint) -> None:
    endpoint.batch_rules.seconds = 50.0


def test_a_poisonous_text_is_one_dead_letter_and_the_rest_goes_through(folder: Path, store: str) -> None:
    (folder / "07.md").write_text("# Page 7\n\nA bad egg.\n\n## 第二節\n\n第7頁の段落です。", "utf-8")
    poison, time = Faults(poison_marker="bad egg"), Time()
    with _served(time, lines=poison, faults=poison) as endpoint:
        job = _job(folder, store, endpoint, budget=Budget(failures=0.05))
        report = _run(job, time)
    [letter] = Staging(Objects(store), job.run_id).dead_letters()
    assert (letter["doc_id"], letter["stage"]) == ("07.md", "embed")
    assert "rejects the input (400)" in letter["reason"]
    assert (report.chunks.inserted, report.chunks.dead, len(rows(store))) == (39, 1, 39)
    bill = endpoint.ledger
    assert (bill.texts_billed, bill.billed_more_than_once()) == (39, {})
    assert report.cost_usd == pytest.approx(bill.usd(0.02))
    assert 0 < bill.tokens_billed - bill.batch_tokens_billed < bill.tokens_billed / 5


def test_the_queues_bound_is_kept_or_found_and_no_text_is_billed_twice(
    folder: Path, store: str, tmp_path: Path
) -> None:
    for name, told in (("told", {"enqueued_tokens": 300}), ("found", {})):
        time, place = Time(), f"{store}-{name}"
        with _served(time, seconds=100.0, enqueued_tokens=300) as endpoint:
            planned = plan_only(_job(folder, place, endpoint, **told))
            _run(_job(folder, place, endpoint, **told), time)
            failed = [one for one in endpoint.batches.made.values() if one.status == "failed"]
        assert planned.hours_at_most == (24 * -(-planned.tokens // 300) if told else 24)
        assert bool(failed) == (not told)
        assert endpoint.ledger.billed_more_than_once() == {}
        assert rows(place).equals(_reference(folder, tmp_path / name))


def test_a_budget_of_exactly_half_the_ordinary_price_pays_for_all(folder: Path, store: str) -> None:
    time = Time()
    with _served(time) as endpoint:
        full = plan_only(_job(folder, store, endpoint, lane="ordinary")).cost_usd
        assert full is not None
        with pytest.raises(OverBudget, match="nothing was paid"):
            _run(_job(folder, store, endpoint, budget=Budget(usd=full / 2 * 0.999)), time)
        with pytest.raises(OverBudget):
            _run(_job(folder, store, endpoint, lane="ordinary", budget=Budget(usd=full * 0.999)), time)
        assert endpoint.batches.made == {}
        report = _run(_job(folder, store, endpoint, budget=Budget(usd=full / 2)), time)
        assert (report.embedding["texts"], len(endpoint.batches.made)) == (40, 1)


def test_a_time_limit_leaves_batches_to_the_next_run_which_pays_for_them_alone(
    folder: Path, store: str, tmp_path: Path
) -> None:
    time = Time()
    with _served(time, seconds=5000.0) as endpoint:
        first = _job(folder, store, endpoint, budget=Budget(seconds=100.0))
        with pytest.raises(OutOfTime):
            ingest(first, lambda _: nullcontext(BatchLane(InlineEngine(), time.sleep, time)), clock=time)
        assert endpoint.ledger.texts_billed == 0
        report = _run(_job(folder, store, endpoint), time)
    assert (len(endpoint.batches.made), endpoint.ledger.billed_more_than_once()) == (1, {})
    assert report.embedding["texts"] == 40
    assert report.embedding["tokens"] == endpoint.ledger.tokens_billed
    assert rows(store).equals(_reference(folder, tmp_path))


def test_the_semantic_splitters_sentences_go_by_batch_too(folder: Path, store: str) -> None:
    time = Time()
    with _served(time) as endpoint:
        splitter = SplitterSpec(kind="semantic", max_tokens=64, prefix_headings=False)
        report = _run(_job(folder, store, endpoint, splitter=splitter), time)
        assert report.published
        assert len(endpoint.batches.made) == 2
        assert endpoint.ledger.arrived == 0
    assert endpoint.ledger.billed_more_than_once() == {}


# ---- the command line, and processes that die


def _words(folder: Path, store: str, url: str, *more: str, verb: str = "ingest") -> list[str]:
    options = {
        "--table": "docs",
        "--store": store,
        "--embedding": OPENAI.name,
        "--base-url": url,
        "--max-tokens": "64",
        "--batch-inputs": "4",
        "--lane": "batch",
    }
    return [verb, str(folder), *(word for pair in options.items() for word in pair), "--json", *more]


_ENV = {"OPENAI_API_KEY": KEY}


def test_the_command_line_plans_and_ingests_by_batch(folder: Path, store: str, tmp_path: Path) -> None:
    with _served() as endpoint:
        planned = vecmill(*_words(folder, store, endpoint.url, verb="plan"), cwd=tmp_path, env=_ENV)
        done = vecmill(*_words(folder, store, endpoint.url), cwd=tmp_path, env=_ENV)
        assert (planned.code, done.code) == (0, 0), planned.err + done.err
    assert (planned.json["lane"], planned.json["hours_at_most"]) == ("batch", 24)
    assert planned.json["cost_usd"] == done.json["cost_usd"] == pytest.approx(endpoint.ledger.usd(0.02))
    assert done.json["embedding"]["batch_tokens"] == endpoint.ledger.tokens_billed


def test_an_endpoint_without_batches_is_exit_3_and_says_what_to_do(
    folder: Path, store: str, tmp_path: Path
) -> None:
    with _served(served=False) as endpoint:
        ran = vecmill(*_words(folder, store, endpoint.url), cwd=tmp_path, env=_ENV)
    assert ran.code == 3
    assert "has no batches" in ran.json["error"]["message"]
    assert "--lane batch" in ran.json["error"]["message"]


@pytest.mark.parametrize(
    ("operation", "moment"),
    [("create", "before"), ("create", "after"), ("get", "after"), ("content", "after")],
)
def test_a_process_killed_while_it_deals_with_a_batch_is_gone_on_with_and_no_text_is_billed_twice(
    folder: Path, store: str, tmp_path: Path, operation: str, moment: str
) -> None:
    """Killed between intent and creation, between creation and record, while polling, while collecting."""
    running: list[Popen[bytes]] = []

    def kill(which: str, when: str) -> None:
        if running and (which, when) == (operation, moment):
            os.kill(running.pop().pid, signal.SIGKILL)

    # Killed before it is created, the batch must not come to be: the request dies with its sender.
    calls = Calls(create=["reset"]) if (operation, moment) == ("create", "before") else Calls()
    with _served(calls=calls) as endpoint:
        calls.hook = kill
        words = command(*_words(folder, store, endpoint.url))
        process = Popen(words, env={**os.environ, **_ENV}, stdout=DEVNULL, stderr=DEVNULL, cwd=tmp_path)
        running.append(process)
        assert process.wait(60) == -signal.SIGKILL
        time = Time(now=_later())
        report = _run(_job(folder, store, endpoint), time)
        assert len(endpoint.batches.made) == 1
    assert report.embedding["texts"] == 40
    assert (endpoint.ledger.texts_billed, endpoint.ledger.billed_more_than_once()) == (40, {})
    assert rows(store).equals(_reference(folder, tmp_path))


def _later() -> float:
    """Two minutes from now: whoever was killed is long gone then."""
    import time

    return time.time() + 120


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT], ids=lambda end: end.name)
def test_an_interrupted_run_says_that_its_batches_go_on_and_the_next_collects_them(
    folder: Path, store: str, tmp_path: Path, end: signal.Signals
) -> None:
    running: list[Popen[bytes]] = []

    def interrupt(which: str, when: str) -> None:
        if running and which == "get":
            os.kill(running.pop().pid, end)

    time = Time(now=_later() - 120)
    with _served(time, seconds=1000.0) as endpoint:
        endpoint.batch_rules.calls.hook = interrupt
        words = command(*_words(folder, store, endpoint.url))
        process = Popen(words, env={**os.environ, **_ENV}, stdout=DEVNULL, stderr=PIPE, cwd=tmp_path)
        running.append(process)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"under way with the provider: 1" in said
        assert [batch.status for batch in endpoint.batches.made.values()] == ["validating"]
        _run(_job(folder, store, endpoint), time)
        assert len(endpoint.batches.made) == 1
    assert endpoint.ledger.billed_more_than_once() == {}
    assert rows(store).equals(_reference(folder, tmp_path))
