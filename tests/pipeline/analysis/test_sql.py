"""SQL over a store: what can be asked, and that only what is asked for is read."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.analysis.sql import query
from pipeline.errors import InputError
from pipeline.job import Budget
from pipeline.objects import Objects
from pipeline.store.history import rollback
from pipeline.store.names import Names
from tests.support import job_for, run, write_pages

Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two versions of docs, a rollback, a table with a name that needs quotes, and a dead letter."""
    base = tmp_path_factory.mktemp("sql")
    at = str(base / "store")
    folder = write_pages(base / "docs", {"a.md": "# A\n\nRivers.", "b.md": "# 山\n\n山は高い。"})
    run(job_for(folder, at))
    write_pages(folder, {"a.md": "# A\n\nLakes.", "c.md": "More."})
    (folder / "broken.md").write_bytes(b"\xff\xfe\x00" * 30)
    run(job_for(folder, at, budget=Budget(failures=1)))
    run(job_for(write_pages(base / "other", {"d.md": "d"}), at, table="my-table.日本"))
    rollback(Objects(at), "docs", 1)
    Names(Objects(at), "docs").give(2, "v-2026.11")
    return at


@pytest.fixture
def ask(store: str) -> Ask:
    return lambda sql: list(query(Objects(store), sql))


def test_a_table_is_a_view_of_its_live_version(ask: Ask) -> None:
    assert ask("select doc_id, text from docs order by doc_id") == [
        {"doc_id": "a.md", "text": "# A\n\nRivers."},
        {"doc_id": "b.md", "text": "# 山\n\n山は高い。"},
    ]


def test_a_version_is_a_view_of_its_own(ask: Ask) -> None:
    assert ask('select doc_id from "docs@2" order by 1') == [
        {"doc_id": "a.md"},
        {"doc_id": "b.md"},
        {"doc_id": "c.md"},
    ]
    for name in ("v-2026.11", "live", "2126-01-01T00:00+09:00"):
        assert ask(f'select count(*) as n from "docs@{name}"') == [{"n": 3 if name == "v-2026.11" else 2}]
    changed = 'select a.doc_id from "docs@1" a join "docs@2" b using (doc_id) where a.text <> b.text'
    assert ask(changed) == [{"doc_id": "a.md"}]


@pytest.mark.parametrize("name", ["docs@x", "docs@-1"])
def test_what_is_no_version_is_refused_with_what_could_be_said(ask: Ask, name: str) -> None:
    with pytest.raises(InputError, match=r"write a number, a name, or a time .*; its names are v-2026\.11"):
        ask(f'select * from "{name}"')


@pytest.mark.parametrize("name", ["docs@0", "docs@4", "docs@99999999999999999999"])
def test_an_unknown_version_is_refused_with_those_there_are(ask: Ask, name: str) -> None:
    with pytest.raises(InputError, match="it has 1 to 3"):
        ask(f'select * from "{name}"')


@pytest.mark.parametrize("name", ["nope", "docs@", "@1", "nope@1", "docs.docs", "main.docs", "Docs"])
def test_an_unknown_table_is_refused_with_those_there_are(ask: Ask, name: str) -> None:
    with pytest.raises(InputError, match=r"there are docs, my-table\.日本, runs, dead_letters, versions"):
        ask(f'select * from "{name}"')


def test_any_name_can_be_asked_for_in_quotes(ask: Ask) -> None:
    assert ask('select count(*) as n from "my-table.日本"') == [{"n": 1}]
    assert ask('select count(*) as n from "my-table.日本@1"') == [{"n": 1}]


def test_runs_versions_and_dead_letters_are_views(ask: Ask) -> None:
    assert ask('select "table", state, published, texts from runs order by started_at') == [
        {"table": "docs", "state": "finished", "published": True, "texts": 2},
        {"table": "docs", "state": "finished", "published": True, "texts": 2},
        {"table": "my-table.日本", "state": "finished", "published": True, "texts": 1},
    ]
    assert ask("select version, names from versions where len(names) > 0") == [
        {"version": 2, "names": ["v-2026.11"]}
    ]
    assert ask("select version, kind, chunks, space from versions where \"table\" = 'docs' order by 1") == [
        {"version": 1, "kind": "ingest", "chunks": 2, "space": "local/wordllama@64"},
        {"version": 2, "kind": "ingest", "chunks": 3, "space": "local/wordllama@64"},
        {"version": 3, "kind": "rollback", "chunks": 2, "space": "local/wordllama@64"},
    ]
    [letter] = ask("select * from dead_letters")
    assert (letter["doc_id"], letter["stage"], letter["table"]) == ("broken.md", "split", "docs")
    [joined] = ask(
        'select count(*) as n from dead_letters join runs using (run_id) where dead_letters."at" <= ended_at'
    )
    assert joined == {"n": 1}


