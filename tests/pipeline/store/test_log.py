"""The publish log: creating an entry only if it is absent is what commits."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from threading import Barrier

import orjson
import pytest

from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.splitter_spec import SplitterSpec
from pipeline.store.log import Entry, Log, published_tables
from tests.support import LOCAL

_SPLITTER = SplitterSpec(max_tokens=64)
_AS_JSON = orjson.loads(orjson.dumps(_SPLITTER))  # which has lists for tuples


def _entry(version: int, run_id: str = "run", lance_version: int = 7) -> Entry:
    at = "2026-01-01T00:00:00.000+00:00"
    return Entry(version, "ingest", "1-ab", lance_version, run_id, at, 5, asdict(LOCAL), _AS_JSON, {"a": 1})


@pytest.fixture
def log(store: str) -> Log:
    return Log(Objects(store, create=True), "docs")


def test_a_table_without_a_publish_has_no_version(log: Log) -> None:
    assert (log.last(), log.entries(), log.since(0)) == (None, [], [])
    with pytest.raises(InputError, match=r"there is no table 'docs' in .*; nothing was ingested yet"):
        log.live()
    with pytest.raises(InputError, match="there is no table 'docs'"):
        log.at(1)


def test_what_is_appended_is_read_back_whole(log: Log) -> None:
    assert log.append(_entry(1))
    assert log.last() == log.live() == log.at(None) == log.at(1) == _entry(1)
    assert log.live().specs() == (LOCAL, _SPLITTER)


def test_a_number_is_given_once_and_its_entry_never_changes(log: Log) -> None:
    assert log.append(_entry(1, "first"))
    assert not log.append(_entry(1, "second"))
    assert [entry.run_id for entry in log.entries()] == ["first"]


def test_of_many_publishers_at_once_exactly_one_gets_the_number(store: str) -> None:
    racers = 8
    start = Barrier(racers)
    Objects(store, create=True)

    def race(racer: int) -> bool:
        log = Log(Objects(store), "docs")
        start.wait()
        return log.append(_entry(1, f"racer-{racer}"))

    with ThreadPoolExecutor(racers) as pool:
        won = list(pool.map(race, range(racers)))
    assert won.count(True) == 1
    assert Log(Objects(store), "docs").live().run_id == f"racer-{won.index(True)}"


def test_versions_are_ordered_as_numbers_not_as_names(log: Log) -> None:
    for version in range(1, 12):
        log.append(_entry(version))
    assert [entry.version for entry in log.entries()] == list(range(11, 0, -1))
    assert [entry.version for entry in log.since(9)] == [10, 11]
    assert log.live().version == 11


@pytest.mark.parametrize("version", [0, -1, 3])
def test_an_unknown_version_is_refused_with_those_there_are(log: Log, version: int) -> None:
    log.append(_entry(1))
    log.append(_entry(2))
    with pytest.raises(InputError, match=f"no version {version}; it has 1 to 2"):
        log.at(version)


def test_other_files_in_the_folder_are_no_versions(log: Log, store: str) -> None:
    log.append(_entry(1))
    for name in ("notes.txt", "2.json.bak", "two.json", "3", "4x.json", "-5.json", "٦.json"):
        Objects(store).put(f"tables/docs/log/{name}", b"")
    assert [entry.version for entry in log.entries()] == [1]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version": 1', b'{"version": 1, "nope": 2}'])
def test_a_damaged_entry_is_named_and_never_taken_for_another_version(
    log: Log, store: str, content: bytes
) -> None:
    log.append(_entry(1))
    Objects(store).put("tables/docs/log/2.json", content)
    with pytest.raises(StoreRefused, match=r"log/2\.json is damaged"):
        log.last()
    assert log.at(1) == _entry(1)
    assert published_tables(Objects(store)) == ["docs"]


@pytest.mark.parametrize("name", ["../docs", "", ".", "a//b", "a\nb", "\udcff"])
def test_a_name_that_no_table_can_have_is_bad_input(store: str, name: str) -> None:
    with pytest.raises(InputError):
        Log(Objects(store, create=True), name).live()


def test_a_missing_table_is_refused_with_those_there_are(store: str) -> None:
    objects = Objects(store, create=True)
    for table in ("日本語", "docs"):
        Log(objects, table).append(_entry(1))
    assert published_tables(objects) == ["docs", "日本語"]
    with pytest.raises(InputError, match=r"there is no table 'doc' in .*; the store has docs, 日本語"):
        Log(objects, "doc").live()


def test_a_table_that_was_never_published_is_not_listed(store: str) -> None:
    objects = Objects(store, create=True)
    objects.put("tables/begun/1-ab.lance/data/x.lance", b"staged")
    assert published_tables(objects) == []


def test_the_space_of_an_entry_keeps_its_prefixes(log: Log) -> None:
    space = Space("openai", "intfloat/multilingual-e5-large", 1024, "passage: ", "query: ")
    entry = _entry(1)
    log.append(Entry(**{**asdict(entry), "space": asdict(space)}))
    assert log.live().specs()[0] == space


@pytest.mark.parametrize("hint", [b"", b"1", b"3", b"5", b"99", "第二".encode(), b"-2"])
def test_whatever_is_noted_of_the_last_version_the_last_one_is_found(
    log: Log, store: str, hint: bytes
) -> None:
    for version in range(1, 6):
        log.append(_entry(version))
    Objects(store).put("tables/docs/log/last", hint)
    assert log.live().version == 5
    assert [entry.version for entry in log.since(3)] == [4, 5]
    assert log.append(_entry(6))
    assert log.live().version == 6


class Counted(Objects):
    """A store that counts what it is asked for."""

    asked = 0

    def get(self, path: str) -> bytes | None:
        """Read an object."""
        self.asked += 1
        return super().get(path)

    def paths(self, prefix: str) -> list[str]:
        """The paths of objects."""
        raise AssertionError("a list of all versions grows with them")


def test_the_last_version_of_many_is_found_without_a_list_of_them(log: Log, store: str) -> None:
    for version in range(1, 301):
        log.append(_entry(version))
    objects = Counted(store)
    assert Log(objects, "docs").live().version == 300
    assert objects.asked == 3
    assert [entry.version for entry in Log(objects, "docs").since(298)] == [299, 300]


class Full(Objects):
    """A store that has no room for more than a log's entries."""

    def put(self, path: str, data: bytes) -> None:
        """Write an object."""
        raise StoreRefused(f"no space left for {path}")


def test_a_version_whose_number_cannot_be_noted_is_published_all_the_same(store: str) -> None:
    log = Log(Full(store, create=True), "docs")
    assert log.append(_entry(1))
    assert log.append(_entry(2))
    assert log.live().version == 2
