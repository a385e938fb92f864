"""From a pipeline's form to its job."""

from pathlib import Path
from typing import Any

import pytest

from infra.config import PipelineConfig
from infra.embedding_form import DEFAULT_SPACE
from infra.wiring import make_engines, make_job
from pipeline.batch.lane import BatchLane
from pipeline.batch.orders import Order, Orders
from pipeline.engine import InlineEngine
from pipeline.job import Budget, Job, Price
from pipeline.objects import Objects
from pipeline.splitter_spec import SplitterSpec
from tests.support import job_for, run, write_pages

PLAIN = SplitterSpec("recursive", prefix_headings=False)


def _job(store: str, **form: Any) -> Job:
    return make_job(
        PipelineConfig.model_validate({"table": "docs", "source": {"uri": "docs"}, **form}), store
    )


def test_what_a_form_leaves_open_has_the_usual_values(store: str) -> None:
    job = _job(store)
    assert (job.splitter, job.space, job.source.markup) == (SplitterSpec(), DEFAULT_SPACE, False)


def test_rows_are_cut_as_plain_text_unless_a_splitter_is_named(store: str) -> None:
    rows = {"kind": "rows", "uri": "a.csv", "text": "body", "id": "key"}
    assert _job(store, source=rows).splitter == PLAIN
    assert _job(store, source=rows, splitter={"max_tokens": 64}).splitter.kind == "recursive"
    assert _job(store, source=rows, splitter={"kind": "markdown"}).splitter == SplitterSpec()


@pytest.mark.parametrize(("kind", "markup"), [("html", True), ("markdown", False), ("code", False)])
def test_html_is_read_with_its_markup_for_the_splitter_that_cuts_it(
    kind: str, markup: bool, store: str
) -> None:
    assert _job(store, splitter={"kind": kind}).source.markup is markup


def test_a_tables_own_splitter_is_taken_where_the_form_names_none(tmp_path: Path, store: str) -> None:
    pages = write_pages(tmp_path / "docs", {"a.html": "<h1>Rivers</h1><p>Water flows.</p>"})
    run(job_for(pages, store, splitter=SplitterSpec("html", 64)))
    job = _job(store)
    assert job.splitter == SplitterSpec("html", 64)
    assert job.source.markup


def test_a_job_pays_the_users_own_price_where_there_is_one(store: str) -> None:
    small = {"provider": "openai", "model": "my-model", "dimensions": 64, "base_url": "http://localhost/v1"}
    assert _job(store, embedding=small).price is None
    listed = _job(store, embedding=small, prices={"openai/my-model": 0.05, "openai/other": 1.0}).price
    assert listed == Price(0.05, "vecmill.toml")
    given = _job(store, embedding={**small, "price": 0.04}, prices={"openai/my-model": 0.05}).price
    assert given == Price(0.04, "given with the run")


def test_a_job_knows_its_pipeline_its_budgets_and_its_time_limit(store: str) -> None:
    job = _job(store, name="docs", budget={"usd": 1.5, "tokens": 10}, time_limit="1m30s")
    assert (job.pipeline, job.budget) == ("docs", Budget(usd=1.5, tokens=10, seconds=90.0))


def test_a_job_goes_by_batch_where_it_may_or_where_a_batch_is_left_to_collect(store: str) -> None:
    remote = {"provider": "openai", "model": "my-model", "dimensions": 64, "base_url": "http://localhost/v1"}
    asked = _job(store, embedding={**remote, "lane": "auto", "deadline": "36h", "enqueued_tokens": 9})
    assert (asked.endpoint.lane, asked.endpoint.deadline, asked.endpoint.enqueued_tokens) == ("auto", 36.0, 9)
    plain = _job(store, embedding=remote)
    Objects(store, create=True)

    def kind(job: Job) -> type:
        with make_engines("inline", job, None)(1) as engine:
            return type(engine)

    assert (kind(asked), kind(plain)) == (BatchLane, InlineEngine)
    Orders(Objects(store), plain.space, plain.endpoint.base_url).save(
        Order("key", "run", plain.endpoint.base_url, 1, 0.0)
    )
    assert (kind(plain), kind(_job(store))) == (BatchLane, InlineEngine)
