"""Maintenance: less to read, less to keep, and every reader sees the same rows as before."""

import os
import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lance
import pytest

from pipeline.job import Endpoint
from pipeline.objects import Objects
from pipeline.search.find import search
from pipeline.stages.context import Context
from pipeline.store.compaction import compact
from pipeline.store.keep import Keep
from pipeline.store.log import Log
from pipeline.store.orphans import orphans
from pipeline.store.table import generation_uri
from pipeline.upkeep import Upkeep
from tests.pipeline.stages.steps import assembled, listing
from tests.support import job_for, rows, run, write_pages

_KEEP = Keep(versions=1, days=0, grace=0)


def _maintain(store: str, keep: Keep = _KEEP, *, dry_run: bool = False) -> dict[str, Any]:
    return Upkeep(Objects(store), keep, dry_run).run()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that a dozen small runs have filled, and beside it their documents."""
    made = tmp_path_factory.mktemp("filled")
    for number in range(12):
        page = f"Page {number} tells of mountains. 第{number}頁は山の話。"
        run(job_for(write_pages(made / "docs", {f"{number}.md": page}), str(made / "store")))
    return made


@pytest.fixture
def folder(filled: Path, tmp_path: Path, store: str) -> Iterator[Path]:
    """Documents of a table that a dozen small runs have filled, each test's own for as long as it takes."""
    shutil.copytree(filled / "store", store)
    kept = shutil.copytree(filled / "docs", tmp_path / "kept")
    yield filled / "docs"
    shutil.rmtree(filled / "docs")
    kept.rename(filled / "docs")


def _dataset(store: str) -> lance.LanceDataset:
    objects = Objects(store)
    entry = Log(objects, "docs").live()
    return lance.dataset(generation_uri(objects, "docs", entry.generation), version=entry.lance_version)


def test_small_fragments_become_one_version_with_the_same_rows_and_an_index_that_knows_them(
    folder: Path, store: str
) -> None:
    before = rows(store)
    done = _maintain(store)
    compaction = done["tables"]["docs"]["compaction"]
    assert (compaction["fragments_before"], compaction["fragments_after"]) == (12, 1)
    assert compaction["version"] == 13
    assert rows(store).equals(before)
    entry = Log(Objects(store), "docs").live()
    assert (entry.kind, entry.chunks) == ("maintain", 12)
    dataset = _dataset(store)
    assert [
        dataset.stats.index_stats(one.name)["num_unindexed_rows"] for one in dataset.describe_indices()
    ] == [0]
    for query in ("mountains", "山"):
        assert len(search(Objects(store), "docs", query, endpoint=Endpoint(), mode="text", top_k=20)) == 12


def test_what_is_maintained_already_is_left_alone(folder: Path, store: str) -> None:
    _maintain(store)
    before = listing(store)
    done = _maintain(store)
    assert done["tables"]["docs"]["compaction"]["version"] is None
    assert listing(store) == before


def test_a_dry_run_changes_nothing_and_says_what_would_be_done(folder: Path, store: str) -> None:
    before = listing(store)
    done = _maintain(store, dry_run=True)
    assert listing(store) == before
    table = done["tables"]["docs"]
    assert table["compaction"]["fragments_before"] == 12
    assert table["retention"]["versions"] == 11
    assert done["cache"]


def test_the_next_run_builds_on_what_maintenance_has_made(folder: Path, store: str) -> None:
    _maintain(store)
    write_pages(folder, {"0.md": "Another page.", "new.md": "A new page. 新しい頁。"})
    report = run(job_for(folder, store))
    assert (report.version, report.chunks.inserted, report.chunks.deleted) == (14, 2, 1)
    assert len(rows(store)) == 13
    assert len(_dataset(store).get_fragments()) == 2


def _orphan(folder: Path, store: str) -> Context:
    """What a run leaves that is killed before its commit."""
    write_pages(folder, {"lost.md": "A page that was never published."})
    return assembled(job_for(folder, store))[0]


def _data(store: str) -> set[str]:
    return {path.name for path in Path(store).glob("tables/docs/*.lance/data/*")}


def test_files_of_a_killed_run_go_and_those_of_a_run_under_way_stay(folder: Path, store: str) -> None:
    _maintain(store)
    before = _data(store)
    context = _orphan(folder, store)
    lost = _data(store) - before
    assert len(lost) == 1
    record = {
        "run_id": context.job.run_id,
        "table": "docs",
        "pipeline": None,
        "state": "running",
        "started_at": "2026-11-26",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "job": context.job.record(),
    }
    context.staging.write_json("run", record)
    assert _maintain(store)["tables"]["docs"]["orphans"]["files"] == 0
    context.staging.write_json("run", {**record, "pid": 2**22 + 1})
    young = _maintain(store, Keep(1, 0, grace=1))
    assert young["tables"]["docs"]["orphans"]["files"] == 0
    assert young["runs"]["files"] > 0
    assert _maintain(store)["tables"]["docs"]["orphans"]["files"] == 1
    assert lost.isdisjoint(_data(store))
    assert run(job_for(folder, store)).chunks.inserted == 1


def test_a_reader_with_an_old_version_open_is_not_disturbed_within_the_grace_time(
    folder: Path, store: str
) -> None:
    old = _dataset(store)
    _maintain(store, Keep(versions=1, days=0, grace=1))
    assert old.count_rows() == 12
    assert old.to_table(columns=["text"]).num_rows == 12


def test_a_file_that_only_an_old_version_has_is_no_orphan(folder: Path, store: str) -> None:
    """Files are told from orphans by all versions, however few of them are opened."""
    objects = Objects(store)
    compact(objects, Log(objects, "docs"))
    assert orphans(objects, "docs", (), 0) == {}
    context = _orphan(folder, store)
    [lost] = orphans(objects, "docs", (), 0)
    assert rows(store, version=3).num_rows == 3
    assert context.staging.read_json("fragments")["fragments"][0].count(lost.rpartition("/")[2]) == 1


def test_what_a_run_under_way_reads_is_kept_however_old_it_is(folder: Path, store: str) -> None:
    context = _orphan(folder, store)
    began = datetime.now(UTC) - timedelta(days=90)
    record = {
        "run_id": context.job.run_id, "table": "docs", "kind": "backfill", "pipeline": None,
        "state": "running", "started_at": began.isoformat(), "host": socket.gethostname(), "pid": os.getpid(),
        "job": context.job.record(),
    }  # fmt: skip
    context.staging.write_json("run", record)
    tight = Keep(versions=1, days=0, grace=0, cache_size=0)
    done = _maintain(store, tight)
    assert done["tables"]["docs"]["retention"]["versions"] == 0
    assert (done["evicted"]["texts"], done["evicted"]["bytes_over"]) == (0, done["evicted"]["bytes_before"])
    assert rows(store, version=1).num_rows == 1
    context.staging.write_json("run", {**record, "pid": 2**22 + 1})  # killed: it may be taken up
    done = _maintain(store, Keep(versions=1, days=365, grace=0, cache_size=0))
    assert done["evicted"]["texts"] == 0
    context.staging.write_json("run", {**record, "state": "finished"})
    assert _maintain(store, tight)["evicted"]["texts"] > 0  # all but what came in this very second
