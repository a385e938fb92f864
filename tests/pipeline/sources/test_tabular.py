"""Rows of files, one by one."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.sources.tabular import BadRow, Row, columns_of, read_rows

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def _rows(path: Path, *needed: str) -> list[tuple[str, Any]]:
    """Each row's place, and its values or the reason why there are none."""
    return [
        (row.place, row.values if isinstance(row, Row) else row.reason) for row in read_rows(path, needed)
    ]


def _file(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder / "rows.parquet"


def test_quoted_new_lines_commas_and_quotes_belong_to_the_value(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", 'id,text\r\n1,"one\ntwo, ""three"""\r\n\r\n2,山は高い。\r\n')
    assert columns_of(path) == ["id", "text"]
    assert _rows(path) == [
        ("line 2", {"id": "1", "text": 'one\ntwo, "three"'}),
        ("line 5", {"id": "2", "text": "山は高い。"}),
    ]


def test_a_ragged_row_costs_no_other(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", "id,text\n1,a\n2,b,c\n3\n4,d\n")
    assert _rows(path) == [
        ("line 2", {"id": "1", "text": "a"}),
        ("line 3", "line 3 has 3 values for 2 columns"),
        ("line 4", "line 4 has 1 values for 2 columns"),
        ("line 5", {"id": "4", "text": "d"}),
    ]


def test_a_quote_that_is_never_closed_is_bad_and_does_not_pass_for_a_long_text(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", 'id,text\n1,a\n2,"open\n3,b\n4,c\n')
    assert _rows(path) == [
        ("line 2", {"id": "1", "text": "a"}),
        ("line 3", "line 3 is no CSV: unexpected end of data"),
    ]


def test_after_broken_quoting_reading_goes_on_with_the_next_line(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", 'id,text\n1,"open\n2,"b"\n3,c\n')
    assert _rows(path) == [
        ("line 2", "line 2 is no CSV: ',' expected after '\"'"),
        ("line 4", {"id": "3", "text": "c"}),
    ]


def test_a_row_that_is_not_utf_8_costs_no_other(tmp_path: Path) -> None:
    sjis = "2,山\n".encode("shift_jis")
    path = _file(tmp_path, "a.csv", b"\xef\xbb\xbfid,text\n1,a\n" + sjis + "3,山\n".encode())
    assert _rows(path) == [
        ("line 2", {"id": "1", "text": "a"}),
        ("line 3", "line 3 is not UTF-8"),
        ("line 4", {"id": "3", "text": "山"}),
    ]


@pytest.mark.parametrize("encoding", ["shift_jis", "euc_jp", "utf-16"])
def test_a_header_in_another_encoding_is_an_error_with_a_remedy(encoding: str, tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", "番号,本文\n1,山\n".encode(encoding))
    with pytest.raises(InputError, match="is not UTF-8; convert it, for example with iconv"):
        columns_of(path)


@pytest.mark.parametrize("data", ["", "\nid,text\n"])
def test_a_csv_without_a_header_is_an_error(data: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no header"):
        columns_of(_file(tmp_path, "a.csv", data))


def test_broken_json_lines_cost_no_other(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"id": 1, "text": "\xe5\xb1\xb1"}',
        b"{broken",
        b"[1, 2]",
        b"",
        b'{"id": 2, "text": "\x8eR"}',
        b'{"id": 3, "text": "\\ud800"}',
        b'{"id": 4, "n": NaN}',
        b'{"id": 5}\r',
        b'{"id": 6',
    ]
    found = dict(_rows(_file(tmp_path, "a.jsonl", b"\n".join(lines))))
    assert {place: row for place, row in found.items() if isinstance(row, dict)} == {
        "line 1": {"id": 1, "text": "山"},
        "line 8": {"id": 5},
    }
    assert found["line 3"] == "line 3 is no JSON object"
    bad = [place for place, row in found.items() if isinstance(row, str) and " is no JSON: " in row]
    assert bad == ["line 2", "line 5", "line 6", "line 7", "line 9"]
    assert columns_of(tmp_path / "a.jsonl") is None


def test_parquet_gives_every_plain_column_and_of_nested_ones_those_needed(tmp_path: Path) -> None:
    path = _parquet(
        tmp_path,
        id=[1, 2],
        text=["a", None],
        vector=pa.array([[0.1, 0.2]] * 2, pa.list_(pa.float32(), 2)),
        tags=[["x", "山"], []],
        nested=[{"a": 1}, {"a": 2}],
        kind=pa.array(["k", "l"]).dictionary_encode(),
    )
    assert columns_of(path) == ["id", "text", "vector", "tags", "nested", "kind"]
    assert _rows(path, "id", "text") == [
        ("row 1", {"id": 1, "text": "a", "kind": "k"}),
        ("row 2", {"id": 2, "text": None, "kind": "l"}),
    ]
    assert _rows(path, "id", "tags")[0][1] == {"id": 1, "text": "a", "tags": ["x", "山"], "kind": "k"}


def test_parquet_numbers_rows_over_all_its_batches(tmp_path: Path) -> None:
    path = _parquet(tmp_path, id=list(range(10_000)))
    found = _rows(path, "id")
    assert [place for place, _ in found] == [f"row {number}" for number in range(1, 10_001)]
    assert found[-1] == ("row 10000", {"id": 9999})


def test_a_value_that_cannot_be_read_costs_its_own_row_only(tmp_path: Path) -> None:
    path = _parquet(
        tmp_path,
        id=[1, 2, 3],
        text=pa.array([b"a", b"\x8eR", b"c"]).view(pa.string()),
        at=pa.array([0, 0, 2**62], pa.timestamp("us")),
    )
    first, second, third = _rows(path, "id", "text")
    assert first == ("row 1", {"id": 1, "text": "a", "at": datetime(1970, 1, 1)})
    assert "row 2 cannot be read: 'utf-8' codec can't decode byte 0x8e" in second[1]
    assert third == ("row 3", "row 3 cannot be read: date value out of range")


def test_parquet_values_python_has_no_exact_form_for_are_read_all_the_same(tmp_path: Path) -> None:
    path = _parquet(
        tmp_path,
        id=pa.array([b"one"], pa.binary()),
        at=pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC")),
        day=[date(2024, 2, 29)],
        price=[Decimal("1.50")],
        blob=[b"\xff"],
    )
    at = datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    values = {"id": "one", "at": at, "day": date(2024, 2, 29), "price": Decimal("1.50"), "blob": b"\xff"}
    assert _rows(path, "id") == [("row 1", values)]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1 truncated in the mid"])
def test_a_broken_parquet_file_is_an_error_that_names_it(data: bytes, tmp_path: Path) -> None:
    path = _file(tmp_path, "a.parquet", data)
    with pytest.raises(InputError, match=r"a\.parquet cannot be read: "):
        columns_of(path)
    with pytest.raises(InputError, match=r"a\.parquet cannot be read: "):
        _rows(path)


@pytest.mark.parametrize("name", ["gone.csv", "gone.jsonl", "gone.parquet"])
def test_a_missing_file_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{name} cannot be read: .*[Nn]o such file"):
        _rows(tmp_path / name)


def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.xlsx holds no rows; use \.csv, \.jsonl, \.ndjson, \.parquet"):
        columns_of(_file(tmp_path, "a.xlsx", "x"))


@given(st.lists(st.tuples(_text, _text), min_size=1, max_size=8))
def test_what_a_csv_writer_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    import tempfile

    written = io.StringIO(newline="")
    csv.writer(written).writerows([("a", "b"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = _file(Path(folder), "a.csv", written.getvalue())
        found = list(read_rows(path, ()))
    assert [row.values for row in found if isinstance(row, Row)] == [{"a": a, "b": b} for a, b in rows]
    assert not any(isinstance(row, BadRow) for row in found)
