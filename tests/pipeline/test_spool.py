"""What the spool has taken is found again, reaches the cache bit for bit, and outlives who put it there."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.cache import VectorCache
from pipeline.errors import StoreRefused
from pipeline.model import Outcome
from pipeline.objects import Objects
from pipeline.space import Space
from pipeline.spool import Spool

SPACE = Space("openai", "text-embedding-3-small", 4)
VECTORS = np.array([[0.6, 0.8, 0, 0], [-0.0, 1e-30, 0, 1]], np.float32)
HASHES = ("first", "第二")
OUTCOME = Outcome(7, texts=2, tokens=11, requests=1, retries=3, paid_again=2)


@pytest.fixture
def objects(store: str) -> Objects:
    return Objects(store, create=True)


@pytest.fixture
def spool(objects: Objects) -> Spool:
    return Spool(objects, SPACE)


@pytest.fixture
def cache(objects: Objects) -> VectorCache:
    return VectorCache(objects, SPACE)


def _cached(cache: VectorCache) -> dict[str, bytes]:
    """The bits of each text's vector."""
    dataset = cache.open()
    rows = [] if dataset is None else dataset.to_table().to_pylist()
    return {row["text_hash"]: np.array(row["vector"], np.float32).tobytes() for row in rows}


def _file(objects: Objects) -> Path:
    [path] = objects.paths("spool")
    return Path(objects.uri) / path


# ---- put and find


def test_a_finished_request_is_found_by_its_texts_and_tells_what_it_came_to(spool: Spool) -> None:
    name = spool.put(HASHES, VECTORS, OUTCOME)
    assert spool.find(HASHES) == Outcome(
        7, texts=2, tokens=11, requests=1, retries=3, paid_again=2, spooled=(name,)
    )
    assert spool.names() == [name]


@pytest.mark.parametrize("others", [HASHES[::-1], HASHES[:1], (*HASHES, "third"), ("first第二",), ()])
def test_a_request_of_other_texts_is_another_request(spool: Spool, others: tuple[str, ...]) -> None:
    spool.put(HASHES, VECTORS, OUTCOME)
    assert spool.find(others) is None


def test_the_same_texts_in_another_space_are_another_request(objects: Objects, spool: Spool) -> None:
    spool.put(HASHES, VECTORS, OUTCOME)
    other = Spool(objects, Space("openai", "text-embedding-3-small", 4, document_prefix="passage: "))
    assert other.find(HASHES) is None
    assert other.names() == []


def test_the_same_request_twice_is_one_file(spool: Spool) -> None:
    assert spool.put(HASHES, VECTORS, OUTCOME) == spool.put(HASHES, VECTORS[::-1], OUTCOME)
    assert len(spool.names()) == 1


def test_a_spool_that_nobody_used_is_empty(spool: Spool, cache: VectorCache) -> None:
    assert spool.names() == []
    spool.drain(cache, [])
    assert cache.open() is None


# ---- drain


def test_what_is_drained_is_in_the_cache_and_no_longer_in_the_spool(spool: Spool, cache: VectorCache) -> None:
    spool.put(HASHES, VECTORS, OUTCOME)
    spool.put(["third"], VECTORS[:1], OUTCOME)
    spool.drain(cache, spool.names())
    assert _cached(cache) == {
        "first": VECTORS[0].tobytes(),
        "第二": VECTORS[1].tobytes(),
        "third": VECTORS[0].tobytes(),
    }
    assert spool.names() == []
    assert spool.find(HASHES) is None


@settings(max_examples=15, deadline=None)
@given(arrays(np.float32, (3, 4), elements=st.floats(-1, 1, width=32)))
def test_vectors_go_through_spool_and_cache_without_losing_a_bit(
    tmp_path_factory: pytest.TempPathFactory, vectors: NDArray[np.float32]
) -> None:
    objects = Objects(str(tmp_path_factory.mktemp("store")))
    spool, cache = Spool(objects, SPACE), VectorCache(objects, SPACE)
    spool.put(["a", "b", "c"], vectors, OUTCOME)
    spool.drain(cache, spool.names())
    assert _cached(cache) == {text: row.tobytes() for text, row in zip("abc", vectors, strict=True)}


