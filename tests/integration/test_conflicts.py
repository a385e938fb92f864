"""Runs at once on one table, from processes of their own, on a folder and on object storage alike."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import lance
import pytest

from pipeline.cache import VectorCache
from pipeline.job import SourceSpec
from pipeline.objects import Objects
from pipeline.store.compaction import compact
from pipeline.store.history import rollback
from pipeline.store.log import Log
from pipeline.store.table import open_version
from tests.endpoint import MeteredEndpoint
from tests.integration.rivals import (
    Rivals,
    create_at_once,
    ingest_at_once,
    ingest_by_another_clock,
    killed_before_its_entry,
    processes,
    publish_at_once,
)
from tests.pipeline.stages.steps import assembled
from tests.storage import S3Server
from tests.support import LOCAL, job_for, metered, rows, run, write_pages

pytestmark = pytest.mark.slow

_ROUNDS = 2

Places = Callable[[], str]
"""Gives the address of another store that is empty."""


@pytest.fixture(scope="module", autouse=True)
def _reachable(s3: S3Server) -> Iterator[None]:
    """Let this process and the rivals reach the S3 server."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.env.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def rivals(_reachable: None) -> Iterator[Rivals]:
    with processes() as found:
        yield found


@pytest.fixture(params=["folder", "object storage"])
def places(request: pytest.FixtureRequest, s3: S3Server, tmp_path: Path) -> Places:
    numbers = iter(range(100))
    on_folders: Places = lambda: str(tmp_path / f"store-{next(numbers)}")  # noqa: E731
    return on_folders if request.param == "folder" else s3.store


def _versions(store: str) -> list[int]:
    return [entry.version for entry in Log(Objects(store), "docs").entries()]


def _uri(store: str) -> str:
    """Where the one generation lies."""
    [generation] = [name for name in Objects(store).folders("tables/docs") if name.endswith(".lance")]
    return Objects(store).at(f"tables/docs/{generation}")


def test_creators_that_race_lose_nothing_of_what_either_appends(places: Places, rivals: Rivals) -> None:
    stores = [places() for _ in range(3)]
    rivals.race(create_at_once, [stores, stores], ["a", "b"])
    for store in stores:
        cache = VectorCache(Objects(store), LOCAL).open()
        assert cache is not None
        assert Counter(cache.to_table()["text_hash"].to_pylist()) == Counter(
            [f"{name}-{number}" for name in "ab" for number in range(3)]
        )
        generation = lance.dataset(f"{store}/tables/docs/1-ab.lance")
        assert [index.name for index in generation.checkout_version(2).describe_indices()] == ["text_idx"]


def test_two_processes_ingesting_one_folder_publish_it_once(
    tmp_path: Path, places: Places, rivals: Rivals
) -> None:
    pages = {f"{n}.md": f"# Page {n}\n\nRivers carry water.\n\n# 頁 {n}\n\n山は高い。" for n in range(6)}
    folder = write_pages(tmp_path / "docs", pages)
    stores = [places() for _ in range(_ROUNDS)]
    jobs = [[job_for(folder, store) for store in stores] for _ in range(2)]
    ours, theirs = rivals.race(ingest_at_once, jobs)
    run(job_for(folder, str(tmp_path / "fresh")))
    for store, one, other in zip(stores, ours, theirs, strict=True):
        assert sorted([one.published, other.published]) == [False, True]
        assert one.version == other.version == 1
        assert _versions(store) == [1]
        assert rows(store).equals(rows(str(tmp_path / "fresh")))


def test_two_processes_with_documents_in_common_end_with_each_document_once(
    tmp_path: Path, places: Places, rivals: Rivals
) -> None:
    pages = {f"{letter}{n}.md": f"# {letter}{n}\n\nPage {n} の本文。" for letter in "abc" for n in range(4)}
    folder = write_pages(tmp_path / "docs", pages)
    sources = [SourceSpec("files", str(folder / glob)) for glob in ("[ab]*.md", "[bc]*.md")]
    stores = [places() for _ in range(_ROUNDS)]
    first = rivals.race(ingest_at_once, [[job_for(source, store) for store in stores] for source in sources])
    # What goes and what comes lies in the fragments of both: each run updates what the other does, too.
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


def test_two_machines_that_publish_one_run_make_one_version_of_it(
    tmp_path: Path, places: Places, rivals: Rivals
) -> None:
    folder = write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}. 頁 {n}。" for n in range(4)})
    for _ in range(_ROUNDS):
        store = places()
        job = job_for(folder, store)
        _, documents = assembled(job)
        assert rivals.race(publish_at_once, [job, job], [documents, documents]) == [1, 1]
        assert _versions(store) == [1]
        assert sorted(rows(store)["doc_id"].to_pylist()) == ["0.md", "1.md", "2.md", "3.md"]


def test_a_run_killed_between_its_commit_and_its_entry_is_completed_by_the_next(
    tmp_path: Path, places: Places
) -> None:
    folder, store = (
        write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}. 頁 {n}。" for n in range(4)}),
        places(),
    )
    with MeteredEndpoint(key="sk-test") as endpoint:
        job = job_for(folder, store, **metered(endpoint.url))
        process = get_context("spawn").Process(target=killed_before_its_entry, args=(job,))
        process.start()
        process.join(60)
        assert process.exitcode == -9
        assert lance.dataset(_uri(store)).count_rows() == 4
        assert Log(Objects(store), "docs").last() is None
        (folder / "3.md").unlink()
        report = run(job_for(folder, store, **metered(endpoint.url)))
        assert (report.version, report.embedding["texts"]) == (1, 0)
        assert endpoint.ledger.billed_more_than_once() == {}
    assert rows(store)["doc_id"].to_pylist().count("3.md") == 0
    assert len(rows(store)) == 3


