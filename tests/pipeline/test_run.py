"""A run: the stages composed, and what it says about itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.engine import InlineEngine
from pipeline.errors import InputError, ProviderRefused, StoreRefused
from pipeline.ledger import Ledger
from pipeline.model import DocumentCounts
from pipeline.objects import Objects
from pipeline.ports import Advance, Engine, P, T
from pipeline.run import ingest, plan_only
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.staging import Staging
from pipeline.store.history import rollback
from pipeline.store.log import Log
from tests.endpoint import Faults, MeteredEndpoint
from tests.support import job_for, metered, rows, run, write_pages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", {"a.md": "# A\n\nRivers.", "b.md": "# 山\n\n山は高い。"})


class Recording:
    """A runner that remembers the stages it ran."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def __call__(self, stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a stage here."""
        self.stages.append(stage.__name__)
        return stage(*args, **kwargs)


def test_the_stages_run_in_order_through_the_runner_and_tell_how_far_they_are(
    folder: Path, store: str
) -> None:
    opened: list[int] = []
    told: list[Advance] = []

    @contextmanager
    def engines(texts: int) -> Iterator[Engine]:
        opened.append(texts)
        yield InlineEngine()
        opened.append(-1)

    runner = Recording()
    ingest(job_for(folder, store), engines, runner, told.append)
    order = ["list_documents", "diff", "split", "plan", "embed", "assemble", "validate", "publish"]
    assert (runner.stages, opened) == (order, [2, -1])
    heard = [(one.stage, one.done, one.total) for one in told]
    assert heard == [("split", 1, 2), ("split", 2, 2), ("embed", 0, 2), ("embed", 2, 2), ("assemble", 1, 1)]


def test_the_semantic_splitter_has_a_round_of_its_own_before_and_one_engine_serves_both(
    folder: Path, store: str
) -> None:
    opened: list[int] = []

    @contextmanager
    def engines(texts: int) -> Iterator[Engine]:
        opened.append(texts)
        yield InlineEngine()

    spec, runner = SplitterSpec("semantic", 64, prefix_headings=False), Recording()
    ingest(job_for(folder, store, splitter=spec), engines, runner)
    first = ["list_documents", "diff", "sentences", "plan_sentences", "embed_sentences"]
    second = ["split", "plan", "embed", "assemble", "validate", "publish"]
    assert runner.stages == first + second
    assert opened == [8]  # four sentences, and at most as many chunks
    again = Recording()
    ingest(job_for(folder, store, splitter=spec), engines, again)
    assert again.stages == ["list_documents", "diff", "sentences", "plan_sentences", "split", "plan"]
    assert len(opened) == 1


