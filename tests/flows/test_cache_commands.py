"""The cache on the command line: what was paid for is listed, exported, taken in elsewhere, and bounded."""

from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import duckdb
import pytest

from tests.endpoint import MeteredEndpoint
from tests.flows.inside import vecmill_here
from tests.support import OPENAI, job_for, metered, run, write_pages

Captured = pytest.CaptureFixture[str]

SPACE = "openai/text-embedding-3-small@64"
PAGES = {f"{n}.md": f"# Guide {n}\n\nRivers carry water.\n\n# 節\n\n第{n}の川。" for n in range(4)}


def _json(capsys: Captured, *words: str, code: int = 0) -> Any:
    ran = vecmill_here(capsys, *words, "--json")
    assert ran.code == code, ran.err
    return ran.json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def test_vectors_exported_from_one_store_are_not_paid_for_in_another(
    folder: Path, tmp_path: Path, store: str, capsys: Captured
) -> None:
    file, other = str(tmp_path / "paid.parquet"), str(tmp_path / "other")
    with MeteredEndpoint(key="sk-test") as endpoint:
        first = run(job_for(folder, store, **metered(endpoint.url)))
        [listed] = _json(capsys, "cache", "--store", store)
        assert (listed["space"], listed["vectors"]) == (SPACE, first.embedding["texts"])
        done = _json(capsys, "cache", "export", file, "--store", store)
        assert (done["space"], done["vectors"]) == (SPACE, first.embedding["texts"])
        assert done["bytes"] == Path(file).stat().st_size
        taken = _json(capsys, "import", file, "--store", other)
        assert (taken["taken"], taken["bad"]["rows"]) == (first.embedding["texts"], 0)
        again = run(job_for(folder, other, **metered(endpoint.url)))
        assert (again.embedding["texts"], again.embedding["cache_hits"]) == (0, first.embedding["texts"])
        assert endpoint.ledger.billed_more_than_once() == {}


def test_of_several_spaces_one_has_to_be_named(
    folder: Path, tmp_path: Path, store: str, capsys: Captured
) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        run(job_for(folder, store, **metered(endpoint.url)))
    run(job_for(folder, store, table="local"))
    file = str(tmp_path / "paid.duckdb")
    refused = _json(capsys, "cache", "export", file, "--store", store, code=3)["error"]["message"]
    assert refused.endswith(f"say which with --embedding: local/wordllama@64, {SPACE}")
    refused = _json(capsys, "cache", "export", file, "--store", store, "--embedding", "a/b@3", code=3)
    assert "the cache has no vectors of a/b@3" in refused["error"]["message"]
    assert not Path(file).exists()
    done = _json(capsys, "cache", "export", file, "--store", store, "--embedding", SPACE)
    with duckdb.connect(file, read_only=True) as db:
        assert db.execute("select count(*), any_value(len(vector)) from chunks").fetchall() == [
            (done["vectors"], OPENAI.dimensions)
        ]


def test_a_store_without_vectors_has_nothing_to_list_or_export(
    tmp_path: Path, store: str, capsys: Captured
) -> None:
    Path(store).mkdir()
    assert _json(capsys, "cache", "list", "--store", store) == []
    refused = _json(capsys, "cache", "export", str(tmp_path / "x.parquet"), "--store", store, code=3)
    assert "it has nothing yet" in refused["error"]["message"]


def test_a_bound_that_is_no_size_is_told_by_its_option(store: str, capsys: Captured) -> None:
    Path(store).mkdir()
    refused = _json(capsys, "maintain", "--store", store, "--cache-size", "plenty", code=2)
    assert "--cache-size is 'plenty'" in refused["error"]["message"]


class _Later(datetime):
    """A clock that is an hour ahead: uses are noted by the second, and none is to be of this one."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(hours=1)


def test_maintenance_keeps_the_cache_within_the_bound_that_the_file_names(
    folder: Path, tmp_path: Path, store: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.upkeep.datetime", _Later)
    run(job_for(folder, store))
    config = tmp_path / "vecmill.toml"
    config.write_text(f'[store]\nuri = "{store}"\n[retention]\ngrace = 0\ncache_size = "1KB"\n', "utf-8")
    [before] = _json(capsys, "cache", "--config", str(config))
    would = _json(capsys, "maintain", "--config", str(config), "--dry-run")["evicted"]
    done = _json(capsys, "maintain", "--config", str(config))["evicted"]
    assert done == would
    assert (done["bytes_before"], done["bytes_over"]) == (before["bytes"], 0)
    [after] = _json(capsys, "cache", "--config", str(config))
    assert after["vectors"] == before["vectors"] - done["texts"]
    # What the cache has given up, the table still has.
    write_pages(folder, {name: f"{text}\n\nMore." for name, text in PAGES.items()})
    assert run(job_for(folder, store)).embedding["texts"] == len(PAGES)
