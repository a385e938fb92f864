"""A run whose large stages are done shard by shard."""

from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path

import pytest

from pipeline.cache import VectorCache
from pipeline.engine import InlineEngine
from pipeline.job import Budget
from pipeline.objects import Objects
from pipeline.ports import P, T
from pipeline.run import ingest
from pipeline.sharding import Sharded
from pipeline.stages import assemble as assembling
from pipeline.stages import cutting
from pipeline.stages import embed as embedding
from pipeline.stages import split as splitting
from pipeline.staging import ShardWriter
from tests.endpoint import Faults, MeteredEndpoint
from tests.pipeline.stages.steps import planned
from tests.support import OPENAI, job_for, metered, rows, run, write_pages

PAGES = {f"{n:02}.md": f"# Page {n}\n\nParagraph of page {n}. 第{n}頁の段落です。" for n in range(11)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make shards of few documents, texts and rows."""
    monkeypatch.setattr(cutting, "_SHARD", 4)
    monkeypatch.setattr(embedding, "_SHARD", 3)
    monkeypatch.setattr(splitting, "ShardWriter", partial(ShardWriter, most=5))
    monkeypatch.setattr(assembling, "fragment_rows", lambda _: 5)


class ByShards:
    """A runner that does the shards of a stage one by one, and remembers how many there were."""

    def __init__(self) -> None:
        self.shards: dict[str, int] = {}

    def __call__(self, stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a stage here."""
        if not isinstance(stage, Sharded):
            return stage(*args, **kwargs)
        with closing(stage.begin(*args, **kwargs)) as work:
            done = 1
            while not work.do_next():
                done += 1
            assert done == work.shards
            self.shards[stage.__name__] = done
            result: T = work.result
            return result


@pytest.mark.usefixtures("small")
def test_it_comes_to_the_same_rows_and_as_many_shards_are_done_as_were_told(
    folder: Path, store: str, tmp_path: Path
) -> None:
    runner = ByShards()
    report = ingest(job_for(folder, store), lambda _: nullcontext(InlineEngine()), runner)
    assert report.documents.new == len(PAGES)
    assert runner.shards == {"split": 3, "embed": 4, "assemble": 3, "validate": 3}
    whole = str(tmp_path / "whole")
    run(job_for(folder, whole))
    assert rows(store).equals(rows(whole))


@pytest.mark.usefixtures("small")
def test_documents_and_texts_that_come_to_nothing_count_as_done(folder: Path, store: str) -> None:
    for name in ("05.md", "10.md"):
        (folder / name).write_bytes(b"\x00\x01\xff\xfe")
    runner = ByShards()
    with MeteredEndpoint(key="sk-test", faults=Faults(poison_marker="第9頁")) as endpoint:
        job = job_for(folder, store, budget=Budget(failures=0.5), **metered(endpoint.url, batch_inputs=1))
        ingest(job, lambda _: nullcontext(InlineEngine()), runner)
    assert runner.shards["split"] == 3
    assert runner.shards["embed"] == 3
    assert len(rows(store)) == 8


def test_a_run_of_few_documents_is_not_cut(folder: Path, store: str) -> None:
    runner = ByShards()
    ingest(job_for(folder, store), lambda _: nullcontext(InlineEngine()), runner)
    assert set(runner.shards.values()) == {1}


@pytest.mark.usefixtures("small")
def test_sending_that_is_ended_between_two_shards_keeps_what_is_paid(folder: Path, store: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = job_for(folder, store, **metered(endpoint.url, batch_inputs=1, max_in_flight=2))
        context, _, plan = planned(job)
        with closing(embedding.embed.begin(context, plan, InlineEngine())) as work:
            assert not work.do_next()
        paid = endpoint.ledger.texts_billed
    assert 3 <= paid < len(PAGES)
    cached = VectorCache(Objects(store), OPENAI).open()
    assert cached is not None
    assert cached.count_rows() == paid
