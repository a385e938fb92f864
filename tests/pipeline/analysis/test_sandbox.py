"""SQL cannot reach files, the network, settings or the store's content: a list of attempts."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.analysis.sql import query
from pipeline.errors import InputError
from pipeline.objects import Objects
from tests.pipeline.stages.steps import listing
from tests.support import job_for, run, write_pages

local_rows = pa.table({"secret": ["in this process"]})  # what a replacement scan would find by its name

FILES = [
    "select * from '{file}'",
    'select * from "{file}"',
    "select * from read_csv('{file}')",
    "select * from READ_CSV_AUTO('{file}')",
    "select * from \"read_text\"('{file}')",
    "select * from main.read_blob('{file}')",
    "select * from read_json('{file}')",
    "select * from read_parquet(['{file}'])",
    "select * from sniff_csv('{file}')",
    "select * from glob('{folder}/*')",
    "select (select content from read_text('{file}'))",
    "select 1 where 'x' in (select content from read_text('{file}'))",
    "with x as (select * from read_text('{file}')) select 1",
    "select * from docs, lateral (select * from read_text('{file}'))",
    "select 1 union all select 2 from read_csv('{file}')",
    "select 1 order by (select content from read_text('{file}'))",
    "pivot read_csv('{file}') on a in (1) using count(*)",
    "describe select * from read_csv('{file}')",
    "summarize '{file}'",
    "select * from (with \"{file}\" as (select 1) select 1), '{file}'",
    'with "{file}" as (select * from \'{file}\') select * from "{file}"',
    "select * from 's3://bucket/x.parquet'",
    "select * from read_csv('https://example.com/x.csv')",
    "select * from docs at (version => 1)",
]
WRITES = [
    "copy docs to '{folder}/out.csv'",
    "copy (select 1) to '{folder}/out.parquet'",
    "with x as (copy docs to '{folder}/out.csv') select 1",
    "export database '{folder}/out'",
    "import database '{folder}'",
    "attach '{folder}/out.db' as out",
    "create table t as select 1",
    "create or replace view docs as select 1",
    "create temp macro m() as 1",
    "create secret s (type s3)",
    "insert into docs select * from docs",
    "with x as (insert into docs select * from docs returning *) select * from x",
    "with x as (with y as (delete from docs returning *) from y) from x",
    "with x as (update docs set text = '' returning *) select * from x",
    "update docs set text = ''",
    "merge into docs using docs d on docs.doc_id = d.doc_id when matched then delete",
    "drop view docs",
    "comment on view docs is 'x'",
    "begin",
]
SETTINGS = [
    "set memory_limit = '1TB'",
    "reset memory_limit",
    "pragma database_list",
    "call pragma_version()",
    "use memory",
    "install httpfs",
    "load httpfs",
    "load '{file}'",
    "select current_setting('home_directory')",
    "select \"CURRENT_SETTING\"('home_directory')",
    "select 'home_directory'.current_setting()",
    "select list_transform(['home_directory'], lambda x: current_setting(x))",
    "select doc_id from docs group by doc_id having current_setting('threads') > 0",
    "select row_number() over (order by current_setting('threads'))",
    "select getenv('HOME')",
    "select getvariable('x')",
    "select pg_sleep(1)",
    "select * from duckdb_settings()",
    "select * from pragma_database_list",
    "select * from pragma_version()",
    "select * from query('select 1')",
    "select * from query_table('docs')",
    "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "select * from arrow_scan(1, 2, 3)",
    "prepare p as select 1",
    "explain select 1",
]
CATALOG = [
    "select * from information_schema.tables",
    'with "information_schema.tables" as (select 1) select * from information_schema.tables',
    "select * from sqlite_master",
    "with sqlite_master as (select 1) select * from main.sqlite_master",
    "select * from pg_catalog.pg_settings",
    "select * from pg_settings",
    "with pg_settings as (select * from pg_settings) select * from pg_settings",
    "with recursive PG_SETTINGS as (select * from pg_settings) select * from pg_settings",
    "with recursive pg_am as (select oid from pg_am union select oid from pg_am) from pg_am",
    "select * from pg_settings, (with pg_settings as (select 1) select 1)",
    "select * from duckdb_tables",
    "show tables",
    "show all tables",
    "from (show tables)",
    "with x as (show tables) select * from x",
    "select * from local_rows",
    "select * from store",
    "select secret from pa",
]
LARGE = [
    "select len(range(400000000))",
    "select len(generate_series(1, 400000000))",
    "select len(RANGE(length(text))) from docs",
    "from unnest(range(400000000))",
    "select list_transform(range(100000000), lambda x: x)",
    "select repeat('x', 4000000000)",
    "select repeat([1], 400000000)",
    "select repeat('x', 1000 * 1000000)",
    "select repeat(repeat('x', 1000), 1000)",
    "select repeat(text || rpad(text, 1000, 'x'), 1000) from docs",
    "select lpad('x', 2000000000, 'y')",
    "select list_resize([1], 400000000)",
    "select array_resize([1], 400000000)",
    "select format('{:>2000000000}', 1)",
    "select format('{:>{}}', 1, 2000000000)",
    "select printf('%2000000000d', 1)",
    "select printf('%*d', 2000000000, 1)",
    "select printf(text, 1) from docs",
]
SHAPES = [
    "",
    ";",
    "-- nothing",
    "select 1; select 2",
    "select 1; drop view docs",
    "select 1; copy docs to '{folder}/out.csv'",
    "select ' from docs",
    "selec 1",
    "select \x00",
    "select '\udcff'",
    "select " + "(" * 5000 + "1" + ")" * 5000,
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    base = tmp_path_factory.mktemp("sandbox")
    (base / "secret.csv").write_text("a\n1\n", "utf-8")
    run(job_for(write_pages(base / "docs", {"a.md": "Rivers.", "b.md": "山。"}), str(base / "store")))
    return str(base / "store")


@pytest.mark.parametrize("attempt", FILES + WRITES + SETTINGS + CATALOG + LARGE + SHAPES)
def test_an_attempt_at_more_than_reading_tables_is_refused(store: str, attempt: str) -> None:
    folder = Path(store).parent
    sql = attempt.replace("{folder}", str(folder)).replace("{file}", str(folder / "secret.csv"))
    before = listing(folder)
    with pytest.raises(InputError):
        list(query(Objects(store), sql))
    assert listing(folder) == before


def test_a_query_cannot_prepare_the_ground_for_the_next(store: str, tmp_path: Path) -> None:
    elsewhere = str(tmp_path)
    drawn = "select setseed(0.5), random() as n"
    [first], [second] = (
        list(query(Objects(store), drawn)),
        list(query(Objects(store), "select random() as n")),
    )
    assert first["n"] != second["n"]
    under_way = query(Objects(store), "select doc_id from docs order by 1")
    assert next(under_way) == {"doc_id": "a.md"}
    for name in ("docs", "temp.main.docs", "memory.main.docs"):
        with pytest.raises(InputError):
            list(query(Objects(elsewhere), f"select * from {name}"))
    assert list(under_way) == [{"doc_id": "b.md"}]
