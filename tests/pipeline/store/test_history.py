"""Rollback, a new version with old content, and names for versions that can be read."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import lance
import orjson
import pytest

from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects
from pipeline.store.history import name_version, rollback
from pipeline.store.log import Log
from pipeline.store.names import Names
from pipeline.store.table import generation_uri
from tests.pipeline.stages.steps import listing
from tests.support import job_for, rows, run, write_pages

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


def test_a_version_that_can_be_read_gets_a_name(publish: Publish, store: str) -> None:
    publish(a="first")
    publish(a="二つ目")
    objects = Objects(store)
    assert name_version(objects, "docs", "1", "good") == 1
    assert name_version(objects, "docs", "good", "better") == 1
    assert name_version(objects, "docs", "live", "good", move=True) == 2
    with pytest.raises(InputError, match="no version 3; it has 1 to 2"):
        name_version(objects, "docs", "3", "bad")
    lance.dataset(generation_uri(objects, "docs", _log(store).at(1).generation)).cleanup_old_versions(
        older_than=timedelta(0)
    )
    with pytest.raises(StoreRefused, match="version 1 of table 'docs' is gone"):
        name_version(objects, "docs", 1, "bad")
    assert Names(objects, "docs").all() == {"good": 2, "better": 1}


def _tagged(store: str) -> int:
    uri = generation_uri(Objects(store), "docs", _log(store).live().generation)
    version: int = lance.dataset(uri, version="live").version
    return version