def test_a_run_that_changes_nothing_opens_no_engine_and_publishes_nothing(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    runner = Recording()

    def engines(texts: int) -> Iterator[Engine]:
        raise AssertionError("no engine is needed")

    report = ingest(job_for(folder, store), engines, runner)  # type: ignore[arg-type]
    assert runner.stages == ["list_documents", "diff", "split", "plan"]
    assert (report.published, report.version, report.documents) == (False, 1, DocumentCounts(unchanged=2))
    assert (report.embedding["requests"], report.cost_usd) == (0, 0.0)


def test_a_report_says_what_was_done_in_the_words_of_the_design(folder: Path, store: str) -> None:
    job = job_for(folder, store)
    record = run(job).record()
    assert set(record) == {
        "run_id",
        "table",
        "version",
        "published",
        "documents",
        "chunks",
        "embedding",
        "cost_usd",
        "seconds",
    }
    assert record["run_id"] == job.run_id
    assert record["documents"] == {"new": 2, "changed": 0, "unchanged": 0, "deleted": 0, "failed": 0}
    assert record["chunks"] == {"inserted": 2, "unchanged": 0, "deleted": 0, "dead": 0}
    assert set(record["embedding"]) == {
        "space",
        "texts",
        "tokens",
        "requests",
        "cache_hits",
        "retries",
        "paid_again",
    }
    assert set(record["seconds"]) == {"list", "split", "plan", "embed", "assemble", "publish", "total"}
    assert Ledger(Objects(store)).run(job.run_id)["report"] == record


def test_a_finished_run_leaves_its_records_and_nothing_else(folder: Path, store: str) -> None:
    for _ in range(2):  # one that publishes, one that has nothing to do
        job = job_for(folder, store)
        run(job)
        left = {path.name for path in Path(store, "runs", job.run_id).rglob("*") if path.is_file()}
        embedded = job.run_id == Log(Objects(store), "docs").live().run_id
        assert left == {"run.json", "listed.json", "chunks.json", "looked-up.json", "plan.json"} | (
            {"fragments.json", "spent.json"} if embedded else set()
        )


def test_a_failed_run_keeps_what_it_paid_and_says_so_in_the_ledger(folder: Path, store: str) -> None:
    with MeteredEndpoint(faults=Faults([None, "insufficient_quota"])) as endpoint:
        reached = metered(endpoint.url, batch_inputs=1, max_in_flight=1)
        job = job_for(folder, store, **reached)
        with pytest.raises(ProviderRefused):
            run(job)
        record = Ledger(Objects(store)).run(job.run_id)
        assert (record["state"], Log(Objects(store), "docs").last()) == ("failed", None)
        assert "quota" in record["error"]
        endpoint.faults = Faults()
        report = run(job_for(folder, store, **reached))
        assert (report.embedding["texts"], report.embedding["cache_hits"]) == (1, 1)
        assert endpoint.ledger.billed_more_than_once() == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"space": Space("local", "wordllama", 128)},
            "of the embedding space local/wordllama@64, this run asks for local/wordllama@128",
        ),
        (
            {"space": Space("local", "wordllama", 64, query_prefix="q: ")},
            "asks for local/wordllama@64 with other parameters .*query_prefix='q: '",
        ),
        (
            {"splitter": SplitterSpec("recursive", 64)},
            "of the splitter markdown/64, this run asks for recursive/64",
        ),
        ({"splitter": SplitterSpec(max_tokens=32)}, "markdown/64, this run asks for markdown/32"),
    ],
)
def test_a_table_of_another_space_or_splitter_is_refused_before_anything_is_read(
    folder: Path, store: str, changes: dict[str, object], said: str
) -> None:
    run(job_for(folder, store))
    write_pages(folder, {"a.md": "changed"})
    for use in (run, plan_only):
        with pytest.raises(InputError, match=said):
            use(job_for(folder, store, **changes))
    assert run(job_for(folder, store)).version == 2


def test_two_tables_of_two_spaces_live_in_one_store(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    run(job_for(folder, store, table="wide", space=Space("local", "wordllama", 128)))
    assert len(rows(store)["vector"][0]) == 64
    assert len(rows(store, "wide")["vector"][0]) == 128


def test_a_run_builds_on_what_readers_see_after_a_rollback(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    write_pages(folder, {"a.md": "changed"})
    run(job_for(folder, store))
    rollback(Objects(store), "docs", 1)
    assert plan_only(job_for(folder, store)).documents == DocumentCounts(changed=1, unchanged=1)
    assert run(job_for(folder, store)).version == 4


class AlwaysLate(Recording):
    """A runner whose every publish comes after one that changed the same document."""

    def __init__(self, rival: Callable[[], object]) -> None:
        super().__init__()
        self._rival = rival

    def __call__(self, stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Let the rival go first."""
        if stage.__name__ == "publish":
            self._rival()
        return super().__call__(stage, *args, **kwargs)


@pytest.mark.slow
def test_a_run_that_is_overtaken_without_end_gives_up_and_says_so(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    write_pages(folder, {"a.md": "changed"})
    run(job_for(folder, store))
    rollback(Objects(store), "docs", 1)
    turn = iter([2, 1] * 40)
    late = AlwaysLate(lambda: rollback(Objects(store), "docs", next(turn)))
    write_pages(folder, {"b.md": "changed, too"})

    @contextmanager
    def engines(texts: int) -> Iterator[Engine]:
        yield InlineEngine()

    job = job_for(folder, store)
    with pytest.raises(StoreRefused, match="changed the same documents of table 'docs' 20 times"):
        ingest(job, engines, late)
    assert late.stages.count("embed") == 1
    assert Staging(Objects(store), job.run_id).read_json("run")["state"] == "failed"
