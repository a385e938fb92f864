"""Whole runs with the semantic splitter: two rounds, each text paid once, whatever comes in between."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pipeline import ids
from pipeline.engine import InlineEngine
from pipeline.errors import OverBudget
from pipeline.job import Budget, Job
from pipeline.ports import P, T
from pipeline.run import Report, ingest, plan_only
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting.semantic import sentences_of
from pipeline.tokens import counter_for
from tests.endpoint import Faults, MeteredEndpoint
from tests.support import OPENAI, job_for, metered, rows, run, write_pages

SPEC = SplitterSpec("semantic", 48, prefix_headings=False)
_SHARED = "This sentence stands on every page. どの頁にもある文です。"
PAGES = {
    f"{n:02}.md": "\n\n".join(
        [
            f"# Page {n}",
            " ".join(f"River {n}.{m} runs through a valley to the sea." for m in range(6)),
            _SHARED,
            "".join(f"第{n}の{m}番目のパンは窯で焼かれる。" for m in range(6)),
        ]
    )
    for n in range(6)
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def _job(folder: Path, store: str, endpoint: MeteredEndpoint, **more: Any) -> Job:
    return job_for(folder, store, splitter=SPEC, **more, **metered(endpoint.url, batch_inputs=4))


def _sentences(pages: dict[str, str]) -> set[str]:
    counter = counter_for(OPENAI)
    return {text[one.start : one.end] for text in pages.values() for one in sentences_of(text, SPEC, counter)}


class StopsBefore:
    """A runner that is killed before a stage."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def __call__(self, stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a stage here, unless it is the one."""
        if stage.__name__ == self._stage:
            raise KeyboardInterrupt
        return stage(*args, **kwargs)


def test_each_sentence_and_each_chunk_is_billed_once_and_the_report_says_what_the_bill_says(
    folder: Path, store: str
) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        report = run(_job(folder, store, endpoint))
        bill = endpoint.ledger
        sentences, chunks = _sentences(PAGES), set(rows(store)["text"].to_pylist())
        assert {charge.text for charge in bill.charges} == sentences | chunks
        assert bill.billed_more_than_once() == {}
        assert len(chunks - sentences) >= len(PAGES)
        assert (report.embedding["texts"], report.embedding["tokens"], report.embedding["requests"]) == (
            bill.texts_billed,
            bill.tokens_billed,
            bill.requests,
        )
        assert report.embedding["cache_hits"] == 0
        assert report.cost_usd == pytest.approx(bill.tokens_billed * 0.02 / 1e6)
    for row in rows(store).to_pylist():
        assert row["text"] == PAGES[row["doc_id"]][row["start"] : row["end"]]
        assert row["text_hash"] == ids.digest(row["text"])


def test_a_second_run_sends_nothing_and_a_changed_page_only_what_is_new_in_it(
    folder: Path, store: str
) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        run(_job(folder, store, endpoint))
        paid = endpoint.ledger.texts_billed
        second = run(_job(folder, store, endpoint))
        assert (second.published, second.embedding["texts"], endpoint.ledger.texts_billed) == (False, 0, paid)
        added = "A sentence that nobody has seen."
        write_pages(folder, {"03.md": PAGES["03.md"] + "\n\n" + added})
        third = run(_job(folder, store, endpoint))
        sent = [charge.text for charge in endpoint.ledger.charges[paid:]]
        found = rows(store).to_pylist()
        assert sent[0] == added
        assert set(sent[1:]) <= {row["text"] for row in found if row["doc_id"] == "03.md"}
        assert third.documents.changed == 1
        assert endpoint.ledger.billed_more_than_once() == {}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["split", "plan", "embed", "assemble", "publish"])
def test_after_a_kill_between_the_rounds_nothing_is_paid_twice(folder: Path, store: str, stage: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        with pytest.raises(KeyboardInterrupt):
            _ingest(_job(folder, store, endpoint), StopsBefore(stage))
        sentences = _sentences(PAGES)
        assert {charge.text for charge in endpoint.ledger.charges} >= sentences
        report = run(_job(folder, store, endpoint))
        assert endpoint.ledger.billed_more_than_once() == {}
        assert report.embedding["cache_hits"] >= len(sentences)
        assert {charge.text for charge in endpoint.ledger.charges} == sentences | set(
            rows(store)["text"].to_pylist()
        )


def _ingest(job: Job, runner: Any) -> Report:
    return ingest(job, lambda _: nullcontext(InlineEngine()), runner)


def test_the_plan_names_the_first_round_exactly_and_the_second_from_above(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        planned = plan_only(_job(folder, store, endpoint))
        assert (endpoint.ledger.arrived, Path(store).exists()) == (0, False)
        assert planned.rounds
        with pytest.raises(KeyboardInterrupt):
            _ingest(_job(folder, store, endpoint), StopsBefore("split"))
        bill = endpoint.ledger
        first = (bill.texts_billed, bill.tokens_billed, bill.requests)
        sentences, at_most = planned.rounds
        assert (sentences.texts, sentences.tokens, sentences.requests) == first
        exact = plan_only(_job(folder, store, endpoint))
        assert not exact.rounds
        report = run(_job(folder, store, endpoint))
        assert (exact.texts, exact.tokens, exact.requests) == tuple(
            report.embedding[name] for name in ("texts", "tokens", "requests")
        )
        assert exact.texts <= at_most.texts
        assert exact.tokens <= at_most.tokens
        assert exact.requests <= at_most.requests
        assert exact.chunks == report.chunks


def test_a_budget_is_of_both_rounds_and_checked_before_the_first_is_paid(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        planned = plan_only(_job(folder, store, endpoint))
        assert planned.rounds
        sentences, at_most = planned.rounds
        enough_for_one = Budget(usd=(sentences.tokens + at_most.tokens / 2) * 0.02 / 1e6)
        assert plan_only(_job(folder, store, endpoint, budget=enough_for_one)).over_budget
        with pytest.raises(OverBudget, match=r"at most \d+ texts .* nothing was paid"):
            run(_job(folder, store, endpoint, budget=enough_for_one))
        assert endpoint.ledger.arrived == 0
        assert planned.cost_usd is not None
        report = run(_job(folder, store, endpoint, budget=Budget(usd=planned.cost_usd)))
        assert report.cost_usd is not None
        assert report.cost_usd <= planned.cost_usd


def test_a_rejected_sentence_does_not_kill_its_document(folder: Path, store: str) -> None:
    poison = "River 3.2 runs through a valley to the sea."
    with MeteredEndpoint(key="sk-test", faults=Faults(poison=[poison])) as endpoint:
        report = run(_job(folder, store, endpoint))
        again = run(_job(folder, store, endpoint))
    assert (report.chunks.dead, report.documents.failed) == (0, 0)
    found = rows(store)
    assert set(found["doc_id"].to_pylist()) == set(PAGES)
    assert any(poison in text and text != poison for text in found["text"].to_pylist())
    assert again.published is False


def test_an_embedded_model_needs_no_endpoint(folder: Path, store: str) -> None:
    report = run(job_for(folder, store, splitter=SPEC))
    assert (report.published, report.documents.new, report.cost_usd) == (True, 6, 0.0)
    assert run(job_for(folder, store, splitter=SPEC)).published is False
