"""Rows as documents."""

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError, UsageError
from pipeline.job import SourceSpec
from pipeline.model import DeadLetter, Document, Listed
from pipeline.sources import open_source
from pipeline.sources.paths import file_uri
from pipeline.sources.rows import RowSource
from tests.support import write_pages


def _source(path: Path, text: str = "text", id: str = "id") -> RowSource:
    return RowSource(SourceSpec("rows", str(path), text=text, id=id))


def _csv(folder: Path, text: str, name: str = "a.csv") -> Path:
    return write_pages(folder, {name: text}) / name


def _json(folder: Path, *rows: Any, name: str = "a.jsonl") -> Path:
    return write_pages(folder, {name: "".join(json.dumps(row) + "\n" for row in rows)}) / name


def _documents(source: RowSource) -> list[Document]:
    listed = [one for one in source.list() if isinstance(one, Listed)]
    read = list(source.read(listed))
    assert [one.doc_id for one in read] == [one.doc_id for one in listed]
    return [one for one in read if isinstance(one, Document)]


def _letters(source: RowSource) -> list[tuple[str, str, str]]:
    """Each dead letter's id, the fragment of its URI, and its reason."""
    letters = [one for one in source.list() if isinstance(one, DeadLetter)]
    assert {letter.stage for letter in letters} <= {"list"}
    return [(letter.doc_id, letter.uri.rpartition("#")[2], letter.reason) for letter in letters]


def test_a_row_is_a_document_with_its_other_columns_as_metadata(tmp_path: Path) -> None:
    path = _csv(tmp_path, "id,text,lang,stars\n7,山は高い。,ja,5\n8,Rivers,en,\n")
    first, second = _documents(_source(path))
    assert (first.doc_id, first.text, first.uri) == ("7", "山は高い。", f"{file_uri(path)}#7")
    assert json.loads(first.metadata) == {"lang": "ja", "stars": "5"}
    assert json.loads(second.metadata) == {"lang": "en", "stars": ""}


def test_a_template_takes_several_columns_one_of_them_twice(tmp_path: Path) -> None:
    path = _json(tmp_path, {"id": 1, "題名": "山", "Full Text": "高い", "n": 2.5, "none": None})
    source = _source(path, "題: {題名}; {Full Text} ({題名}, {n}{none})")
    [document] = _documents(source)
    assert document.text == "題: 山; 高い (山, 2.5)"
    assert document.metadata == "{}"


def test_values_that_look_like_a_template_are_not_filled_in(tmp_path: Path) -> None:
    path = _json(tmp_path, {"id": 1, "a": "{b}", "b": "\\1 {a}"})
    assert [one.text for one in _documents(_source(path, "{a}|{b}"))] == ["{b}|\\1 {a}"]


