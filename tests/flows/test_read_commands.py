"""The commands that read, asked for what cannot be."""

from pathlib import Path

import pytest

from tests.flows.inside import vecmill_here
from tests.support import Ran, job_for, run, write_pages

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store that holds two pages as version 1 of `docs`."""
    home = tmp_path_factory.mktemp("published")
    run(
        job_for(
            write_pages(home / "docs", {"a.md": "Rivers carry water.", "山.md": "山は高い。"}),
            str(home / "store"),
        )
    )
    return str(home / "store")


def _refused(ran: Ran, code: int) -> str:
    """The message of a command that failed."""
    assert ran.code == code, ran.err
    return str(ran.json["error"]["message"])


@pytest.mark.parametrize(
    "words", [["versions", "nope"], ["rollback", "nope", "1"], ["search", "q", "--table", "nope"]]
)
def test_an_unknown_table_is_refused_with_the_tables_there_are(
    words: list[str], published: str, capsys: Captured
) -> None:
    message = _refused(vecmill_here(capsys, *words, "--store", published, "--json"), 3)
    assert message == f"there is no table 'nope' in {published}; the store has docs"


@pytest.mark.parametrize(
    "words", [["tables"], ["versions", "docs"], ["search", "q"], ["sql", "select 1"], ["runs"]]
)
def test_a_store_that_is_not_there_is_refused_by_whoever_reads(
    words: list[str], store: str, capsys: Captured
) -> None:
    message = _refused(vecmill_here(capsys, *words, "--store", store, "--json"), 3)
    assert message == f"there is no store at {store}; ingest something first, or name it with --store"
    assert not Path(store).exists()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("selec 1", "the query cannot be read: syntax error"),
        ("select nope from docs", "the query failed: "),
        ("select * from nope", "there is no table 'nope' to query; there are docs, "),
        ('select * from "docs@9"', "table 'docs' has no version 9; it has 1 to 1"),
        ("delete from docs", "only a SELECT can be run"),
        ("select 1; select 2", "one SELECT at a time"),
        ("select * from read_csv('/etc/passwd')", "read_csv is not allowed here"),
    ],
)
def test_wrong_sql_is_refused_with_the_reason(
    query: str, said: str, published: str, capsys: Captured
) -> None:
    assert said in _refused(vecmill_here(capsys, "sql", query, "--store", published, "--json"), 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search", " "], "the query is empty"),
        (["search", "q", "--mode", "magic"], "there is no search mode 'magic'; choose one of vector"),
        (["search", "q", "--top-k", "0"], "--top-k is 0; it must be at least 1"),
        (["search", "q", "--where", "(select 1) = 1"], "it may not ask a query of its own"),
        (["search", "q", "--metric", "l3"], "there is no metric 'l3'; choose one of cosine, dot, l2, l1"),
        (["search", "q", "--mode", "funnel", "--steps", "64"], "'64' are no steps of a funnel; write"),
        (["search", "q", "--at", "7"], "table 'docs' has no version 7; it has 1 to 1"),
        (["search", "q", "--where", "nope = 1"], "--where 'nope = 1' cannot be used"),
        (["rollback", "docs", "7"], "table 'docs' has no version 7; it has 1 to 1"),
        (["runs", "nope"], "there is no run 'nope'; vecmill runs lists them"),
    ],
)
def test_wrong_words_to_a_reading_command_are_refused_with_the_bound(
    words: list[str], said: str, published: str, capsys: Captured
) -> None:
    assert said in _refused(vecmill_here(capsys, *words, "--store", published, "--json"), 3)
