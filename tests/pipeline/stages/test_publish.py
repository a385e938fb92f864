"""publish: one log entry makes a run's rows live, on top of whatever readers see by then."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import lance
import pyarrow.compute as pc
import pytest

from pipeline.engine import InlineEngine
from pipeline.errors import InputError
from pipeline.job import Budget
from pipeline.ledger import Ledger
from pipeline.model import ChunkCounts, DocumentCounts
from pipeline.objects import Objects
from pipeline.ports import P, T
from pipeline.run import ingest
from pipeline.stages.assemble import FRAGMENTS
from pipeline.stages.context import Context
from pipeline.stages.diff import ADDRESSES
from pipeline.stages.publish import publish
from pipeline.staging import replaced_documents
from pipeline.store.history import rollback
from pipeline.store.log import Log
from pipeline.store.table import Change, commit, generation_uri, open_version
from tests.pipeline.stages.steps import assembled
from tests.support import job_for, rows, run, write_pages


def _texts(store: str, version: int | None = None) -> list[str]:
    found: list[str] = rows(store, version=version)["text"].to_pylist()
    return sorted(found)


def _commit_without_entry(context: Context) -> None:
    """What a run has done that is killed right before its log entry."""
    staged = context.staging.read_json(FRAGMENTS)
    uri = generation_uri(context.store, context.job.table, staged["generation"])
    held = context.staging.read_table(ADDRESSES)
    replaced = held.filter(pc.is_in(held["doc_id"], replaced_documents(context.staging)["doc_id"]))
    addresses = replaced["address"].combine_chunks()
    assert commit(uri, None, context.live, Change(staged["fragments"], addresses, {}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", {"a.md": "first", "b.md": "二つ目"})


def test_a_publish_counts_what_it_did_and_its_entry_says_so(folder: Path, store: str) -> None:
    context, documents = assembled(job_for(folder, store))
    published = publish(context, documents)
    assert published is not None
    assert (published.version, published.chunks) == (1, ChunkCounts(inserted=2))
    entry = Log(context.store, "docs").live()
    assert (entry.run_id, entry.kind, entry.chunks) == (context.job.run_id, "ingest", 2)
    assert entry.specs() == (context.job.space, context.job.splitter)
    assert entry.counts["documents"]["new"] == 2
    dataset = open_version(context.store, "docs", entry)
    transaction = dataset.read_transaction(entry.lance_version)
    assert transaction is not None
    assert transaction.transaction_properties is not None
    assert transaction.transaction_properties["vecmill.run_id"] == context.job.run_id


def test_a_chunk_that_only_moved_counts_as_unchanged(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "# A\n\nstays\n\n# B\n\ngoes", "b.md": "untouched"})
    run(job_for(folder, store))
    write_pages(folder, {"a.md": "# C\n\ncomes\n\n# A\n\nstays"})
    report = run(job_for(folder, store))
    assert report.chunks == ChunkCounts(inserted=1, unchanged=1, deleted=1)
    moved = rows(store).to_pylist()
    assert [(row["ordinal"], row["start"]) for row in moved if "stays" in row["text"]] == [(1, 12)]


def test_a_run_is_published_once_however_often_its_publish_is_repeated(folder: Path, store: str) -> None:
    context, documents = assembled(job_for(folder, store))
    first, second = publish(context, documents), publish(context, documents)
    assert first == second
    assert [entry.run_id for entry in context.log.entries()] == [context.job.run_id]
    assert _texts(store) == ["first", "二つ目"]


def test_what_a_killed_run_committed_does_not_leak_into_the_next_version(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    write_pages(folder, {"a.md": "half done", "c.md": "half done, too"})
    _commit_without_entry(assembled(job_for(folder, store))[0])
    assert _texts(store) == ["first", "二つ目"]
    write_pages(folder, {"a.md": "after"})
    (folder / "c.md").unlink()
    assert run(job_for(folder, store)).version == 2
    assert _texts(store) == ["after", "二つ目"]


def test_a_first_run_killed_between_commit_and_entry_is_completed_by_the_next(
    folder: Path, store: str
) -> None:
    _commit_without_entry(assembled(job_for(folder, store))[0])
    assert Log(Objects(store), "docs").last() is None
    report = run(job_for(folder, store))
    assert (report.version, report.embedding["texts"]) == (1, 0)
    assert _texts(store) == ["first", "二つ目"]


def test_a_run_that_others_did_not_touch_goes_on_top_of_their_version(tmp_path: Path, store: str) -> None:
    one = write_pages(tmp_path / "one", {"a.md": "first"})
    two = write_pages(tmp_path / "two", {"b.md": "second"})
    run(job_for(one, store))
    write_pages(one, {"a.md": "first, changed"})
    context, documents = assembled(job_for(one, store))
    run(job_for(two, store))
    published = publish(context, documents)
    assert published is not None
    assert published.version == 3
    assert _texts(store) == ["first, changed", "second"]


def test_a_first_publish_that_comes_second_goes_on_top_of_the_first(tmp_path: Path, store: str) -> None:
    context, documents = assembled(job_for(write_pages(tmp_path / "one", {"a.md": "first"}), store))
    run(job_for(write_pages(tmp_path / "two", {"b.md": "second"}), store))
    published = publish(context, documents)
    assert published is not None
    assert (published.version, _texts(store)) == (2, ["first", "second"])


def test_a_run_whose_documents_another_published_has_to_look_again(folder: Path, store: str) -> None:
    context, documents = assembled(job_for(folder, store))
    run(job_for(folder, store))
    assert publish(context, documents) is None
    assert len(context.log.entries()) == 1


def test_a_run_overtaken_by_a_rollback_has_to_look_again(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    write_pages(folder, {"a.md": "changed"})
    run(job_for(folder, store))
    write_pages(folder, {"b.md": "changed, too"})
    context, documents = assembled(job_for(folder, store))
    rollback(context.store, "docs", 1)
    assert publish(context, documents) is None
    assert run(job_for(folder, store)).documents == DocumentCounts(changed=2)
    assert _texts(store) == ["changed", "changed, too"]


def test_a_document_of_another_source_that_came_first_is_not_replaced(tmp_path: Path, store: str) -> None:
    one = write_pages(tmp_path / "one", {"readme.md": "the first"})
    two = write_pages(tmp_path / "two", {"readme.md": "the second"})
    context, documents = assembled(job_for(two, store))
    run(job_for(one, store))
    with pytest.raises(InputError, match=r"already holds 'readme\.md' from .*/one/readme\.md"):
        publish(context, documents)
    assert _texts(store) == ["the first"]


def test_a_table_switched_to_another_generation_is_not_published_into(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    write_pages(folder, {"a.md": "changed"})
    context, documents = assembled(job_for(folder, store))
    live = context.log.live()
    assert context.log.append(replace(live, version=2, generation="2-ffffffff", kind="switch"))
    assert publish(context, documents) is None


def test_readers_of_an_old_version_are_not_disturbed(folder: Path, store: str) -> None:
    run(job_for(folder, store))
    reader = open_version(Objects(store), "docs", Log(Objects(store), "docs").live())
    before = reader.to_table()
    for text in ("second edition", "third edition"):
        write_pages(folder, {"a.md": text, "b.md": f"{text} も"})
        run(job_for(folder, store))
    assert reader.to_table().equals(before)
    assert _texts(store, version=1) == ["first", "二つ目"]
    assert _texts(store, version=2) == ["second edition", "second edition も"]


@dataclass
class Overtaken:
    """A runner that lets a rival go first, once, right before the run publishes."""

    rival: Callable[[], None]
    passed: bool = False

    def __call__(self, stage: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a stage here."""
        if stage.__name__ == "publish" and not self.passed:
            self.passed = True
            self.rival()
        return stage(*args, **kwargs)


