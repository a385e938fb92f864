"""Versions by number, name and time, and rollback: a new version with old content."""

import re
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import lance
import orjson
import pytest

from pipeline.errors import InputError, StoreRefused
from pipeline.model import SplitterSpec
from pipeline.objects import Objects
from pipeline.store.history import entry_at, rollback, versions
from pipeline.store.log import Entry, Log
from pipeline.store.names import Names
from pipeline.store.table import generation_uri
from tests.pipeline.stages.steps import listing
from tests.support import LOCAL, job_for, rows, run, write_pages

Publish = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "docs"


@pytest.fixture
def publish(folder: Path, store: str) -> Publish:
    """Write pages and ingest the folder."""

    def publish(**pages: str) -> None:
        write_pages(folder, {f"{name}.md": text for name, text in pages.items()})
        run(job_for(folder, store))

    return publish


def _log(store: str) -> Log:
    return Log(Objects(store), "docs")


def test_a_rollback_is_a_new_version_with_the_old_content(publish: Publish, store: str) -> None:
    publish(a="first", b="二つ目")
    publish(a="changed")
    before = rows(store, version=1)
    entry = rollback(Objects(store), "docs", 1)
    assert (entry.version, entry.kind, entry.counts) == (3, "rollback", {"to": 1})
    assert entry == _log(store).live()
    assert rows(store).equals(before)
    assert [one.version for one in _log(store).entries()] == [3, 2, 1]
    assert entry.run_id not in {one.run_id for one in _log(store).entries()[1:]}


def test_rolling_back_to_what_is_live_already_adds_nothing(publish: Publish, store: str) -> None:
    publish(a="first")
    publish(a="second")
    assert rollback(Objects(store), "docs", 2).version == 2
    assert rollback(Objects(store), "docs", 1).version == rollback(Objects(store), "docs", 1).version == 3
    assert len(_log(store).entries()) == 3


def test_a_rollback_can_be_rolled_back_and_rolled_back_to(publish: Publish, store: str) -> None:
    publish(a="first")
    publish(a="second")
    second = rows(store)
    rollback(Objects(store), "docs", 1)
    assert rollback(Objects(store), "docs", 2).version == 4
    assert rows(store).equals(second)
    assert rollback(Objects(store), "docs", 3).version == 5
    assert rows(store).equals(rows(store, version=1))


@pytest.mark.parametrize("version", [0, -1, 2])
def test_an_unknown_version_is_refused_and_nothing_changes(
    publish: Publish, store: str, version: int
) -> None:
    publish(a="first")
    before = listing(store)
    with pytest.raises(InputError, match=f"no version {version}; it has 1 to 1"):
        rollback(Objects(store), "docs", version)
    with pytest.raises(InputError, match=r"there is no table 'other' in .*; the store has docs"):
        rollback(Objects(store), "other", 1)
    assert listing(store) == before


def test_a_version_whose_data_is_gone_is_refused(publish: Publish, store: str) -> None:
    publish(a="first")
    publish(a="second")
    first = _log(store).at(1)
    uri = generation_uri(Objects(store), "docs", first.generation)
    lance.dataset(uri).cleanup_old_versions(older_than=timedelta(0))
    with pytest.raises(StoreRefused, match="version 1 of table 'docs' is gone"):
        rollback(Objects(store), "docs", 1)
    assert _log(store).live().version == 2


def test_the_next_run_builds_on_the_content_that_was_rolled_back_to(
    publish: Publish, folder: Path, store: str
) -> None:
    publish(a="kept", b="before")
    (folder / "b.md").write_text("after", "utf-8")
    publish(c="new")
    rollback(Objects(store), "docs", 1)
    report = run(job_for(folder, store))
    assert (report.version, report.documents.new, report.documents.changed) == (4, 1, 1)
    assert report.embedding["texts"] == 0  # version 2 paid for them
    assert rows(store).equals(rows(store, version=2))


def test_the_tag_live_follows_publishes_and_rollbacks(publish: Publish, store: str) -> None:
    for text in ("first", "second"):
        publish(a=text)
        assert _tagged(store) == _log(store).live().lance_version
    rollback(Objects(store), "docs", 1)
    assert _tagged(store) == _log(store).live().lance_version == _log(store).at(1).lance_version


