"""Retention gives back old versions, and never one that is named, live, or may still be read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects
from pipeline.store.history import rollback
from pipeline.store.keep import Keep
from pipeline.store.log import Entry, Log
from pipeline.store.retention import Reclaimed, kept, retain
from pipeline.store.table import open_version
from tests.support import job_for, rows, run, write_pages

_NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
_ALL_OLD = Keep(versions=1, days=0, grace=0)


def _entry(version: int, hours_ago: float, lance: int | None = None) -> Entry:
    published = (_NOW - timedelta(hours=hours_ago)).isoformat(timespec="milliseconds")
    return Entry(version, "ingest", "1-a", lance or version + 2, f"run {version}", published, 1, {}, {})


def _kept(entries: list[Entry], keep: Keep, named: tuple[int, ...] = ()) -> list[int]:
    return sorted(entry.version for entry in kept(entries, keep, named, _NOW)[0])


def test_the_newest_versions_stay_and_those_that_were_live_a_while_ago() -> None:
    entries = [_entry(4, 1), _entry(3, 50), _entry(2, 100), _entry(1, 1000)]
    assert _kept(entries, Keep(1, 0, 0)) == [4]
    assert _kept(entries, Keep(2, 0, 0)) == [3, 4]
    assert _kept(entries, Keep(1, 2, 0)) == [3, 4]  # version 3 was live until an hour ago
    assert _kept(entries, Keep(1, 3, 0)) == [2, 3, 4]  # and 2 until fifty hours ago
    assert _kept(entries, Keep(1, 0, 2)) == [3, 4]  # somebody may have begun to read it then
    assert _kept(entries, Keep(1, 0, 0), (1,)) == [1, 4]


def test_what_was_live_when_the_oldest_run_began_stays_while_that_goes_on() -> None:
    entries = [_entry(4, 1), _entry(3, 50), _entry(2, 100), _entry(1, 1000)]
    began = _NOW - timedelta(hours=60)
    assert [one.version for one in kept(entries, _ALL_OLD, (), _NOW, began)[0]] == [4, 3, 2]
    assert [one.version for one in kept(entries, _ALL_OLD, (), _NOW, _NOW)[0]] == [4]


def test_what_a_kept_version_goes_back_to_stays_with_it() -> None:
    entries = [_entry(3, 1, lance=3), _entry(2, 50), _entry(1, 100)]
    assert _kept(entries, Keep(1, 0, 0)) == [1, 3]


@given(
    st.lists(st.floats(0, 2000), min_size=1, max_size=30),
    st.integers(1, 40),
    st.floats(0, 90),
    st.floats(0, 100),
    st.sets(st.integers(1, 30)),
)
def test_the_live_version_and_named_ones_always_stay_and_nothing_is_lost_count_of(
    hours: list[float], versions: int, days: float, grace: float, named: set[int]
) -> None:
    ages = sorted(hours)
    entries = [_entry(len(ages) - place, age) for place, age in enumerate(ages)]
    stays, goes = kept(entries, Keep(versions, days, grace), named, _NOW)
    assert entries[0] in stays
    assert {entry.version for entry in goes}.isdisjoint(named)
    assert sorted(entry.version for entry in (*stays, *goes)) == list(range(1, len(ages) + 1))
    assert len(stays) >= min(versions, len(entries))


@pytest.mark.parametrize("wrong", [{"versions": 0}, {"days": -1.0}, {"grace": -1.0}])
def test_a_policy_that_keeps_less_than_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Keep(**wrong)  # type: ignore[arg-type]


@pytest.fixture
def published(tmp_path: Path, store: str) -> Objects:
    """A table of five versions."""
    for number in range(5):
        folder = write_pages(
            tmp_path / "docs", {f"{number}.md": f"Page {number}, 第{number}頁。", "same.md": "same"}
        )
        run(job_for(folder, store))
    return Objects(store)


def test_old_versions_go_and_the_rest_reads_as_before(published: Objects, store: str) -> None:
    before = {version: rows(store, version=version) for version in (2, 5)}
    found = retain(published, "docs", _ALL_OLD, named=[2])
    assert (found.versions, found.generations) == (3, 0)
    assert found.bytes > 0
    for version, content in before.items():
        assert rows(store, version=version).equals(content)
    for version in (1, 3, 4):
        with pytest.raises(StoreRefused, match="is gone"):
            open_version(published, "docs", Log(published, "docs").at(version))
    assert [entry.version for entry in Log(published, "docs").entries()] == [5, 4, 3, 2, 1]
    assert retain(published, "docs", _ALL_OLD, named=[2]) == Reclaimed()


def test_a_dry_run_says_what_would_go_and_takes_nothing(published: Objects, store: str) -> None:
    assert retain(published, "docs", _ALL_OLD, dry_run=True).versions == 4
    assert len(rows(store, version=1)) == 2


def test_what_was_live_within_the_grace_time_stays_whatever_else_is_said(
    published: Objects, store: str
) -> None:
    assert retain(published, "docs", Keep(versions=1, days=0, grace=24)) == Reclaimed()
    assert len(rows(store, version=1)) == 2


def test_the_versions_of_a_run_under_way_stay_until_it_is_over(published: Objects, store: str) -> None:
    began = datetime.now(UTC) - timedelta(hours=1)
    assert retain(published, "docs", _ALL_OLD, since=began) == Reclaimed()
    assert len(rows(store, version=1)) == 2
    assert retain(published, "docs", _ALL_OLD).versions == 4


def test_a_table_goes_on_after_it(published: Objects, tmp_path: Path, store: str) -> None:
    retain(published, "docs", _ALL_OLD)
    folder = write_pages(tmp_path / "docs", {"new.md": "A new page."})
    assert run(job_for(folder, store)).version == 6
    assert rollback(published, "docs", 5).version == 7
    assert len(rows(store)) == 6
