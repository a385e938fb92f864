"""Whole runs against an endpoint that fails in every way: the table is right, and nothing is paid twice."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.cache import VectorCache
from pipeline.errors import OverBudget, ProviderRefused, TooManyFailures
from pipeline.job import Budget, Job
from pipeline.objects import Objects
from pipeline.run import plan_only
from pipeline.search.find import search
from pipeline.space import Space
from pipeline.staging import Staging
from pipeline.store.log import Log
from tests.endpoint import Faults, MeteredEndpoint
from tests.pipeline.embedding.canned import canned, says
from tests.support import OPENAI, job_for, metered, rows, run, write_pages

KEY = "sk-test"  # as tests.support.metered sends it
PAGES = {
    f"{n:02}.md": f"# Page {n}\n\nParagraph one of page {n}.\n\n## 第二節\n\n第{n}頁の段落です。"
    for n in range(20)
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def _job(
    folder: Path, store: str, endpoint: MeteredEndpoint, budget: Budget | None = None, **more: Any
) -> Job:
    values = {"batch_inputs": 4, "max_in_flight": 8, **more}
    return job_for(folder, store, budget=budget or Budget(), **metered(endpoint.url, **values))


def _cached(store: str) -> set[str]:
    dataset = VectorCache(Objects(store), OPENAI).open()
    return set() if dataset is None else set(dataset.to_table()["text_hash"].to_pylist())


def _reference(folder: Path, tmp_path: Path) -> Any:
    """The table as an endpoint without faults makes it."""
    store = str(tmp_path / "reference")
    with MeteredEndpoint(count="characters") as endpoint:
        run(_job(folder, store, endpoint))
    return rows(store)


# ---- what a run reports is what it was billed


def test_the_plan_the_report_and_the_bill_tell_the_same_numbers(folder: Path, store: str) -> None:
    with MeteredEndpoint(key=KEY) as endpoint:
        planned = plan_only(_job(folder, store, endpoint))
        assert endpoint.ledger.arrived == 0
        report = run(_job(folder, store, endpoint))
    bill = endpoint.ledger
    assert (planned.texts, planned.tokens, planned.requests) == (40, bill.tokens_billed, bill.requests)
    assert report.embedding == {
        "space": OPENAI.name,
        "texts": bill.texts_billed,
        "tokens": bill.tokens_billed,
        "requests": bill.requests,
        "cache_hits": 0,
        "retries": 0,
        "paid_again": 0,
    }
    assert (bill.texts_billed, bill.requests) == (40, 10)
    assert report.cost_usd == planned.cost_usd == pytest.approx(bill.tokens_billed * 0.02 / 1e6)


def test_texts_of_equal_content_are_paid_once_and_a_second_run_pays_nothing(
    tmp_path: Path, store: str
) -> None:
    pages = dict.fromkeys(("a.md", "b.md", "c/d.md"), PAGES["00.md"])
    folder = write_pages(tmp_path / "docs", pages)
    with MeteredEndpoint(key=KEY) as endpoint:
        first, second = (run(_job(folder, store, endpoint)) for _ in range(2))
    assert (first.embedding["texts"], endpoint.ledger.texts_billed) == (2, 2)
    assert (second.published, second.embedding["requests"], endpoint.ledger.requests) == (False, 0, 1)
    assert len(rows(store)) == 6


def test_a_prefix_of_the_space_is_put_before_each_text_once_and_billed(folder: Path, store: str) -> None:
    space = Space("openai", "text-embedding-3-small", 64, document_prefix="passage: ", query_prefix="query: ")
    with MeteredEndpoint(key=KEY) as endpoint:
        values = {**metered(endpoint.url), "space": space}
        report = run(job_for(folder, store, **values))
        billed = endpoint.ledger.tokens_billed
        search(Objects(store), "docs", "川の水", endpoint=values["endpoint"])
    *texts, asked = [charge.text for charge in endpoint.ledger.charges]
    assert asked == "query: 川の水"
    assert len(texts) == 40
    assert all(text.startswith("passage: ") and text.count("passage: ") == 1 for text in texts)
    assert report.embedding["tokens"] == billed
    assert not any(text.startswith("passage") for text in rows(store)["text"].to_pylist())


# ---- faults that pass


def test_a_run_through_a_storm_of_faults_makes_the_same_table(
    folder: Path, store: str, tmp_path: Path
) -> None:
    script = [
        "server_error",
        "reset_before_billing",
        "reset_after_billing",
        "garbage",
        "short",
        "long",
        "nan",
        "shuffled",
        "wrong_dimensions",
        "ignore_dimensions",
        "float_only",
    ]
    with MeteredEndpoint(key=KEY, faults=Faults(script)) as endpoint:
        report = run(_job(folder, store, endpoint))
    embedding, bill = report.embedding, endpoint.ledger
    assert rows(store).equals(_reference(folder, tmp_path))
    assert (embedding["texts"], embedding["requests"], embedding["retries"]) == (40, 10, 9)
    # Of the nine that failed, seven were billed in vain; the reset before billing counts as perhaps billed.
    assert embedding["paid_again"] == (7 + 1) * 4
    assert bill.texts_billed == 40 + 7 * 4


def test_a_rate_limit_slows_a_run_and_costs_nothing(folder: Path, store: str, tmp_path: Path) -> None:
    with MeteredEndpoint(key=KEY, rpm=300, burst_seconds=1) as endpoint:
        report = run(_job(folder, store, endpoint))
    assert endpoint.ledger.rejected_429 == report.embedding["retries"] > 0
    assert (endpoint.ledger.billed_more_than_once(), report.embedding["paid_again"]) == ({}, 0)
    assert rows(store).equals(_reference(folder, tmp_path))


# ---- faults that stay


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"key": "sk-other"}, "refuses the key"),
        ({"faults": Faults(insufficient_quota=True)}, "quota of this key"),
    ],
)
def test_a_refusal_publishes_nothing_and_pays_nothing(
    folder: Path, store: str, known: dict[str, Any], reason: str
) -> None:
    with MeteredEndpoint(**known, count="characters") as endpoint:
        with pytest.raises(ProviderRefused, match=reason):
            run(_job(folder, store, endpoint))
        assert endpoint.ledger.arrived <= 8  # those in flight
        assert (endpoint.ledger.requests, Log(Objects(store), "docs").last()) == (0, None)


def test_a_quota_that_ends_half_way_keeps_what_was_paid(folder: Path, store: str, tmp_path: Path) -> None:
    faults = Faults([*[None] * 4, "insufficient_quota"])
    with MeteredEndpoint(key=KEY, faults=faults) as endpoint:
        with pytest.raises(ProviderRefused, match="quota of this key"):
            run(_job(folder, store, endpoint, max_in_flight=2))
        paid = endpoint.ledger.texts_billed
        assert (paid, len(_cached(store))) == (16, 16)
        endpoint.faults = Faults()
        report = run(_job(folder, store, endpoint))
    assert (report.embedding["cache_hits"], report.embedding["texts"]) == (paid, 40 - paid)
    assert endpoint.ledger.billed_more_than_once() == {}
    assert rows(store).equals(_reference(folder, tmp_path))


def test_one_poisonous_text_among_many_is_one_dead_letter_and_the_rest_goes_through(
    folder: Path, store: str
) -> None:
    (folder / "07.md").write_text("# Page 7\n\nA bad egg.\n\n## 第二節\n\n第7頁の段落です。", "utf-8")
    with MeteredEndpoint(key=KEY, faults=Faults(poison_marker="bad egg")) as endpoint:
        job = _job(folder, store, endpoint, Budget(failures=0.05))
        report = run(job)
        again = run(_job(folder, store, endpoint, Budget(failures=0.05)))
    letters = _letters(store, job)
    assert [(one["doc_id"], one["stage"], one["excerpt"]) for one in letters] == [
        ("07.md", "embed", "# Page 7\n\nA bad egg.")
    ]
    assert "rejects the input (400)" in letters[0]["reason"]
    assert (report.chunks.inserted, report.chunks.dead, len(rows(store))) == (39, 1, 39)
    assert (endpoint.ledger.texts_billed, endpoint.ledger.billed_more_than_once()) == (39, {})
    assert report.embedding["texts"] == 39
    assert report.embedding["tokens"] == endpoint.ledger.tokens_billed
    assert again.embedding["requests"] == 0


def test_more_failures_than_the_budget_publish_nothing_but_what_was_paid_is_kept(
    folder: Path, store: str
) -> None:
    with MeteredEndpoint(key=KEY, faults=Faults(poison_marker="one of page 1")) as endpoint:
        with pytest.raises(
            TooManyFailures, match=r"11 of 20 documents failed, .* allows 1; nothing was published"
        ):
            run(_job(folder, store, endpoint, Budget(failures=0.05)))
        assert Log(Objects(store), "docs").last() is None
        assert endpoint.ledger.texts_billed == len(_cached(store)) == 29

        endpoint.faults = Faults()
        report = run(_job(folder, store, endpoint))
        assert (report.embedding["cache_hits"], report.embedding["texts"]) == (29, 11)
        assert endpoint.ledger.billed_more_than_once() == {}
        assert len(rows(store)) == 40


def test_a_plan_over_the_budget_pays_nothing(folder: Path, store: str) -> None:
    with MeteredEndpoint(key=KEY) as endpoint:
        cost = plan_only(_job(folder, store, endpoint)).cost_usd
        assert cost is not None
        with pytest.raises(OverBudget, match="nothing was paid"):
            run(_job(folder, store, endpoint, Budget(usd=cost * 0.999)))
        assert (endpoint.ledger.arrived, _cached(store)) == (0, set())
        run(_job(folder, store, endpoint, Budget(usd=cost)))
        assert endpoint.ledger.texts_billed == 40


# ---- the key


def test_the_key_is_in_no_file_of_the_store_though_the_endpoint_repeats_it(folder: Path, store: str) -> None:
    echo = says(400, {"error": {"message": f"You sent {KEY}."}})
    with canned(echo) as endpoint:
        job = job_for(folder, store, budget=Budget(failures=1), **metered(endpoint.url))
        run(job)
    letters = _letters(store, job)
    assert len(letters) == 40
    assert all("You sent ***." in one["reason"] for one in letters)
    with MeteredEndpoint(key="another") as refusing, pytest.raises(ProviderRefused):
        run(_job(folder, f"{store}-2", refusing))
    files = [path for name in (store, f"{store}-2") for path in Path(name).rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def _letters(store: str, job: Job) -> list[dict[str, Any]]:
    return Staging(Objects(store), job.run_id).dead_letters()


def test_an_endpoint_that_rejects_everything_is_not_asked_for_each_text(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}. 第{n}頁。" for n in range(200)})
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="age")) as endpoint:
        job = job_for(folder, store, **metered(endpoint.url, max_in_flight=1, batch_inputs=20))
        with pytest.raises(ProviderRefused, match="rejected every text so far"):
            run(job)
        # Three requests of 20 texts, each halved until every text stands alone.
        assert endpoint.ledger.arrived == 3 * 39
        assert endpoint.ledger.texts_billed == 0


def test_a_run_over_nothing_but_known_dead_letters_ends_as_the_first_did(tmp_path: Path, store: str) -> None:
    pages = {f"{n}.md": f"{'Poison' if n < 3 else 'Page'} {n}. 第{n}頁。" for n in range(400)}
    folder = write_pages(tmp_path / "docs", pages)
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="Poison")) as endpoint:
        first = run(job_for(folder, store, **metered(endpoint.url)))
        second = run(job_for(folder, store, **metered(endpoint.url)))
    assert (first.published, first.chunks.dead, first.chunks.inserted) == (True, 3, 397)
    assert (second.published, second.version, second.embedding["texts"]) == (False, 1, 0)
    assert rows(store).num_rows == 397
