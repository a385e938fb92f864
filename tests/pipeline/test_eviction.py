"""Eviction: the caches of a store stay within a bound, and what is given up was not used for longest."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import schema
from pipeline.cache import VectorCache, cache_path, compact_cache, folder_name
from pipeline.eviction import Evicted, evict, fold_uses, note_uses
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.upkeep import unfinished
from tests.support import LOCAL

_OTHER = Space("local", "wordllama", 128)
_NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
_LATER = datetime(2100, 1, 1, tzinfo=UTC)


def _put(objects: Objects, days: int, hashes: Sequence[str], space: Space = LOCAL) -> None:
    """Take texts into a cache so many days ago."""
    flat = pa.array(np.ones(space.dimensions * len(hashes), dtype=np.float32))
    columns = [pa.array(hashes), pa.FixedSizeListArray.from_arrays(flat, space.dimensions)]
    rows = pa.table(columns, schema=schema.vectors(space.dimensions))
    VectorCache(objects, space).append(rows, _NOW - timedelta(days=days))


def _held(objects: Objects, space: Space = LOCAL) -> set[str]:
    dataset = VectorCache(objects, space).open()
    return set() if dataset is None else set(dataset.to_table(columns=["text_hash"])["text_hash"].to_pylist())


def _texts(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


@pytest.fixture
def objects(store: str) -> Objects:
    return Objects(store, create=True)


def _bytes(objects: Objects) -> int:
    """What the caches take."""
    return evict(objects, 0, _NOW - timedelta(days=1000), dry_run=True).bytes_before


def test_what_was_not_used_for_longest_goes_until_the_rest_fits(objects: Objects) -> None:
    for days in (30, 20, 10):
        _put(objects, days, _texts(f"{days}-", 100))
    whole = _bytes(objects)
    done = evict(objects, int(whole * 0.7), _LATER)
    assert done.texts == pytest.approx(300 * (1 - 0.9 * 0.7), abs=3)  # down to nine tenths of the bound
    assert done.bytes == pytest.approx(whole * done.texts / 300, rel=0.01)
    assert done.bytes_over == 0
    left = _held(objects)
    assert {name for name in left if name.startswith("10-")} == set(_texts("10-", 100))
    assert not {name for name in left if name.startswith("30-")}
    assert len(left) == 300 - done.texts


def test_a_text_that_a_run_has_used_since_counts_as_used_then(objects: Objects) -> None:
    for days in (30, 20):
        _put(objects, days, _texts(f"{days}-", 100))
    note_uses(objects, LOCAL, "run", pa.chunked_array([_texts("30-", 50)]))
    done = evict(objects, int(_bytes(objects) * 0.5), _LATER)
    assert done.texts == pytest.approx(110, abs=3)
    assert set(_texts("30-", 50)) <= _held(objects)
    assert not {f"30-{number}" for number in range(50, 100)} & _held(objects)


def test_the_bound_is_of_all_caches_together(objects: Objects) -> None:
    _put(objects, 20, _texts("a", 100))
    _put(objects, 10, _texts("b", 100), _OTHER)
    evict(objects, int(_bytes(objects) * 0.7), _LATER)
    assert not _held(objects)
    assert len(_held(objects, _OTHER)) == pytest.approx(94, abs=3)


def test_what_was_used_lately_stays_and_that_it_is_too_much_is_said(objects: Objects) -> None:
    _put(objects, 20, _texts("old", 50))
    _put(objects, 2, _texts("new", 50))
    done = evict(objects, 1000, _NOW - timedelta(days=5))
    assert (done.texts, _held(objects)) == (50, set(_texts("new", 50)))
    assert done.bytes_over == done.bytes_before - done.bytes - 1000 > 0


def test_within_the_bound_nothing_is_looked_at_or_changed(objects: Objects) -> None:
    _put(objects, 20, _texts("a", 10))
    version = VectorCache(objects, LOCAL).open()
    assert version is not None
    size = _bytes(objects)
    assert evict(objects, size, _LATER) == Evicted(size)
    after = VectorCache(objects, LOCAL).open()
    assert after is not None
    assert after.version == version.version


def test_a_dry_run_says_what_would_go_and_keeps_it(objects: Objects) -> None:
    _put(objects, 20, _texts("a", 100))
    half = _bytes(objects) // 2
    would = evict(objects, half, _LATER, dry_run=True)
    assert len(_held(objects)) == 100
    assert evict(objects, half, _LATER) == would
    assert len(_held(objects)) == 100 - would.texts


def test_a_run_that_planned_by_a_cache_reads_it_as_it_was_while_it_lasts(
    objects: Objects, store: str
) -> None:
    _put(objects, 20, _texts("a", 100))
    planned = VectorCache(objects, LOCAL).open()
    assert planned is not None
    evict(objects, 0, _LATER)
    path = cache_path(folder_name(LOCAL))
    compact_cache(objects, path, 0, [planned.version])
    again = VectorCache(objects, LOCAL).open(planned.version)
    assert again is not None
    assert again.to_table()["text_hash"].to_pylist() == _texts("a", 100)
    assert _data(store)
    compact_cache(objects, path, 0)
    assert VectorCache(objects, LOCAL).open(planned.version) is None
    assert not _data(store)


def _data(store: str) -> list[Path]:
    return list(Path(store).glob("cache/*/data/*"))


def test_whoever_opened_a_version_reads_it_for_the_grace_time_after_the_next_has_come(
    objects: Objects,
) -> None:
    _put(objects, 20, _texts("a", 10))
    opened = VectorCache(objects, LOCAL).open()
    assert opened is not None
    _put(objects, 10, _texts("b", 10))
    compact_cache(objects, cache_path(folder_name(LOCAL)), 1)
    assert opened.to_table(columns=["vector"]).num_rows == 10


def test_uses_of_many_runs_are_put_together_by_the_latest_without_what_is_gone(
    objects: Objects, store: str
) -> None:
    _put(objects, 30, _texts("a", 20))
    for number in range(20):
        note_uses(objects, LOCAL, f"run-{number}", pa.chunked_array([[f"a{number}", "gone"]]))
    assert fold_uses(objects) == 20
    [path] = Path(store).glob("uses/*/*")
    rows = pq.read_table(path)
    assert sorted(rows["text_hash"].to_pylist()) == sorted(_texts("a", 20))
    assert fold_uses(objects) == 0
    _put(objects, 10, _texts("b", 20))
    evict(objects, int(_bytes(objects) * 0.5), _LATER)
    assert _held(objects) <= set(_texts("a", 20))


def test_a_run_that_uses_nothing_leaves_no_trace(objects: Objects, store: str) -> None:
    note_uses(objects, LOCAL, "run", pa.chunked_array([[]], pa.string()))
    assert not Path(store, "uses").exists()


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 30)), min_size=1, max_size=5),
    st.floats(0, 1.2),
    st.integers(0, 45),
)
def test_whatever_is_held_no_text_goes_before_one_used_longer_ago(
    tmp_path_factory: pytest.TempPathFactory, appends: list[tuple[int, int]], share: float, since: int
) -> None:
    objects = Objects(str(tmp_path_factory.mktemp("store")), create=True)
    used: dict[str, int] = {}
    for place, (days, count) in enumerate(appends):
        names = _texts(f"{place}-", count)
        _put(objects, days, names)
        used |= dict.fromkeys(names, days)
    whole = _bytes(objects)
    done = evict(objects, int(whole * share), _NOW - timedelta(days=since))
    left = _held(objects)
    gone = used.keys() - left
    assert len(gone) == done.texts
    assert all(used[name] > since for name in gone)
    if gone and left:
        assert min(used[name] for name in gone) >= max(used[name] for name in left)
    if not done.bytes_over:
        assert done.bytes_before - done.bytes <= max(whole * share, 0) + 1


def _run(state: str, days: float, table: str = "docs", kind: str = "ingest") -> Mapping[str, str]:
    began = (_NOW - timedelta(days=days)).isoformat()
    return {"state": state, "started_at": began, "table": table, "kind": kind}


def test_a_run_that_did_not_end_well_may_be_taken_up_until_another_does(objects: Objects) -> None:
    runs = [
        _run("running", 90),
        _run("killed", 1),
        _run("finished", 2),
        _run("failed", 3),
        _run("failed", 4, table="other"),
        _run("cancelled", 5, kind="backfill"),
        _run("killed", 40, table="third"),
    ]
    assert list(unfinished(runs, _NOW, 30)) == [runs[place] for place in (0, 1, 4, 5)]