def test_what_somebody_else_writes_over_a_table_is_undone_by_the_next_publish(
    tmp_path: Path, places: Places
) -> None:
    folder, store = (
        write_pages(tmp_path / "docs", {f"{n}.md": f"Page {n}. 頁 {n}。" for n in range(4)}),
        places(),
    )
    run(job_for(folder, store))
    before = rows(store)
    lance.write_dataset(lance.dataset(_uri(store)).to_table().slice(0, 1), _uri(store), mode="overwrite")
    lance.write_dataset(lance.dataset(_uri(store)).to_table(), _uri(store), mode="append")
    assert rows(store).equals(before)
    write_pages(folder, {"new.md": "New. 新しい。"})
    assert run(job_for(folder, store)).version == 2
    run(job_for(folder, str(tmp_path / "fresh")))
    assert rows(store).equals(rows(str(tmp_path / "fresh")))
    assert rows(store, version=1).equals(before)


def test_clocks_that_differ_by_hours_change_nothing_of_what_is_live(
    tmp_path: Path, places: Places, rivals: Rivals
) -> None:
    folder, store = tmp_path / "docs", places()
    for turn in range(_ROUNDS):
        write_pages(folder, {f"{letter}{turn}.md": f"{letter} {turn}. 頁。" for letter in "ab"})
        sources = [SourceSpec("files", str(folder / f"{letter}*.md")) for letter in "ab"]
        jobs = [job_for(source, store) for source in sources]
        early, late = rivals.race(ingest_by_another_clock, jobs, [-30.0, 30.0])
        assert (early.published, late.published) == (True, True)
    assert _versions(store) == [4, 3, 2, 1]
    published = [entry.published_at for entry in Log(Objects(store), "docs").entries()]
    assert max(published) > min(published)
    run(job_for(folder, str(tmp_path / "fresh")))
    assert rows(store).equals(rows(str(tmp_path / "fresh")))
    assert not run(job_for(folder, store)).published
    assert rollback(Objects(store), "docs", 1).version == 5
    assert rows(store).equals(rows(store, version=1))


def test_a_reader_with_an_old_version_open_sees_it_whole_whatever_is_published(
    tmp_path: Path, places: Places, rivals: Rivals
) -> None:
    folder, store = write_pages(tmp_path / "docs", {"0.md": "First. 最初。"}), places()
    run(job_for(folder, store))
    objects = Objects(store)
    old = open_version(objects, "docs", Log(objects, "docs").live())
    seen = old.to_table()
    for turn in range(1, 4):
        write_pages(folder, {"0.md": f"Turn {turn}. 回。", f"{turn}.md": f"Page {turn}."})
        jobs = [[job_for(folder, store)], [job_for(folder, store)]]
        rivals.race(ingest_at_once, jobs)
        assert old.to_table().equals(seen)
    rollback(objects, "docs", 1)
    compact(objects, Log(objects, "docs"))
    assert old.to_table().equals(seen)
    assert open_version(objects, "docs", Log(objects, "docs").at(1)).to_table().equals(seen)


_RUNS = 10
_FILES = 6


def _scope(number: int) -> Sequence[int]:
    """The files that a run takes: neighbours have some in common."""
    return sorted({(number + step) % _FILES for step in range(3)})


def _table_files(folder: Path) -> None:
    folder.mkdir()
    for file in range(_FILES):
        with (folder / f"{file}.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["id", "body"])
            writer.writerows([f"{file}-{row}", f"row {row} 行"] for row in range(8))


@pytest.mark.timeout(900)
def test_ten_runs_at_once_come_to_what_they_come_to_one_after_another(tmp_path: Path, places: Places) -> None:
    store, folder = places(), tmp_path / "rows"
    _table_files(folder)
    with MeteredEndpoint(key="sk-test", latency=0.02) as endpoint, processes(_RUNS) as contenders:
        jobs = []
        for number in range(_RUNS):
            files = ",".join(map(str, _scope(number)))
            # The template makes each run's documents its own: who came last can be told from the rows.
            source = SourceSpec(
                "rows", str(folder), f"{{{files}}}.csv", f"Run {number}: {{body}} of {{id}}", "id"
            )
            jobs.append(replace(job_for(source, store, **metered(endpoint.url)), delete_missing=False))
        reports = [report for [report] in contenders.race(ingest_at_once, [[job] for job in jobs])]
        assert endpoint.ledger.billed_more_than_once() == {}
    assert [report.published for report in reports] == [True] * _RUNS
    entries = Log(Objects(store), "docs").entries()[::-1]
    assert [entry.version for entry in entries] == list(range(1, _RUNS + 1))
    number_of = {job.run_id: number for number, job in enumerate(jobs)}
    assert sorted(number_of[entry.run_id] for entry in entries) == list(range(_RUNS))
    expected: dict[str, str] = {}
    for entry in entries:
        number = number_of[entry.run_id]
        for file in _scope(number):
            expected |= {f"{file}-{row}": f"Run {number}: row {row} 行 of {file}-{row}" for row in range(8)}
        table = rows(store, version=entry.version)
        found = list(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))
        assert sorted(found) == sorted(expected.items())