def test_a_store_without_anything_has_empty_views(tmp_path: Path) -> None:
    empty = Objects(str(tmp_path), create=True)
    for view in ("runs", "dead_letters", "versions"):
        assert list(query(empty, f"select * from {view}")) == []
    with pytest.raises(InputError, match="there are runs, dead_letters, versions"):
        list(query(empty, "select * from docs"))


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("with docs as (select * from docs where doc_id = 'a.md') select count(*) as n from docs", 1),
        ("with Docs as (select 7 as n) select n from docs", 7),
        ("select count(*) as n from docs, (with docs as (select 1) select 1)", 2),
        ("with a as (select 3 as n), b as (from a) select n from b", 3),
        ("with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) from t where n = 5", 5),
        ("select (select count(*) from docs d where d.doc_id = o.doc_id) as n from docs o limit 1", 1),
        ('select count(*) as n from docs where doc_id in (select doc_id from "docs@2")', 2),
        ("from docs select count(*) as n", 2),
        ("select n from (values (4)) t(n)", 4),
        ("select max(range) as n from range(9)", 8),
        ("select 1 as n union all select 1 limit 1", 1),
        ("select len(range(1000)) as n", 1000),
        ("select length(lpad('7', 3, '0') || repeat('ab', 2) || format('{:.2f}', 1.5)) as n", 11),
        ("select length(printf('%05.1f', 2.25)) as n", 5),
        ("/* a comment */ select 1 as n; -- and another", 1),
    ],
)
def test_selects_of_every_shape_are_answered(ask: Ask, sql: str, found: int) -> None:
    assert ask(sql) == [{"n": found}]


@pytest.mark.parametrize(
    "condition",
    [
        "text like '%高い%'",
        "heading_path = ['山']",
        "list_contains(heading_path, '山')",
        "embedded_at > timestamptz '2020-01-01' and doc_id > 'a.md'",
        "doc_id in ('b.md', 'x') and tokens between 1 and 99 and ordinal <> 7",
        "start is not null and metadata = '{}' and doc_id = 'b.md'",
        "array_cosine_similarity(vector, (select vector from docs where doc_id = 'b.md')) > 0.99",
        "starts_with(doc_id, 'b') and \"end\" = length(text)",
    ],
)
def test_every_column_can_be_filtered(ask: Ask, condition: str) -> None:
    assert ask(f"select doc_id from docs where {condition}") == [{"doc_id": "b.md"}]


def test_columns_of_one_name_are_numbered_so_that_none_is_lost(ask: Ask) -> None:
    assert ask("select 1 as a, 2 as a, 3 as a_1, 4 as a") == [{"a": 1, "a_2": 2, "a_1": 3, "a_3": 4}]
    joined = "select * from docs a join \"docs@2\" b on a.doc_id = b.doc_id where a.doc_id = 'a.md'"
    [row] = ask(joined)
    assert (row["text"], row["text_1"]) == ("# A\n\nRivers.", "# A\n\nLakes.")


def test_rows_come_as_they_are_read(store: str) -> None:
    found = query(Objects(store), "select range as n from range(1000000000000)")
    assert [row["n"] for row in islice(found, 3)] == [0, 1, 2]


@pytest.mark.parametrize(
    "sql",
    [
        "select sum(a.range * b.range) from range(1000000) a, range(1000000) b",
        "select sleep_ms(20000)",
        "select * from range(1000000000000)",
        "with recursive t as (select 1 as n union all select n + 1 from t) select n from t",
    ],
)
def test_a_query_beyond_its_time_is_stopped_and_says_so(store: str, sql: str) -> None:
    with pytest.raises(InputError, match=r"took longer than 0\.1 s and was stopped"):
        for _ in query(Objects(store), sql, seconds=0.1):
            pass


@pytest.mark.parametrize(
    "sql", ["select nope from docs", "select sum(text) from docs", "select 1 // 0", "select $1"]
)
def test_what_duckdb_refuses_is_bad_input(ask: Ask, sql: str) -> None:
    with pytest.raises(InputError, match="the query failed"):
        ask(sql)


def _read_bytes() -> int:
    """Bytes that this process has read so far, from the page cache as well."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["rchar"])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="reads are counted by Linux")
def test_only_the_columns_and_rows_that_a_query_needs_are_read(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(0, 10**9, (1200, 6))
    text = "\n\n".join(f"# {number}\n\n{' '.join(map(str, row))}" for number, row in enumerate(words))
    at = str(tmp_path / "store")
    run(job_for(write_pages(tmp_path / "docs", {"a.md": text, "b.md": "One row."}), at))

    def cost(sql: str) -> int:
        list(query(Objects(at), sql))  # warm: opening the dataset is no part of the query
        before = _read_bytes()
        assert list(query(Objects(at), sql))
        return _read_bytes() - before

    nothing = cost("select 1")
    whole = cost("select sum(hash(vector)), sum(hash(text)) from docs") - nothing
    assert whole > 1200 * 64 * 4
    assert cost("select sum(tokens) from docs") - nothing < whole / 5
    assert cost("select vector from docs where doc_id = 'b.md'") - nothing < whole / 3