def test_a_file_that_another_process_took_is_no_harm(spool: Spool, cache: VectorCache) -> None:
    taken = spool.put(HASHES, VECTORS, OUTCOME)
    spool.drain(cache, [taken])
    kept = spool.put(["third"], VECTORS[:1], OUTCOME)
    spool.drain(cache, [taken, kept, "never-there.arrow"])
    assert sorted(_cached(cache)) == ["first", "third", "第二"]


def test_files_stay_until_their_vectors_are_durably_in_the_cache(spool: Spool, objects: Objects) -> None:
    class Full(VectorCache):
        def append(self, rows: pa.Table, now: datetime | None = None) -> None:
            raise StoreRefused("no space left")

    name = spool.put(HASHES, VECTORS, OUTCOME)
    with pytest.raises(StoreRefused):
        spool.drain(Full(objects, SPACE), [name])
    assert spool.names() == [name]
    assert spool.find(HASHES) is not None


def test_large_drains_go_in_parts_so_that_memory_stays_bounded(objects: Objects) -> None:
    space = Space("openai", "text-embedding-3-large", 2048)
    appended = []

    class Counting(VectorCache):
        def append(self, rows: pa.Table, now: datetime | None = None) -> None:
            appended.append(len(rows))

    spool = Spool(objects, space)
    block = np.ones((2048, 2048), np.float32)  # 16 MiB
    for part in range(5):
        spool.put([f"{part}/{row}" for row in range(len(block))], block, OUTCOME)
    spool.drain(Counting(objects, space), spool.names())
    assert appended == [4 * 2048, 2048]
    assert spool.names() == []


# ---- files that are not whole


def test_a_file_that_was_being_written_when_its_process_died_is_not_seen(
    spool: Spool, objects: Objects, cache: VectorCache
) -> None:
    whole = spool.put(HASHES, VECTORS, OUTCOME)
    aside = _file(objects)
    aside.with_name(f"{'0' * 32}.arrow#1").write_bytes(aside.read_bytes()[:100])
    aside.with_name(".DS_Store").write_bytes(b"\0")
    assert spool.names() == [whole]
    spool.drain(cache, spool.names())
    assert sorted(_cached(cache)) == ["first", "第二"]


def test_a_file_that_a_power_cut_left_incomplete_holds_nothing_wherever_it_ends(
    spool: Spool, objects: Objects, cache: VectorCache
) -> None:
    name = spool.put(HASHES, VECTORS, OUTCOME)
    file, data = _file(objects), _file(objects).read_bytes()
    cuts = [data[:end] for end in [*range(0, len(data), 11), *range(len(data) - 20, len(data))]]
    for broken in [*cuts, bytes(len(data)), data[:-8] + bytes(8)]:
        file.write_bytes(broken)
        assert spool.find(HASHES) is None
        assert [(found, len(rows)) for found, rows in spool.rows([name])] == [(name, 0)]
    spool.drain(cache, [name])
    assert (spool.names(), cache.open()) == ([], None)


def test_an_incomplete_file_does_not_keep_the_others_from_the_cache(
    spool: Spool, objects: Objects, cache: VectorCache
) -> None:
    spool.put(HASHES, VECTORS, OUTCOME)
    _file(objects).write_bytes(b"")
    spool.put(["third"], VECTORS[:1], OUTCOME)
    spool.drain(cache, spool.names())
    assert (list(_cached(cache)), spool.names()) == (["third"], [])


def test_a_request_whose_file_was_incomplete_is_put_again(spool: Spool, objects: Objects) -> None:
    spool.put(HASHES, VECTORS, OUTCOME)
    _file(objects).write_bytes(b"ARROW1")
    spool.put(HASHES, VECTORS, OUTCOME)
    assert spool.find(HASHES) is not None