def test_a_run_overtaken_between_its_diff_and_its_publish_begins_again_by_itself(
    folder: Path, store: str
) -> None:
    def rival() -> None:
        run(job_for(folder, store))
        write_pages(folder, {"c.md": "another page"})

    report = ingest(job_for(folder, store), lambda _: nullcontext(InlineEngine()), Overtaken(rival))
    assert (report.version, report.documents) == (2, DocumentCounts(new=1, unchanged=2))
    assert (report.embedding["texts"], report.embedding["cache_hits"]) == (3, 0)
    assert _texts(store) == ["another page", "first", "二つ目"]
    assert lance.dataset(_uri(store)).count_rows() == 3


def test_what_an_earlier_round_found_wrong_is_forgotten_where_it_was_mended(folder: Path, store: str) -> None:
    (folder / "c.md").write_bytes(b"\xff\xfe\x00" * 30)

    def rival() -> None:
        write_pages(folder, {"c.md": "mended"})
        run(job_for(folder, store))
        write_pages(folder, {"a.md": "changed"})

    job = job_for(folder, store, budget=Budget(failures=1))
    report = ingest(job, lambda _: nullcontext(InlineEngine()), Overtaken(rival))
    assert report.documents == DocumentCounts(changed=1, unchanged=2)
    assert Ledger(Objects(store)).run(job.run_id)["dead_letters"] == []
    assert _texts(store) == ["changed", "mended", "二つ目"]


def _uri(store: str) -> str:
    return generation_uri(Objects(store), "docs", Log(Objects(store), "docs").live().generation)
