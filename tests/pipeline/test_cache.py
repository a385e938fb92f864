"""The vector cache: what has been paid for."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline import schema
from pipeline.cache import VectorCache, folder_name, held
from pipeline.errors import StoreRefused
from pipeline.objects import Objects
from pipeline.space import Space
from tests.support import LOCAL


def _rows(*hashes: str) -> pa.Table:
    flat = pa.array(np.ones(64 * len(hashes), dtype=np.float32))
    columns = [pa.array(hashes), pa.FixedSizeListArray.from_arrays(flat, 64)]
    return pa.table(columns, schema=schema.vectors(64))


def _held(cache: VectorCache) -> list[str]:
    dataset = cache.open()
    return [] if dataset is None else dataset.to_table()["text_hash"].to_pylist()


@pytest.fixture
def cache(store: str) -> VectorCache:
    return VectorCache(Objects(store, create=True), LOCAL)


def test_a_cache_comes_to_be_with_its_first_vector_and_keeps_all_that_follow(cache: VectorCache) -> None:
    assert cache.open() is None
    cache.append(_rows("a", "b"))
    cache.append(_rows("c"))
    assert _held(cache) == ["a", "b", "c"]


def test_each_space_has_a_cache_of_its_own(store: str) -> None:
    spaces = [
        Space("local", "wordllama", 64),
        Space("local", "wordllama", 128),
        Space("openai", "a/b", 64),
        Space("openai", "a_b", 64),
        Space("openai", "a/b", 64, document_prefix="passage: "),
        Space("openai", "日本語/モデル", 64),
    ]
    names = {folder_name(space) for space in spaces}
    assert len(names) == len(spaces)
    assert all(name.isascii() and "/" not in name for name in names)
    assert folder_name(spaces[0]).startswith("local_wordllama@64-")


def test_many_small_appends_are_joined_without_losing_a_row(cache: VectorCache) -> None:
    for number in range(52):
        cache.append(_rows(f"h{number}"))
        if number == 40:
            cache.compact()  # too few to be worth it
            dataset = cache.open()
            assert dataset is not None
            assert len(dataset.get_fragments()) == 41
    cache.compact()
    dataset = cache.open()
    assert dataset is not None
    assert len(dataset.get_fragments()) == 1
    assert sorted(_held(cache)) == sorted(f"h{number}" for number in range(52))


def test_compacting_what_is_not_there_does_nothing(cache: VectorCache, store: str) -> None:
    cache.compact()
    assert list(Path(store).iterdir()) == []


def test_a_cache_that_cannot_be_written_is_refused(cache: VectorCache, store: str) -> None:
    cache.append(_rows("a"))
    [folder] = Path(store).glob("cache/*/data")
    shutil.rmtree(folder)
    folder.write_text("in the way", "utf-8")
    with pytest.raises(StoreRefused, match="cache/local_wordllama@64"):
        cache.append(_rows("b"))


def test_what_the_cache_has_is_told_by_space_with_its_size_and_its_latest(store: str) -> None:
    objects, other = Objects(store, create=True), Space("openai", "モデル", 64, query_prefix="q: ")
    assert list(held(objects)) == []
    for space, days in ((LOCAL, 1), (LOCAL, 3), (other, 2)):
        VectorCache(objects, space).append(_rows("a", "b"), datetime(2026, 11, days, tzinfo=UTC))
    found = {one.space: one for one in held(objects)}
    assert found[LOCAL].vectors == 4
    assert found[LOCAL].newest == datetime(2026, 11, 3, tzinfo=UTC)
    assert found[other].newest == datetime(2026, 11, 2, tzinfo=UTC)
    files = sum(path.stat().st_size for path in Path(store).glob("cache/*/data/*"))
    assert found[LOCAL].bytes + found[other].bytes == files


def test_vectors_carry_when_they_were_taken_in(cache: VectorCache) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    cache.append(_rows("a"))
    dataset = cache.open()
    assert dataset is not None
    [added] = dataset.to_table()["added"].to_pylist()
    assert before <= added <= datetime.now(UTC)
