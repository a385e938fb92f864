"""Conditions: what they let through, and what they may not reach."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from pipeline.errors import InputError
from pipeline.job import SourceSpec
from pipeline.objects import Objects
from pipeline.search.find import Searcher
from pipeline.search.where import rows_where
from tests.support import job_for, run


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Thirty rows with metadata; the ones of the last years have no language."""
    base = tmp_path_factory.mktemp("where")
    rows = [
        {"id": str(year), "body": f"The year {year}. 年。", "year": year}
        | ({"lang": "ja" if year % 2 else "en"} if year < 2025 else {})
        for year in range(2000, 2030)
    ]
    path = Path(base / "rows.jsonl")
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    at = str(base / "store")
    run(job_for(SourceSpec("rows", str(path), text="body", id="id"), at))
    return Searcher(Objects(at), "docs")


def _years(searcher: Searcher, where: str) -> list[int]:
    rows = rows_where(searcher.dataset, where)
    assert rows.tolist() == sorted(rows.tolist())
    taken = searcher.dataset._take_rows(rows.tolist(), columns=["doc_id"])
    return sorted(int(name) for name in taken["doc_id"].to_pylist())


@pytest.mark.parametrize(
    ("where", "years"),
    [
        ("metadata->>'lang' = 'ja' and (metadata->>'year')::int > 2020", [2021, 2023]),
        ("metadata->>'lang' is null", [2025, 2026, 2027, 2028, 2029]),
        ("metadata->>'year' = '2026' or doc_id = 'O''Hara'", [2026]),
        ("doc_id in ('2001', '2002', 'nowhere')", [2001, 2002]),
        ("doc_id = '2003' -- the third", [2003]),
        ("DOC_ID = '2004' OR ordinal > 0", [2004]),
        ("cast(metadata->>'year' as int) between 2005 and 2006", [2005, 2006]),
        ("embedded_at < '2020-01-01'", []),
        ("true and year(embedded_at) > 2020 and doc_id = '2007'", [2007]),
    ],
)
def test_a_condition_lets_through_the_rows_it_holds_for(
    searcher: Searcher, where: str, years: list[int]
) -> None:
    assert _years(searcher, where) == years


@pytest.mark.parametrize(
    "where",
    [
        "(select count(*) from t) > 0",
        "exists (select 1 from read_text('/etc/passwd'))",
        "doc_id in (select content from read_text('/etc/passwd'))",
        "true) union all select 1 from read_csv('/etc/passwd') where (true",
        "true) or (select true from '/etc/passwd') or (false",
        "true) group by (doc_id",
        "true) order by (doc_id",
        "true) limit (1",
        "true); drop table t; select (true",
        "true); copy t to '/tmp/stolen.csv'; select (true",
        "current_setting('memory_limit') = '2GB'",
        "getenv('HOME') = '/root'",
        "pg_catalog.pg_get_viewdef(1) = ''",
        "sum(tokens) > 1",
        "row_number() over () = 1",
        "length(repeat('a', 10000000000)) > 1",
        "len(range(10000000000)) > 1",
        "nothing = 1",
        "other.doc_id = '1'",
        "doc_id",
        "1",
        "'true'",
        "",
        "  ",
        "-- nothing",
        "'",
        "\udcff",
        "unnest([true, false])",
        "t",
        "null",
    ],
)
def test_what_is_no_condition_on_a_row_is_refused(searcher: Searcher, where: str) -> None:
    with pytest.raises(InputError, match=r"^--where .* cannot be used: "):
        rows_where(searcher.dataset, where)


def test_all_rows_that_a_condition_lets_through_are_those_of_one_scan(searcher: Searcher) -> None:
    rows = rows_where(searcher.dataset, "true")
    assert np.array_equal(rows, np.unique(rows))
    assert len(rows) == searcher.entry.chunks
