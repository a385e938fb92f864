"""Plans, budgets and the ledger against an endpoint that bills: to the token and to the request."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.cache import VectorCache
from pipeline.errors import InputError, OverBudget
from pipeline.job import Budget, Job, Price
from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.run import plan_only
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.staging import Staging
from pipeline.store.log import Log
from tests.endpoint import Faults, MeteredEndpoint
from tests.support import OPENAI, job_for, metered, run, write_pages

ENGLISH = {
    f"en/{n:02}.md": f"# Chapter {n}\n\nIt rained for {n} days.\n\n## Rivers\n\n"
    + " ".join(f"River {n}.{m} rose by {m} inches, and the lower meadow was under water." for m in range(9))
    + "\n\n| town | inches |\n|---|---|\n"
    + "\n".join(f"| Town {m} of {n} | {m * n} |" for m in range(30))
    for n in range(12)
}
JAPANESE = {
    f"ja/{n:02}.md": f"# 第{n}章\n\n雨は{n}日続いた。\n\n## 川\n\n"
    + "".join(f"第{n}の{m}番目の川は{m}センチ増水し、下の牧草地は水に浸かった。" for m in range(9))
    + "\n\n```python\n" + "\n".join(f"print('川{n}・{m}')" for m in range(30)) + "\n```\n"
    for n in range(12)
}  # fmt: skip
PAGES = {"english": ENGLISH, "japanese": JAPANESE, "both": {**ENGLISH, **JAPANESE}}


def _job(folder: Path, store: str, endpoint: MeteredEndpoint, **more: Any) -> Job:
    access = metered(endpoint.url, batch_inputs=4, max_in_flight=8)
    return job_for(folder, store, **{**access, **more})


def _cached(store: str) -> int:
    dataset = VectorCache(Objects(store, create=True), OPENAI).open()
    return 0 if dataset is None else dataset.count_rows()


def _spent(store: str, job: Job) -> dict[str, Any]:
    spent: dict[str, Any] = Ledger(Objects(store)).run(job.run_id)["spent"]
    return spent


# ---- the plan and the bill


@pytest.mark.parametrize("language", PAGES)
@pytest.mark.parametrize(
    "splitter",
    [
        SplitterSpec("markdown", 64),
        SplitterSpec("markdown", 48, overlap_tokens=8, join_sections=True),
        SplitterSpec("recursive", 40, prefix_headings=False),
    ],
    ids=lambda spec: spec.name,
)
def test_a_plan_is_exact_to_the_token_and_the_request(
    language: str, splitter: SplitterSpec, tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", PAGES[language])
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = _job(folder, store, endpoint, splitter=splitter)
        planned = plan_only(job)
        assert endpoint.ledger.arrived == 0
        report = run(job)
    bill = endpoint.ledger
    assert (planned.texts, planned.tokens, planned.requests) == (
        bill.texts_billed,
        bill.tokens_billed,
        bill.requests,
    )
    assert planned.cost_usd == report.cost_usd == pytest.approx(bill.tokens_billed * 0.02 / 1e6)
    assert bill.billed_more_than_once() == {}


@pytest.mark.parametrize("language", PAGES)
def test_both_rounds_of_the_semantic_splitter_are_billed_as_they_were_planned(
    language: str, tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", PAGES[language])
    spec = SplitterSpec("semantic", 48, prefix_headings=False)
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = _job(folder, store, endpoint, splitter=spec)
        before = plan_only(job)
        run(job)
    staging, bill = Staging(Objects(store), job.run_id), endpoint.ledger
    assert before.rounds is not None
    rounds = [
        staging.read_json("plan-sentences")["rounds"]["sentences"],
        staging.read_json("plan")["to_embed"],
    ]
    assert rounds[0] == {name: getattr(before.rounds[0], name) for name in ("texts", "tokens", "requests")}
    billed = {"texts": bill.texts_billed, "tokens": bill.tokens_billed, "requests": bill.requests}
    assert {name: rounds[0][name] + rounds[1][name] for name in billed} == billed
    assert all(billed[name] <= getattr(before, name) for name in billed)


# ---- budgets during the run


def _until_it_goes_through(job: Job, store: str, endpoint: MeteredEndpoint) -> int:
    """Run a job again and again, each time as a run of its own, and check what each may be billed."""
    refused = 0
    for number in range(200):
        one = replace(job, run_id=f"{job.run_id}-{number}")
        before = endpoint.ledger.tokens_billed
        assert one.budget.tokens is not None
        try:
            run(one)
        except OverBudget:
            refused += 1
            assert Log(Objects(store), "docs").last() is None
        else:
            return refused
        finally:
            assert endpoint.ledger.tokens_billed - before <= one.budget.tokens
    raise AssertionError("the run never came to its end")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_what_may_have_been_billed_never_passes_a_budget_whatever_goes_wrong(
    tmp_path: Path, store: str, seed: int
) -> None:
    folder = write_pages(tmp_path / "docs", PAGES["both"])
    rates = {"reset_after_billing": 0.2, "garbage": 0.1, "short": 0.1, "server_error": 0.05}
    with MeteredEndpoint(key="sk-test", faults=Faults(rates=rates, seed=seed)) as endpoint:
        job = _job(folder, store, endpoint)
        # As much as is planned: what is lost on the way is more, and the next run has less to do.
        tight = replace(job, budget=Budget(tokens=plan_only(job).tokens))
        assert _until_it_goes_through(tight, store, endpoint) >= 1


def test_a_bill_that_is_higher_than_the_plan_stops_at_the_budget(tmp_path: Path, store: str) -> None:
    """An endpoint that bills characters: of English several times the tokens, of Japanese about as many."""
    folder = write_pages(tmp_path / "docs", PAGES["both"])
    with MeteredEndpoint(key="sk-test", count="characters") as endpoint:
        job = _job(folder, store, endpoint)
        budget = Budget(tokens=plan_only(job).tokens * 3 // 2)
        with pytest.raises(
            OverBudget, match=r"bills more tokens than the plan has counted.*what was paid is kept"
        ):
            run(replace(job, budget=budget))
        assert 0 < endpoint.ledger.tokens_billed <= (budget.tokens or 0)
        assert _cached(store) == endpoint.ledger.texts_billed > 0
        assert Log(Objects(store), "docs").last() is None
        assert _spent(store, job)["tokens"] == endpoint.ledger.tokens_billed


def test_a_budget_that_ends_on_the_way_keeps_what_was_paid_and_says_what_was_spent(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", PAGES["both"])
    faults = Faults(["reset_after_billing"] * 6)
    with MeteredEndpoint(key="sk-test", faults=faults) as endpoint:
        job = _job(folder, store, endpoint)
        cost = plan_only(job).cost_usd
        with pytest.raises(OverBudget, match="spent") as raised:
            run(replace(job, budget=Budget(usd=cost)))
        bill, spent = endpoint.ledger, _spent(store, job)
        assert spent["tokens"] + spent["tokens_unanswered"] == bill.tokens_billed
        assert spent["cost_usd"] == pytest.approx(bill.tokens_billed * 0.02 / 1e6)
        assert spent["cost_usd"] <= (cost or 0)
        assert f"{spent['cost_usd']:.6f} USD" in str(raised.value)
        assert f"{bill.tokens_billed:,} tokens were spent" in str(raised.value)
        paid = _cached(store)
        again = run(replace(job, run_id=f"{job.run_id}-2"))
    assert again.published
    assert again.embedding["cache_hits"] == paid
    assert sum(times - 1 for times in bill.billed_more_than_once().values()) == 6 * 4


def test_a_request_that_is_lost_each_time_ends_a_tight_run_with_its_reason(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "One page."})
    with MeteredEndpoint(key="sk-test", faults=Faults(rates={"reset_after_billing": 1.0})) as endpoint:
        job = _job(folder, store, endpoint, budget=Budget(tokens=9))
        with pytest.raises(OverBudget, match="perhaps, for attempts without an answer"):
            run(job)
    assert 0 < endpoint.ledger.tokens_billed <= 9


def test_a_token_budget_below_the_plan_pays_nothing_and_one_of_the_plan_pays_all(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", PAGES["both"])
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = _job(folder, store, endpoint)
        tokens = plan_only(job).tokens
        short = replace(job, budget=Budget(tokens=tokens - 1))
        assert plan_only(short).over_budget
        with pytest.raises(OverBudget, match="nothing was paid"):
            run(short)
        assert endpoint.ledger.arrived == 0
        assert run(replace(job, run_id="all", budget=Budget(tokens=tokens))).published
    assert endpoint.ledger.tokens_billed == tokens


def test_a_budget_holds_over_both_rounds_of_the_semantic_splitter(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", PAGES["english"])
    faults = Faults(["reset_after_billing"] * 4)
    with MeteredEndpoint(key="sk-test", faults=faults) as endpoint:
        job = _job(folder, store, endpoint, splitter=SplitterSpec("semantic", 48, prefix_headings=False))
        budget = Budget(tokens=plan_only(job).tokens)
        with_luck = replace(job, budget=budget)
        try:
            run(with_luck)
        except OverBudget:
            assert Log(Objects(store), "docs").last() is None
        assert endpoint.ledger.tokens_billed <= (budget.tokens or 0)


# ---- prices


def test_a_price_of_ones_own_is_planned_billed_and_kept_with_the_run(tmp_path: Path, store: str) -> None:
    folder, space = write_pages(tmp_path / "docs", PAGES["english"]), Space("openai", "my-model", 64)
    with MeteredEndpoint(key="sk-test") as endpoint:
        unknown = _job(folder, store, endpoint, space=space)
        assert (plan_only(unknown).cost_usd, plan_only(unknown).price) == (None, None)
        with pytest.raises(InputError, match=r'"openai/my-model" = USD under \[prices\]'):
            plan_only(replace(unknown, budget=Budget(usd=1.0)))
        own = Price(1.0, "vecmill.toml")
        job = replace(unknown, price=own)
        planned, report = plan_only(job), run(job)
    cost = endpoint.ledger.tokens_billed / 1e6
    assert report.cost_usd == pytest.approx(cost)
    assert planned.cost_usd == pytest.approx(planned.tokens / 1e6)  # of a model whose tokens are estimated
    assert planned.tokens >= endpoint.ledger.tokens_billed
    assert planned.price == own
    assert _spent(store, job)["price"] == {"usd": 1.0, "source": "vecmill.toml", "as_of": ""}


def test_the_ledger_sums_what_pipelines_have_cost_over_time(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", PAGES["japanese"])
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = replace(_job(folder, store, endpoint), pipeline="docs")
        run(job)
        write_pages(folder, {"ja/new.md": "# 新しい頁\n\n新しい本文。"})
        run(replace(job, run_id=f"{job.run_id}-2"))
        run(replace(job, run_id="other", table="other", pipeline=None))  # all known already
        bill = endpoint.ledger
    sums = {row["pipeline"]: row for row in Ledger(Objects(store)).sums(["pipeline"])}
    assert (sums["docs"]["runs"], sums["docs"]["tokens"], sums["docs"]["requests"]) == (
        2,
        bill.tokens_billed,
        bill.requests,
    )
    assert sums["docs"]["cost_usd"] == pytest.approx(bill.tokens_billed * 0.02 / 1e6)
    assert (sums[None]["runs"], sums[None]["tokens"], sums[None]["cost_usd"]) == (1, 0, 0.0)
    [month] = Ledger(Objects(store)).sums(["pipeline", "month"])[1:]
    assert month["month"] == job.run_id[:4] + "-" + job.run_id[4:6]
    with pytest.raises(InputError, match="'week'; name some of pipeline, table"):
        Ledger(Objects(store)).sums(["week"])