def test_an_entry_is_json_as_it_stands(publish: Publish, store: str) -> None:
    publish(a="first")
    publish(a="second")
    entry = rollback(Objects(store), "docs", 1)
    record = orjson.loads(orjson.dumps(entry))
    assert record["version"] == 3
    assert record["space"]["model"] == "wordllama"
    assert record["splitter"]["max_tokens"] == 64


def test_a_rollback_goes_to_a_name_or_a_time_as_well(publish: Publish, store: str) -> None:
    publish(a="first")
    publish(a="second")
    Names(Objects(store), "docs").give(1, "good")
    assert rollback(Objects(store), "docs", "good").counts == {"to": 1}
    assert rollback(Objects(store), "docs", _log(store).at(2).published_at).counts == {"to": 2}
    assert rows(store).equals(rows(store, version=2))


@pytest.fixture
def hourly(store: str) -> Objects:
    """A log of 24 versions, published at the full hours of a day in UTC."""
    objects = Objects(store, create=True)
    log = Log(objects, "docs")
    splitter = orjson.loads(orjson.dumps(SplitterSpec(max_tokens=64)))
    for hour in range(24):
        at = f"2026-11-26T{hour:02d}:00:00.000+00:00"
        counts = {"documents": {"new": hour}}
        entry = Entry(hour + 1, "ingest", "1-ab", 7, f"run-{hour}", at, 5, asdict(LOCAL), splitter, counts)
        assert log.append(entry)
    return objects


@pytest.mark.parametrize(
    ("at", "version"),
    [
        (None, 24),
        ("live", 24),
        (3, 3),
        ("3", 3),
        ("03", 3),
        ("2026-11-26T10:00Z", 11),
        ("2026-11-26T10:00:00.001+00:00", 11),
        ("2026-11-26 10:59:59Z", 11),
        ("2026-11-26T09:59:59.999+00:00", 10),
        ("2026-11-26T10:00+09:00", 2),
        ("2026-11-27T00:00+09:00", 16),
        ("2030-01-01", 24),
    ],
)
def test_a_version_is_found_by_number_or_by_time(hourly: Objects, at: int | str | None, version: int) -> None:
    assert entry_at(hourly, "docs", at).version == version


def test_a_time_without_a_zone_is_the_local_one(hourly: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for zone in ("Asia/Tokyo", "UTC", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        found[zone] = entry_at(hourly, "docs", "2026-11-26T10:00").version
    monkeypatch.undo()
    time.tzset()
    assert found == {"Asia/Tokyo": 2, "UTC": 11, "America/New_York": 16}


def test_a_time_before_the_first_version_is_refused_with_when_that_was(hourly: Objects) -> None:
    said = "table 'docs' had no version at 2026-11-25 23:59:59+00:00; its first is of 2026-11-26 00:00:00"
    with pytest.raises(InputError, match=re.escape(said)):
        entry_at(hourly, "docs", "2026-11-25T23:59:59Z")


def test_a_name_is_found_before_anything_else_is_tried(hourly: Objects) -> None:
    hourly.put("tables/docs/names/v-2026.json", b'{"version": 5}')
    assert entry_at(hourly, "docs", "v-2026").version == 5
    [row] = [row for row in versions(hourly, "docs") if row["names"]]
    assert (row["version"], row["names"], row["counts"]) == (5, ["v-2026"], {"documents": {"new": 4}})


@pytest.mark.parametrize("at", ["nope", "", "-1", "2026-13-01", "three", "１", "0001-01-01T00:00+14:00"])
def test_what_is_no_version_is_refused_with_what_can_be_said(hourly: Objects, at: str) -> None:
    with pytest.raises(
        InputError, match=r"has no version .*: write a number, a name, or a time|had no version"
    ):
        entry_at(hourly, "docs", at)
    with pytest.raises(InputError, match="there is no table 'other'"):
        entry_at(hourly, "other", at)


def test_few_entries_are_read_to_find_a_time(hourly: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    get = Objects.get

    def counting(objects: Objects, path: str) -> bytes | None:
        read.append(path)
        return get(objects, path)

    monkeypatch.setattr(Objects, "get", counting)
    assert Log(hourly, "docs").at_time(_log(hourly.uri).at(9).time).version == 9
    assert len(read) < 10


def _tagged(store: str) -> int:
    uri = generation_uri(Objects(store), "docs", _log(store).live().generation)
    version: int = lance.dataset(uri, version="live").version
    return version
