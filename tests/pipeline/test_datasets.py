"""Lance datasets: making them, losing a race for them, and finding vectors in them."""

from pathlib import Path

import duckdb
import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline import schema
from pipeline.datasets import (
    Located,
    as_halves,
    as_uuids,
    create_dataset,
    lost_race,
    open_dataset,
    set_operations,
)
from pipeline.ids import digest
from pipeline.objects import Objects

_SCHEMA = schema.vectors(4)


def _hashes(*names: str) -> pa.Array:
    return pa.array(map(digest, names), pa.string())


def _rows(first: int, count: int) -> pa.Table:
    """Rows whose vector is their number, four times."""
    numbers = np.repeat(np.arange(first, first + count, dtype=np.float32), 4)
    column = pa.FixedSizeListArray.from_arrays(pa.array(numbers), 4)
    return pa.table([_hashes(*(f"h{n}" for n in range(first, first + count))), column], schema=_SCHEMA)


@pytest.fixture
def objects(store: str) -> Objects:
    return Objects(store, create=True)


def test_what_is_not_there_opens_as_none(objects: Objects) -> None:
    assert open_dataset(objects.at("x.lance"), objects.options) is None
    assert open_dataset(objects.at("x.lance"), objects.options, 3) is None
    create_dataset(objects, "x.lance", _SCHEMA.empty_table())
    assert open_dataset(objects.at("x.lance"), objects.options, 2) is None


def test_a_dataset_made_is_empty_and_takes_rows(objects: Objects) -> None:
    create_dataset(objects, "cache/x.lance", _SCHEMA.empty_table())
    dataset = open_dataset(objects.at("cache/x.lance"), objects.options)
    assert dataset is not None
    assert (dataset.version, dataset.count_rows(), dataset.schema) == (1, 0, _SCHEMA)
    lance.write_dataset(_rows(0, 3), dataset.uri, mode="append")
    assert lance.dataset(dataset.uri).to_table().equals(_rows(0, 3))


def test_making_a_dataset_again_leaves_the_one_that_is_there(objects: Objects) -> None:
    create_dataset(objects, "x.lance", _SCHEMA.empty_table())
    lance.write_dataset(_rows(0, 3), objects.at("x.lance"), mode="append")
    create_dataset(objects, "x.lance", _SCHEMA.empty_table())
    dataset = open_dataset(objects.at("x.lance"), objects.options)
    assert dataset is not None
    assert (dataset.version, dataset.count_rows()) == (2, 3)


def test_a_maker_that_was_killed_half_way_is_completed_by_the_next(objects: Objects) -> None:
    objects.put("x.lance/_transactions/0-leftover.txn", b"")
    create_dataset(objects, "x.lance", _SCHEMA.empty_table())
    lance.write_dataset(_rows(0, 1), objects.at("x.lance"), mode="append")
    assert lance.dataset(objects.at("x.lance")).count_rows() == 1


def test_a_commit_that_comes_second_is_known_as_such(objects: Objects) -> None:
    uri = objects.at("x.lance")
    for first in range(3):
        lance.write_dataset(_rows(first, 1), uri, mode="append" if first else "create")
    late = lance.dataset(uri)
    lance.dataset(uri).optimize.compact_files()
    with pytest.raises(OSError, match="conflict") as lost:
        late.optimize.compact_files()
    assert lost_race(lost.value)
    assert not lost_race(OSError("No space left on device"))


def _taken(asked: pa.Array, *datasets: lance.LanceDataset) -> tuple[pa.Array, pa.Array]:
    """Look up texts, of which all but one are known to the look-up beforehand."""
    with set_operations() as db:
        known = asked.filter(pc.not_equal(asked, digest("unforeseen")))
        db.register("these", pa.table({"text_hash": as_uuids(known)}))
        return Located(db, "these", datasets).take(asked)


def test_vectors_are_found_for_whatever_is_asked_in_its_order_across_fragments_and_deletions(
    objects: Objects,
) -> None:
    uri = objects.at("x.lance")
    for first in (0, 10, 20):
        lance.write_dataset(_rows(first, 10), uri, mode="append" if first else "create")
    dataset = lance.dataset(uri)
    dataset.delete(f"text_hash in {tuple(_hashes('h0', 'h11', 'h12', 'h29').to_pylist())}")
    asked = _hashes("h28", "h3", "never", "h11", "h3", "h10", "h28", "h0")
    found, vectors = _taken(asked, lance.dataset(uri))
    assert found.to_pylist() == [0, 1, 4, 5, 6]
    assert [vector[0] for vector in vectors.to_pylist()] == [28, 3, 3, 10, 28]


