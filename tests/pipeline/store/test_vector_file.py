"""Parquet files of other people's: what is taken of them, and what is said of the rest."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.ids import digest
from pipeline.space import Space
from pipeline.store import vector_file
from pipeline.store.seed import Reading
from pipeline.store.vector_file import Columns, VectorFile

SPACE = Space("openai", "text-embedding-3-small", 4)
TEXTS = ["Rivers carry water.", "山は高い。", "One more."]
VECTORS = [[1.0, 0, 0, 0], [0, 0.6, 0.8, 0], [0, 0, 0, 1.0]]


def _write(path: Path, columns: dict[str, Any], metadata: dict[str, str] | None = None) -> Path:
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, path)
    return path


def _read(file: VectorFile, space: Space = SPACE) -> tuple[dict[str, list[float]], Reading]:
    """The vectors by the hashes of their texts, and what is said of the other rows."""
    reading = file.read(space)
    found = {
        name: vector.tolist()
        for batch in reading.batches
        for name, vector in zip(batch.hashes, batch.vectors, strict=True)
    }
    return found, reading


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors.parquet"


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 4),
        pa.list_(pa.float16(), 4),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "texts",
    [pa.array(TEXTS), pa.array(TEXTS, pa.large_string()), pa.array(TEXTS).dictionary_encode(),
     pa.array([text.encode() for text in TEXTS])],
    ids=["string", "large", "dictionary", "binary"],
)  # fmt: skip
def test_vectors_are_read_however_they_are_written(path: Path, kind: pa.DataType, texts: pa.Array) -> None:
    vectors = pa.array([np.array(one, kind.value_type.to_pandas_dtype()) for one in VECTORS], kind)
    found, reading = _read(VectorFile(_write(path, {"text": texts, "embedding": vectors}), Columns()))
    assert list(found) == [digest(text) for text in TEXTS]
    assert np.allclose(list(found.values()), VECTORS, atol=1e-3)
    assert (reading.rows, reading.bad.rows) == (3, 0)


def test_the_hash_is_of_what_is_embedded_so_a_prefix_counts(path: Path) -> None:
    space = Space("openai", "e5", 4, document_prefix="passage: ")
    found, _ = _read(VectorFile(_write(path, {"text": TEXTS, "vector": VECTORS}), Columns()), space)
    assert list(found) == [digest(f"passage: {text}") for text in TEXTS]


def test_columns_can_be_called_anything(path: Path) -> None:
    columns = {"本文": TEXTS, "vec": VECTORS, "text": ["x"] * 3, "番号": [7, 8, 9]}
    file = VectorFile(_write(path, columns), Columns(text="本文", vector="vec", id="番号"))
    found, _ = _read(file)
    assert list(found) == [digest(text) for text in TEXTS]


def test_each_bad_row_is_counted_and_the_first_are_told(path: Path) -> None:
    columns = {
        "id": ["a", "b", None, "d", "e", "f", "g", "h"],
        "text": ["good", "", None, "  \n", "short", "none", "nan", "zero"],
        "vector": [VECTORS[0]] * 4 + [[1.0, 2.0], None, [1.0, float("nan"), 0, 0], [0.0] * 4],
    }
    found, reading = _read(VectorFile(_write(path, columns), Columns()))
    assert list(found) == [digest("good")]
    assert (reading.rows, reading.bad.rows) == (8, 7)
    assert reading.bad.reasons == [
        "row 2 (b) has no text",
        "row 3 has no text",
        "row 4 (d) has no text",
        "row 5 (e) has 2 numbers, not 4",
        "row 6 (f) has no vector",
    ]


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ([1.0, float("inf"), 0, 0], "has numbers that are not finite"),
        ([1.0, None, 0, 0], "has numbers that are not finite"),
        ([1e300, 1e300, 0, 0], "has numbers that are not finite"),
        ([0.0] * 4, "has a vector of zeros"),
        ([], "has 0 numbers, not 4"),
    ],
)
def test_what_is_no_vector_is_said(path: Path, vector: list[Any], said: str) -> None:
    found, reading = _read(
        VectorFile(_write(path, {"text": ["a", "b"], "vector": [vector, VECTORS[0]]}), Columns())
    )
    assert (list(found), reading.bad.reasons) == ([digest("b")], [f"row 1 {said}"])


def test_text_that_is_not_utf8_costs_no_other_row(path: Path) -> None:
    texts = pa.array(["山".encode("shift_jis"), "山".encode()])
    found, reading = _read(VectorFile(_write(path, {"text": texts, "vector": VECTORS[:2]}), Columns()))
    assert (list(found), reading.bad.reasons) == ([digest("山")], ["row 1 has a text that is not UTF-8"])


def test_lengths_become_1_where_the_space_says_so_and_that_is_counted(path: Path) -> None:
    file = VectorFile(_write(path, {"text": TEXTS, "vector": [[3.0, 4, 0, 0], *VECTORS[1:]]}), Columns())
    found, reading = _read(file)
    assert np.allclose(found[digest(TEXTS[0])], [0.6, 0.8, 0, 0])
    assert reading.scaled == 1
    found, reading = _read(file, Space("x", "y", 4, normalised=False))
    assert (found[digest(TEXTS[0])], reading.scaled) == ([3.0, 4.0, 0.0, 0.0], 0)


@given(rows=st.lists(st.tuples(st.text(max_size=5), st.lists(st.floats(width=32), max_size=6)), max_size=30))
def test_every_row_is_read_or_counted_as_bad_whatever_it_holds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, list[float]]]
) -> None:
    rows = [(text.encode("utf-8", "replace").decode(), vector) for text, vector in rows]
    kinds = pa.schema([("text", pa.string()), ("vector", pa.list_(pa.float32()))])
    path = tmp_path_factory.mktemp("any") / "any.parquet"
    pq.write_table(pa.table([[one[0] for one in rows], [one[1] for one in rows]], schema=kinds), path)
    reading = VectorFile(path, Columns()).read(SPACE)
    batches = list(reading.batches)
    assert sum(len(batch.places) for batch in batches) + reading.bad.rows == reading.rows == len(rows)
    for batch in batches:
        assert np.allclose(np.linalg.norm(batch.vectors.astype(np.float64), axis=1), 1, atol=1e-5)
        assert batch.hashes == [digest(rows[place - 1][0]) for place in batch.places.tolist()]


def test_places_go_on_from_batch_to_batch(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_file, "_READ_BYTES", 1)
    texts = [f"text {number}" for number in range(200)]
    vectors = [VECTORS[0] if number != 150 else None for number in range(200)]
    reading = VectorFile(_write(path, {"text": texts, "vector": vectors}), Columns()).read(SPACE)
    batches = list(reading.batches)
    assert len(batches) == 4
    places = [place for batch in batches for place in batch.places.tolist()]
    assert places == [place for place in range(1, 201) if place != 151]
    assert reading.bad.reasons == ["row 151 has no vector"]


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"body": TEXTS, "vector": VECTORS}, Columns(), "has no column 'text' of texts; it has body, vec"),
        ({"text": TEXTS}, Columns(), "has no column 'vector' of vectors; it has text. Name"),
        ({"text": TEXTS, "vector": VECTORS}, Columns(vector="v"), "has no column 'v' of vectors"),
        ({"text": TEXTS, "vector": VECTORS}, Columns(id="key"), "has no column 'key' of ids"),
        ({"text": [1, 2, 3], "vector": VECTORS}, Columns(), "column 'text' holds int64, not text"),
        ({"text": TEXTS, "vector": TEXTS}, Columns(), "column 'vector' holds string; vectors are lists of"),
        ({"text": TEXTS, "vector": [[1, 2]] * 3}, Columns(), "column 'vector' holds list<.*int64>; vectors"),
    ],
)  # fmt: skip
def test_a_file_without_what_is_needed_is_refused_by_file_and_column(
    path: Path, columns: dict[str, Any], options: Columns, said: str
) -> None:
    with pytest.raises(InputError, match=rf"vectors\.parquet:? {said}"):
        VectorFile(_write(path, columns), options)


def test_vectors_of_another_size_are_refused_before_any_is_read(path: Path) -> None:
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(6, np.float32)), 2)
    file = VectorFile(_write(path, {"text": TEXTS, "vector": column}), Columns())
    with pytest.raises(
        InputError, match=r"the vectors in column 'vector' have 2 numbers, those of .*@4 have 4"
    ):
        file.read(SPACE)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"hello world, this is text", b"PAR1" + b"\xff" * 99 + b"PAR1"]
)
def test_garbage_is_refused_by_its_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"vectors\.parquet cannot be read as Parquet"):
        VectorFile(path, Columns())
    with pytest.raises(InputError, match="there is no file"):
        VectorFile(path.with_name("none.parquet"), Columns())


def test_a_file_that_is_damaged_in_the_middle_is_refused_by_its_name(path: Path) -> None:
    many = {"text": [f"text {number}" for number in range(5000)], "vector": VECTORS[:1] * 5000}
    data = bytearray(_write(path, many).read_bytes())
    data[200:2000] = b"\xff" * 1800
    path.write_bytes(data)
    reading = VectorFile(path, Columns()).read(SPACE)
    with pytest.raises(InputError, match=r"vectors\.parquet cannot be read as Parquet"):
        list(reading.batches)


@pytest.mark.parametrize("stated", ["{", "[]", '{"provider": "x"}', '{"colour": "red"}'])
def test_a_damaged_space_in_the_metadata_is_said(path: Path, stated: str) -> None:
    _write(path, {"text": TEXTS, "vector": VECTORS}, {"vecmill.space": stated})
    with pytest.raises(InputError, match=r"vectors\.parquet has a damaged vecmill\.space"):
        VectorFile(path, Columns())
