"""Runs that race in real processes, runs that are killed, and a store that is full."""

import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import lance
import pytest

from pipeline.cache import VectorCache
from pipeline.errors import StoreRefused
from pipeline.model import Endpoint, SourceSpec
from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.endpoint import MeteredEndpoint
from tests.integration.rivals import (
    Rivals,
    create_at_once,
    ingest_at_once,
    killed_before_its_entry,
    two_processes,
)
from tests.support import LOCAL, job_for, metered, rows, run, write_pages

_ROUNDS = 2


@pytest.fixture(scope="module")
def rivals() -> Iterator[Rivals]:
    with two_processes() as found:
        yield found


def _versions(store: str) -> list[int]:
    return [entry.version for entry in Log(Objects(store), "docs").entries()]


def test_creators_that_race_lose_nothing_of_what_either_appends(tmp_path: Path, rivals: Rivals) -> None:
    stores = [str(tmp_path / f"store-{number}") for number in range(5)]
    rivals.race(create_at_once, [stores, stores], ["a", "b"])
    for store in stores:
        cache = VectorCache(Objects(store), LOCAL).open()
        assert cache is not None
        assert Counter(cache.to_table()["text_hash"].to_pylist()) == Counter(
            [f"{name}-{number}" for name in "ab" for number in range(3)]
        )
        generation = lance.dataset(f"{store}/tables/docs/1-ab.lance")
        assert [index.name for index in generation.checkout_version(2).describe_indices()] == ["text_idx"]


def test_two_processes_ingesting_one_folder_publish_it_once(tmp_path: Path, rivals: Rivals) -> None:
    pages = {f"{n}.md": f"# Page {n}\n\nRivers carry water.\n\n# 頁 {n}\n\n山は高い。" for n in range(6)}
    folder = write_pages(tmp_path / "docs", pages)
    stores = [str(tmp_path / f"store-{number}") for number in range(_ROUNDS)]
    jobs = [[job_for(folder, store) for store in stores] for _ in range(2)]
    ours, theirs = rivals.race(ingest_at_once, jobs)
    run(job_for(folder, str(tmp_path / "fresh")))
    for store, one, other in zip(stores, ours, theirs, strict=True):
        assert sorted([one.published, other.published]) == [False, True]
        assert one.version == other.version == 1
        assert _versions(store) == [1]
        assert rows(store).equals(rows(str(tmp_path / "fresh")))


def test_two_processes_with_documents_in_common_end_with_each_document_once(
    tmp_path: Path, rivals: Rivals
) -> None:
    pages = {f"{letter}{n}.md": f"# {letter}{n}\n\nPage {n} の本文。" for letter in "abc" for n in range(4)}
    folder = write_pages(tmp_path / "docs", pages)
    sources = [SourceSpec("files", str(folder / glob)) for glob in ("[ab]*.md", "[bc]*.md")]
    stores = [str(tmp_path / f"store-{number}") for number in range(_ROUNDS)]
    first = rivals.race(ingest_at_once, [[job_for(source, store) for store in stores] for source in sources])
    for name in ("a1.md", "b1.md", "c1.md"):
        (folder / name).unlink()
        write_pages(folder, {name.replace("1", "2"): "Changed. 変更。", name.replace("1", "9"): "New."})
    rivals.race(ingest_at_once, [[job_for(source, store) for store in stores] for source in sources])
    fresh = str(tmp_path / "fresh")
    run(job_for(folder, fresh))
    for store, one, other in zip(stores, *first, strict=True):
        assert (one.published, other.published) == (True, True)
        assert sum(report.documents.new for report in (one, other)) == len(pages)
        assert _versions(store) == [4, 3, 2, 1]
        assert rows(store).equals(rows(fresh))


def test_a_run_killed_between_its_commit_and_its_entry_is_completed_by_the_next(
    tmp_path: Path, store: str
) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}. 頁 {n}。" for n in range(4)})
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = job_for(folder, store, **metered(endpoint.url))
        process = get_context("spawn").Process(target=killed_before_its_entry, args=(job,))
        process.start()
        process.join(60)
        assert process.exitcode == -9
        [generation] = Path(store, "tables/docs").glob("*.lance")
        assert lance.dataset(generation).count_rows() == 4
        assert Log(Objects(store), "docs").last() is None
        (folder / "3.md").unlink()
        report = run(job_for(folder, store, **metered(endpoint.url)))
        assert (report.version, report.embedding["texts"]) == (1, 0)
        assert endpoint.ledger.billed_more_than_once() == {}
    assert rows(store)["doc_id"].to_pylist().count("3.md") == 0
    assert len(rows(store)) == 3


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("size", "behind"), [(8_000, "chunks/"), (30_000, "spool/"), (80_000, "cache/"), (140_000, "tables/docs")]
)
def test_a_store_that_is_full_refuses_with_exit_code_7_and_the_live_version_stays(
    tmp_path: Path, store: str, size: int, behind: str
) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "First."})
    run(job_for(folder, store))
    before = rows(store)
    write_pages(folder, {"b.md": "\n\n".join(f"# Part {n}\n\nText of part {n}." for n in range(400))})
    job = job_for(folder, store, endpoint=Endpoint(batch_inputs=150))
    with _files_of_at_most(size), pytest.raises(StoreRefused, match=behind) as refused:
        run(job)
    assert refused.value.exit_code == 7
    assert _versions(store) == [1]
    assert rows(store).equals(before)
    assert run(job_for(folder, store)).version == 2
    assert len(rows(store)) == 401


def test_a_store_whose_folder_became_a_file_refuses_with_exit_code_7(tmp_path: Path, store: str) -> None:
    folder = write_pages(tmp_path / "docs", {"a.md": "First."})
    run(job_for(folder, store))
    write_pages(folder, {"a.md": "Second."})
    [cache] = Path(store, "cache").iterdir()
    for path in (cache / "data").iterdir():
        path.unlink()
    (cache / "data").rmdir()
    (cache / "data").write_text("in the way", "utf-8")
    with pytest.raises(StoreRefused, match="cache") as refused:
        run(job_for(folder, store))
    assert refused.value.exit_code == 7
    assert rows(store)["text"].to_pylist() == ["First."]
