"""plan: what has to be embedded, exactly, and before anything is paid or changed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.cache import VectorCache
from pipeline.errors import InputError, OverBudget
from pipeline.job import Budget, Endpoint, Job, Secret
from pipeline.model import Outcome
from pipeline.objects import Objects
from pipeline.run import plan_only
from pipeline.space import Space
from pipeline.spool import Spool
from pipeline.stages.plan import TEXTS
from pipeline.staging import read_shards
from tests.endpoint import MeteredEndpoint
from tests.pipeline.stages.steps import listing, planned
from tests.support import OPENAI, job_for, metered, rows, run, write_pages

_NOWHERE = Endpoint("http://127.0.0.1:9/v1", Secret("sk-test"))  # nothing must be sent


def _priced(folder: Path, store: str, **endpoint: Any) -> Job:
    reached = Endpoint(_NOWHERE.base_url, _NOWHERE.api_key, **endpoint)
    return job_for(folder, store, space=OPENAI, endpoint=reached)


def test_a_plan_leaves_the_store_exactly_as_it_is(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "a", "b.md": "b"})
    plan_only(job_for(folder, store))
    assert not Path(store).exists()
    run(job_for(folder, store))
    write_pages(folder, {"b.md": "other", "c.md": "新しい"})
    before = listing(store)
    made = plan_only(job_for(folder, store))
    assert (made.documents.new, made.documents.changed, made.texts) == (1, 1, 2)
    assert listing(store) == before


def test_the_numbers_of_a_plan_are_those_of_the_run(tmp_path: Path, store: str) -> None:
    shared = "A paragraph that stands on every page of this book, word for word."
    pages = {f"{n}.md": f"# Page {n}\n\nText number {n}.\n\n# 共通\n\n{shared}" for n in range(7)}
    folder = write_pages(tmp_path / "docs", pages)
    with MeteredEndpoint(key="sk-test") as endpoint:
        for edit in ({}, {"0.md": f"# New\n\nNew.\n\n# 共通\n\n{shared}", "8.md": "八"}, {"8.md": "Text."}):
            write_pages(folder, edit)
            job = job_for(folder, store, **metered(endpoint.url, batch_inputs=3))
            made, asked = plan_only(job), endpoint.ledger.requests
            report = run(job)
            assert endpoint.ledger.requests - asked == made.requests == report.embedding["requests"]
            assert (made.texts, made.tokens) == (report.embedding["texts"], report.embedding["tokens"])
            assert (made.cache_hits, made.cost_usd) == (report.embedding["cache_hits"], report.cost_usd)
            assert (made.documents, made.chunks) == (report.documents, report.chunks)
        assert endpoint.ledger.billed_more_than_once() == {}


def test_texts_are_staged_once_each_in_the_order_of_their_first_chunks(tmp_path: Path, store: str) -> None:
    pages = {
        "a.md": "# One\n\nfirst\n\n# Two\n\nsecond",
        "b.md": "# Two\n\nsecond\n\n# 三\n\n三番目",
        "c.md": "# One\n\nfirst",
    }
    context, _, made = planned(job_for(write_pages(tmp_path / "docs", pages), store))
    staged = [row for shard in read_shards(context.staging, TEXTS) for row in shard.to_pylist()]
    assert [row["text"] for row in staged] == ["# One\n\nfirst", "# Two\n\nsecond", "# 三\n\n三番目"]
    assert made.texts == 3
    assert made.tokens == sum(row["tokens"] for row in staged)
    assert made.chunks.inserted == 5


def test_what_the_cache_the_table_or_the_spool_holds_is_not_planned(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "first", "b.md": "second", "c.md": "third"})
    run(job_for(folder, store))
    objects, job = Objects(store), job_for(folder, store, table="other")
    assert _needs(job) == (0, 3)
    vectors = rows(store).select(["text_hash", "vector"])
    for path in objects.paths("cache"):
        objects.delete(path)
    assert _needs(job) == (3, 0)
    assert _needs(job_for(write_pages(tmp_path / "in", {"d.md": "second"}), store)) == (0, 1)
    VectorCache(objects, job.space).append(vectors.slice(0, 1))
    assert _needs(job) == (2, 1)
    held, spool = vectors.slice(1, 1), Spool(objects, job.space)
    array = held["vector"].combine_chunks().flatten().to_numpy().reshape(1, -1)
    spool.put(held["text_hash"].to_pylist(), array, Outcome(0, texts=1, tokens=1, requests=1))
    assert _needs(job) == (1, 2)


def _needs(job: Job) -> tuple[int, int]:
    made = plan_only(job)
    return made.texts, made.cache_hits


def test_another_space_shares_no_vectors(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "first"})
    run(job_for(folder, store))
    assert _needs(job_for(folder, store, table="other", space=Space("local", "wordllama", 128))) == (1, 0)
    assert _needs(job_for(folder, store, table="third", space=OPENAI, endpoint=_NOWHERE)) == (1, 0)


def test_the_time_at_the_quota_is_that_of_the_tighter_budget(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n}.md": f"Page number {n}." for n in range(10)})
    bare = plan_only(_priced(folder, store, batch_inputs=2))
    assert (bare.requests, bare.seconds_at_quota) == (5, None)
    assert plan_only(_priced(folder, store, batch_inputs=2, rpm=60)).seconds_at_quota == 5.0
    slow = plan_only(_priced(folder, store, batch_inputs=2, rpm=60, tpm=bare.tokens))
    assert slow.seconds_at_quota == 60.0


def test_a_plan_over_the_budget_says_so_and_its_run_pays_nothing(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "some words " * 30})
    job = job_for(folder, store, space=OPENAI, endpoint=_NOWHERE, budget=Budget(usd=1e-9))
    made = plan_only(job)
    assert made.over_budget
    assert made.cost_usd == pytest.approx(made.tokens * 0.02 / 1e6)
    with pytest.raises(OverBudget, match="nothing was paid") as refused:
        run(job)
    assert refused.value.exit_code == 4
    rich = replace(job, budget=Budget(usd=1))
    assert plan_only(rich) == replace(made, over_budget=False)


def test_a_budget_cannot_be_checked_without_a_price(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "words"})
    job = job_for(
        folder, store, space=Space("openai", "unheard-of", 8), endpoint=_NOWHERE, budget=Budget(usd=1)
    )
    with pytest.raises(InputError, match="price of openai/unheard-of is not known"):
        plan_only(job)


def test_nothing_to_embed_costs_nothing_and_takes_no_time(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"empty.md": "\n"})
    made = plan_only(_priced(folder, store, rpm=1))
    assert (made.texts, made.requests, made.cost_usd, made.seconds_at_quota) == (0, 0, 0.0, 0.0)
    assert made.record()["to_embed"] == {"texts": 0, "tokens": 0, "requests": 0}
