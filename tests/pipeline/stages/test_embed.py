"""embed: planned texts become vectors in the cache; what stops the run loses nothing paid."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from pipeline.cache import VectorCache
from pipeline.engine import InlineEngine
from pipeline.errors import ProviderRefused, TooManyFailures
from pipeline.job import Budget, Job
from pipeline.model import Outcome, Request
from pipeline.objects import Objects
from pipeline.spool import Spool
from pipeline.stages.embed import embed
from tests.endpoint import Faults, MeteredEndpoint
from tests.pipeline.stages.steps import planned
from tests.support import OPENAI, job_for, metered, rows, run, write_pages


class StopsAfter(InlineEngine):
    """Works like its parent, until the provider refuses the request with this number."""

    def __init__(self, requests: int) -> None:
        super().__init__()
        self._requests = requests

    def embed(self, job: Job, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Send the first requests; then the key is refused."""
        yield from super().embed(job, [one for one in requests if one.number < self._requests])
        raise ProviderRefused("the key is refused")


def _cached(store: str) -> int:
    dataset = VectorCache(Objects(store), OPENAI).open()
    return 0 if dataset is None else dataset.count_rows()


def test_what_was_paid_before_the_provider_refused_is_in_the_cache(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}." for n in range(6)})
    with MeteredEndpoint() as endpoint:
        job = job_for(folder, store, **metered(endpoint.url, batch_inputs=2))
        context, _, made = planned(job)
        with pytest.raises(ProviderRefused):
            embed(context, made, StopsAfter(2))
        assert (_cached(store), Spool(Objects(store), OPENAI).names()) == (4, [])
        report = run(job_for(folder, store, **metered(endpoint.url, batch_inputs=2)))
        assert (report.embedding["texts"], report.embedding["cache_hits"]) == (2, 4)
        assert endpoint.ledger.billed_more_than_once() == {}


def test_what_is_sent_is_the_prefix_of_the_space_once_and_then_the_text(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "# 山\n\n山は高い。\n\n## 谷\n\n谷は深い。"})
    space = type(OPENAI)("openai", "text-embedding-3-small", 64, document_prefix="passage: ")
    with MeteredEndpoint() as endpoint:
        run(job_for(folder, store, **{**metered(endpoint.url), "space": space}))
        sent = sorted(charge.text for charge in endpoint.ledger.charges)
    assert sent == ["passage: # 山\n\n山は高い。", "passage: 山\n\n## 谷\n\n谷は深い。"]


def test_a_rejected_text_is_a_dead_letter_in_every_document_and_the_rest_goes_through(
    tmp_path: Path, store: str
) -> None:
    poison = "# Poison\n\nThis one."
    pages = {
        "a.md": f"# A\n\nfine\n\n{poison}",
        "b.md": poison,
        "c.md": "# 三\n\n良い",
        "d.md": f"{poison}\n\n{poison}",
    }
    folder = write_pages(tmp_path / "docs", pages)
    with MeteredEndpoint(faults=Faults(poison_marker="Poison")) as endpoint:
        context, _, made = planned(job_for(folder, store, **metered(endpoint.url), budget=Budget(failures=1)))
        outcome = embed(context, made, InlineEngine())
        report = run(job_for(folder, store, **metered(endpoint.url), budget=Budget(failures=1)))
    assert outcome.texts == 2
    letters = context.staging.dead_letters()
    assert [letter["doc_id"] for letter in letters] == ["a.md", "b.md", "d.md", "d.md"]
    assert {letter["stage"] for letter in letters} == {"embed"}
    assert {letter["excerpt"] for letter in letters} == {poison}
    assert all("400" in letter["reason"] for letter in letters)
    assert (report.chunks.dead, report.chunks.inserted) == (4, 2)
    assert sorted(rows(store)["doc_id"].to_pylist()) == ["a.md", "c.md"]


def test_rejected_texts_count_against_the_failure_budget_by_document(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "Poison.", "b.md": "fine", "c.md": "also fine"})
    with MeteredEndpoint(faults=Faults(poison_marker="Poison")) as endpoint:
        with pytest.raises(TooManyFailures, match=r"1 of 3 documents failed.* a\.md"):
            run(job_for(folder, store, **metered(endpoint.url), budget=Budget(failures=0)))
        assert _cached(store) == 2
        report = run(job_for(folder, store, **metered(endpoint.url), budget=Budget(failures=0.1)))
        assert (report.published, report.embedding["texts"]) == (True, 0)
        assert endpoint.ledger.texts_billed == 2