def test_a_vector_comes_from_the_first_dataset_that_has_it(objects: Objects) -> None:
    datasets = list[lance.LanceDataset]()
    for name, first, count in (("x", 0, 3), ("y", 2, 3), ("z", 3, 4)):
        rows = _rows(first, count)
        flat = pc.add(rows["vector"].combine_chunks().flatten(), float(100 * len(datasets))).cast(
            pa.float32()
        )
        column = pa.FixedSizeListArray.from_arrays(flat, rows["vector"].type.list_size)
        place = rows.schema.get_field_index("vector")
        uri = objects.at(f"{name}.lance")
        lance.write_dataset(rows.set_column(place, rows.schema.field("vector"), column), uri)
        datasets.append(lance.dataset(uri))
    asked = _hashes("h6", "h2", "h4", "h0", "unforeseen", "h3", "h6")
    found, vectors = _taken(asked, *datasets)
    assert found.to_pylist() == [0, 1, 2, 3, 5, 6]
    assert [vector[0] for vector in vectors.to_pylist()] == [206, 2, 104, 0, 103, 206]


def test_a_text_of_very_many_rows_and_places_is_found_without_pairing_them_all(objects: Objects) -> None:
    many = 200_000  # squared, it would take hours
    alike = pa.repeat(digest("a footer"), many)
    vectors = pa.FixedSizeListArray.from_arrays(pa.repeat(pa.scalar(1.0, pa.float32()), 4 * many), 4)
    lance.write_dataset(pa.table([alike, vectors], schema=_SCHEMA), objects.at("x.lance"))
    with set_operations() as db:
        db.register("places", pa.table({"text_hash": as_uuids(alike), "place": np.arange(many)}))
        Located(db, "places", [lance.dataset(objects.at("x.lance"))], by="place")
        found = "select count(*), count(distinct place), max(address) from located"
        assert db.execute(found).fetchall() == [(many, many, 0)]


def test_nothing_is_found_where_nothing_is(objects: Objects) -> None:
    create_dataset(objects, "x.lance", _SCHEMA.empty_table())
    empty = lance.dataset(objects.at("x.lance"))
    for asked in (["a"], []):
        found, vectors = _taken(_hashes(*asked), empty)
        assert (len(found), len(vectors)) == (0, 0)
    lance.write_dataset(_rows(0, 2), empty.uri, mode="append")
    found, vectors = _taken(_hashes("a"), lance.dataset(empty.uri))
    assert (len(found), len(vectors)) == (0, 0)


def test_hashes_are_the_numbers_that_they_spell_also_in_a_slice() -> None:
    hashes = _hashes("a", "b", "c")
    for part in (hashes, hashes.slice(1, 2), hashes.slice(3)):
        assert [one.hex for one in as_uuids(part).to_pylist()] == part.to_pylist()
        assert [f"{first:016x}{last:016x}" for first, last in as_halves(part).tolist()] == part.to_pylist()
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        as_uuids(pa.array(["abcd"]))


def test_a_dataset_that_cannot_be_read_in_a_join_is_a_fault_of_the_storage(objects: Objects) -> None:
    lance.write_dataset(_rows(0, 2), objects.at("x.lance"))
    dataset = lance.dataset(objects.at("x.lance"))
    for path in Path(objects.at("x.lance"), "data").iterdir():
        path.unlink()

    def joined() -> None:
        with set_operations() as db:
            db.register("x", dataset)
            db.execute("select sum(hash(text_hash)) from x").fetchall()

    with pytest.raises(OSError, match="Not found"):
        joined()


def test_joins_see_nothing_of_each_other_also_side_by_side_and_after_a_failure() -> None:
    rows = pa.table({"number": [1]})
    with set_operations() as one, set_operations() as other:
        for db in (one, other):
            db.from_arrow(rows).create("made")
            db.execute("create temp table kept as select 2 as number")
            db.register("shown", rows)
        other.execute("insert into made values (3)")
        assert one.execute("select sum(number) from made").fetchall() == [(1,)]

    def failing() -> None:
        with set_operations() as db:
            db.from_arrow(rows).create("made")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    with set_operations() as db:
        for name in ("made", "kept", "shown"):
            with pytest.raises(duckdb.CatalogException):
                db.execute(f"from {name}")
        names = [name for (name,) in db.execute("select database_name from duckdb_databases()").fetchall()]
        assert len([name for name in names if name.startswith("joins")]) == 1