def test_the_metadata_keeps_scalars_and_dates_and_leaves_lists_and_bytes_out(tmp_path: Path) -> None:
    columns = {
        "id": [1],
        "text": ["x"],
        "flag": [True],
        "score": [float("nan")],
        "big": pa.array([2**64 - 1], pa.uint64()),
        "day": pa.array([19_782], pa.date32()),
        "at": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        "price": pa.array(["1.50"]).cast(pa.decimal128(5, 2)),
        "vector": pa.array([[0.5, 0.5]], pa.list_(pa.float32(), 2)),
        "blob": [b"\xff"],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    [document] = _documents(_source(tmp_path / "a.parquet"))
    assert json.loads(document.metadata) == {
        "flag": True,
        "score": None,
        "big": 2**64 - 1,
        "day": "2024-02-29",
        "at": "2023-11-14T22:13:20.123456",
        "price": "1.50",
    }


def test_the_token_follows_the_text_and_the_metadata_and_not_the_place(tmp_path: Path) -> None:
    def token(*rows: dict[str, Any]) -> str:
        return next(one.token for one in _documents(_source(_json(tmp_path, *rows))) if one.doc_id == "1")

    before = token({"id": 1, "text": "a", "lang": "en"})
    assert token({"id": 0, "text": "z"}, {"lang": "en", "text": "a", "id": "1"}) == before
    assert token({"id": 1, "text": "b", "lang": "en"}) != before
    assert token({"id": 1, "text": "a", "lang": "ja"}) != before


def test_an_id_that_occurs_twice_keeps_its_first_row(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.csv": "id,text\n1,first\n1,second\n", "b.csv": "id,text\n1,third\n2,x\n"})
    source = _source(tmp_path)
    assert [(one.doc_id, one.text) for one in _documents(source)] == [("1", "first"), ("2", "x")]
    assert _letters(source) == [("1", "1", "the id '1' occurs twice")] * 2


def test_a_row_without_its_id_or_its_text_is_a_dead_letter_by_its_place(tmp_path: Path) -> None:
    rows = [
        {"text": "a"},
        {"id": None, "text": "b"},
        {"id": "", "text": "c"},
        {"id": 4},
        {"id": 0, "text": "d"},
    ]
    source = _source(_json(tmp_path, *rows))
    assert [one.doc_id for one in _documents(source)] == ["0"]
    assert _letters(source) == [
        ("", "line=1", "line 1 has no 'id'"),
        ("", "line=2", "line 2 has no 'id'"),
        ("", "line=3", "line 3 has no 'id'"),
        ("4", "4", "line 4 has no 'text'"),
    ]


def test_a_bad_row_is_a_dead_letter_by_its_place(tmp_path: Path) -> None:
    source = _source(_csv(tmp_path, "id,text\n1,a,b\n2,c\n"))
    assert [one.doc_id for one in _documents(source)] == ["2"]
    assert _letters(source) == [("", "line=2", "line 2 has 3 values for 2 columns")]


def test_a_row_with_an_empty_text_is_a_document_with_nothing_in_it(tmp_path: Path) -> None:
    path = _json(tmp_path, {"id": 1, "text": None}, {"id": 2, "text": ""})
    assert [one.text for one in _documents(_source(path))] == ["", ""]


@pytest.mark.parametrize(("text", "id", "missing"), [("nope", "id", "nope"), ("{text} {本文}", "id", "本文"),
                                                    ("text", "key", "key")])  # fmt: skip
def test_a_column_that_is_not_there_stops_with_the_columns_that_are(
    text: str, id: str, missing: str, tmp_path: Path
) -> None:
    path = _csv(tmp_path, "id,text\n1,a\n")
    with pytest.raises(InputError) as raised:
        list(_source(path, text, id).list())
    assert str(raised.value) == f"{path} has no column '{missing}'; its columns are 'id', 'text'"


def test_a_column_that_is_there_twice_is_refused_where_it_is_used(tmp_path: Path) -> None:
    path = _csv(tmp_path, "id,text,text,x,x\n1,a,b,c,d\n")
    with pytest.raises(InputError, match="has more than one column 'text'"):
        list(_source(path).list())


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.csv", "id,text\n", "holds no rows that can be read; nothing was changed"),
        ("a.csv", "id,text\n1\n", "can be read: line 2 has 1 values for 2 columns; nothing was changed"),
        ("a.jsonl", "", "holds no rows that can be read; nothing was changed"),
        ("a.jsonl", '[{"id": 1}]', "can be read: line 1 is no JSON object; nothing was changed"),
    ],
)
def test_a_file_without_one_good_row_is_an_error_that_says_why(
    name: str, data: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as raised:
        list(_source(_csv(tmp_path, data, name)).list())
    assert reason in str(raised.value)


def test_a_folder_without_files_of_rows_is_an_error(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.md": "x"})
    with pytest.raises(InputError, match=r"holds no files of rows \(\*\*/\*\.csv, .*nothing was changed"):
        list(_source(tmp_path).list())


@pytest.mark.parametrize(("text", "id"), [(None, "id"), ("text", None), ("", "id"), ("{}", "id")])
def test_rows_need_a_text_and_an_id(text: str | None, id: str | None, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--text"):
        open_source(SourceSpec("rows", str(tmp_path), text=text, id=id))


def test_a_row_that_vanished_since_it_was_listed_is_a_dead_letter(tmp_path: Path) -> None:
    source = _source(_json(tmp_path, {"id": 1, "text": "a"}, {"id": 2, "text": "b"}))
    listed = [one for one in source.list() if isinstance(one, Listed)]
    _json(tmp_path, {"id": 2, "text": "b"})
    read = {one.doc_id: one for one in source.read(listed)}
    assert isinstance(read["2"], Document)
    assert isinstance(read["1"], DeadLetter)
    assert read["1"].reason == "the row vanished while the run was reading"


def test_only_the_rows_asked_for_are_read(tmp_path: Path) -> None:
    source = _source(_json(tmp_path, {"id": 1, "text": "a"}, {"id": 2, "text": "b"}))
    listed = [one for one in source.list() if isinstance(one, Listed)]
    assert [one.doc_id for one in source.read(listed[1:])] == ["2"]


@pytest.mark.parametrize("doc_id", ["a#b", "#", "100%", "日本 語", "a/b?c", "{x}", "line\nbreak"])
@pytest.mark.parametrize("name", ["a.jsonl", "行 #1 [x] 100%.jsonl"])
def test_a_row_of_any_id_is_covered_by_its_file_and_by_its_folder_and_by_no_neighbour(
    doc_id: str, name: str, tmp_path: Path
) -> None:
    path = _json(tmp_path, {"id": doc_id, "text": "x"}, name=name)
    other = _json(tmp_path, {"id": doc_id, "text": "x"}, name="other.jsonl")
    [listed] = _source(path).list()
    assert listed.doc_id == doc_id
    assert listed.uri.count("#") == 1
    assert _source(path).covers(listed.uri)
    assert _source(tmp_path).covers(listed.uri)
    assert not _source(other).covers(listed.uri)
    assert not _source(path).covers(file_uri(path))


_word = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(_word.filter(bool), _word, _word), min_size=1, max_size=5, unique_by=lambda row: row[0]
    )
)
def test_the_same_rows_are_the_same_documents_in_every_format(rows: list[tuple[str, str, str]]) -> None:
    names = ("id", "text", "題")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with (root / "a.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([names, *rows])
        values = [dict(zip(names, row, strict=True)) for row in rows]
        _json(root, *values)
        pq.write_table(pa.Table.from_pylist(values), root / "a.parquet")
        found = [_documents(_source(root / f"a.{kind}")) for kind in ("csv", "jsonl", "parquet")]
    taken = [[(one.doc_id, one.text, one.metadata, one.token) for one in documents] for documents in found]
    assert taken[0] == taken[1] == taken[2]
    assert [one[:2] for one in taken[0]] == [row[:2] for row in rows]
