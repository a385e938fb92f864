"""Seeding the vector cache: what is taken, what is known, and what cannot be right."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.cache import VectorCache
from pipeline.errors import InputError, StoreRefused
from pipeline.ids import digest
from pipeline.objects import Objects
from pipeline.ports import Vectors
from pipeline.space import Space
from pipeline.store import seed as seeding
from pipeline.store.log import Log
from pipeline.store.seed import Batch, Reading, of_version, seed
from pipeline.store.table import open_version
from tests.support import LOCAL, job_for, run, write_pages

SPACE = Space("openai", "text-embedding-3-small", 16)


@pytest.fixture
def objects(store: str) -> Objects:
    return Objects(store, create=True)


def _vectors(count: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((count, SPACE.dimensions))
    scaled: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def _reading(texts: Sequence[str], vectors: Vectors, size: int = 3) -> Reading:
    """Rows of texts and vectors, in batches of a few."""

    def batches() -> object:
        for start in range(0, len(texts), size):
            part = texts[start : start + size]
            reading.rows += len(part)
            places = np.arange(start + 1, start + 1 + len(part))
            yield Batch(places, [digest(text) for text in part], vectors[start : start + size])

    reading = Reading(batches())  # type: ignore[arg-type]
    return reading


def _held(objects: Objects, space: Space = SPACE) -> dict[str, list[float]]:
    dataset = VectorCache(objects, space).open()
    rows = [] if dataset is None else dataset.to_table().to_pylist()
    found = {row["text_hash"]: row["vector"] for row in rows}
    assert len(found) == len(rows), "no text is twice in the cache"
    return found


def test_each_text_is_taken_once_and_a_second_time_there_is_nothing_to_take(objects: Objects) -> None:
    texts = [f"text {number}" for number in range(10)] + ["日本語", "text 3", "text 3"]
    vectors = _vectors(len(texts))
    vectors[11] = vectors[12] = vectors[3]
    for taken, known in ((11, 0), (0, 11)):
        done = seed(objects, SPACE, lambda: _reading(texts, vectors))
        assert (done.rows, done.taken, done.known, done.duplicates, done.bad.rows) == (13, taken, known, 2, 0)
    held = _held(objects)
    assert held == {digest(text): vector.tolist() for text, vector in zip(texts[:11], vectors, strict=False)}


def test_what_was_paid_for_already_stays_as_it_is(objects: Objects) -> None:
    seed(objects, SPACE, lambda: _reading(["a"], _vectors(1)))
    before = _held(objects)
    done = seed(objects, SPACE, lambda: _reading(["a", "b"], _vectors(2, seed=1)))
    assert (done.taken, done.known) == (1, 1)
    assert _held(objects)[digest("a")] == before[digest("a")]


def test_one_text_with_different_vectors_gets_none_of_them(objects: Objects) -> None:
    """Often the column of texts is the wrong one: a title, say, of which there are many alike."""
    texts = ["a", "title", "b", "title", "c", "title", "other", "other"]
    done = seed(objects, SPACE, lambda: _reading(texts, _vectors(len(texts))))
    assert (done.taken, done.duplicates, done.bad.rows) == (3, 0, 5)
    assert done.bad.reasons == [
        "rows 2 and 4 have the same text, and different vectors",
        "rows 7 and 8 have the same text, and different vectors",
    ]
    assert _held(objects).keys() == {digest(text) for text in "abc"}


@pytest.mark.parametrize("dimensions", [16, 1536])
def test_an_endpoint_that_never_answers_quite_the_same_gives_no_different_vectors(
    objects: Objects, dimensions: int
) -> None:
    space = Space("openai", "m", dimensions)
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((1000, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    jitter = rng.standard_normal((1000, dimensions))
    again = vectors + 0.01 * jitter / np.linalg.norm(jitter, axis=1, keepdims=True)
    texts = [f"text {number}" for number in range(1000)] * 2
    both = np.concatenate([vectors, again]).astype(np.float32)
    assert seed(objects, space, lambda: _reading(texts, both, 500)).duplicates == 1000
    other = Space("openai", "other", dimensions)
    both = np.concatenate([vectors, np.roll(vectors, 1, axis=0)]).astype(np.float32)
    assert seed(objects, other, lambda: _reading(texts, both, 500)).bad.rows == 2000


def test_what_cannot_be_read_to_its_end_leaves_the_cache_as_it_was(objects: Objects) -> None:
    def read() -> Reading:
        def batches() -> object:
            yield from _reading(["a", "b"], _vectors(2)).batches
            raise InputError("broken.parquet cannot be read")

        return Reading(batches())  # type: ignore[arg-type]

    with pytest.raises(InputError, match=r"broken\.parquet cannot be read"):
        seed(objects, SPACE, read)
    assert _held(objects) == {}


def test_a_cache_that_cannot_be_written_is_refused(objects: Objects, store: str) -> None:
    seed(objects, SPACE, lambda: _reading(["a"], _vectors(1)))
    [data] = Path(store).glob("cache/*/data")
    data.rename(data.with_name("gone"))
    data.write_text("in the way", "utf-8")
    with pytest.raises(StoreRefused, match="cache/openai"):
        seed(objects, SPACE, lambda: _reading(["b"], _vectors(1)))


def test_large_imports_are_appended_in_parts(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeding, "_APPEND_BYTES", 1)
    appended: list[int] = []
    append = VectorCache.append

    def counting(cache: VectorCache, rows: pa.Table) -> None:
        appended.append(len(rows))
        append(cache, rows)

    monkeypatch.setattr(VectorCache, "append", counting)
    texts = [f"text {number}" for number in range(10)]
    seed(objects, SPACE, lambda: _reading(texts, _vectors(10)))
    assert appended == [3, 3, 3, 1]
    assert len(_held(objects)) == 10


def test_a_version_of_a_table_seeds_the_cache_of_another_store(tmp_path: Path, objects: Objects) -> None:
    source = str(tmp_path / "source")
    folder = write_pages(
        tmp_path / "docs", {"a.md": "# A\n\nRivers.\n\n# B\n\nRivers.", "川.md": "川は長い。"}
    )
    run(job_for(folder, source))
    (folder / "川.md").unlink()
    run(job_for(write_pages(folder, {"new.md": "New."}), source))
    entry = Log(Objects(source), "docs").at(1)

    def read() -> Reading:
        return of_version(open_version(Objects(source), "docs", entry))

    done = seed(objects, LOCAL, read)
    assert (done.rows, done.taken, done.known, done.bad.rows) == (3, 3, 0, 0)
    assert _held(objects, LOCAL).items() <= _held(Objects(source), LOCAL).items()
    assert run(job_for(folder, objects.uri)).embedding["texts"] == 1
