"""Versions by number, name and time."""

import re
import time
from dataclasses import asdict

import orjson
import pytest

from pipeline.errors import InputError
from pipeline.objects import Objects
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.log import Entry, Log
from pipeline.store.versions import entry_at, versions
from tests.support import LOCAL


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
    assert Log(hourly, "docs").at_time(Log(hourly, "docs").at(9).time).version == 9
    assert len(read) < 10
