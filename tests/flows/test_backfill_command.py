"""vecmill backfill and vecmill rerun on the command line."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.endpoint import MeteredEndpoint
from tests.flows.inside import vecmill_here
from tests.support import Ran, write_pages

_PAGES = {
    **{f"en/{n}.md": f"# River {n}\n\nIt rose by {n} inches in one night of rain." for n in range(5)},
    **{f"ja/{n}.md": f"# 川{n}\n\n一晩の雨で川は{n}センチも増水した。" for n in range(5)},
}


Command = Callable[..., Ran]


@pytest.fixture
def vecmill(capsys: pytest.CaptureFixture[str]) -> Command:
    return partial(vecmill_here, capsys)


@pytest.fixture
def folder(tmp_path: Path, vecmill: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = write_pages(tmp_path / "docs", _PAGES)
    assert vecmill("ingest", "docs", "--table", "docs", "--embedding", "local/wordllama@64").code == 0
    return folder


_WIDER = ("--embedding", "local/wordllama@128")


def test_a_table_is_planned_filled_compared_and_switched(
    folder: Path, vecmill: Command, tmp_path: Path
) -> None:
    planned = vecmill("backfill", "docs", *_WIDER, "--plan", "--json").json
    assert (planned["documents"]["new"], planned["to_embed"]["texts"]) == (10, 10)
    filled = vecmill("backfill", "docs", *_WIDER, "--compare", "--page", "page.html", "--json").json
    assert filled["generation"] == planned["generation"]
    assert (filled["documents"]["new"], filled["version"], filled["level_with"]) == (10, None, 1)
    assert filled["comparison"]["next"]["dimensions"] == 128
    assert "<svg" in (tmp_path / "page.html").read_text("utf-8")
    [hit] = vecmill("search", "川は3センチ", "--table", "docs", "--at", "next", "--top-k", "1", "--json").json
    assert hit["doc_id"].startswith("ja/")
    [shown] = vecmill("tables", "--json").json
    assert (shown["space"], shown["next"]) == (
        *("local/wordllama@64", f"{filled['generation']} local/wordllama@128"),
    )
    switched = vecmill("backfill", "docs", "--switch", "--json").json
    assert (switched["version"], switched["generation"], switched["parts"]) == (2, filled["generation"], 0)
    shown = vecmill("runs", filled["run_id"])
    assert (shown.code, "10 new" in shown.out, "1 part" in shown.out) == (0, True, True)
    [told] = vecmill(
        "sql", "select version, published, texts from runs where kind = 'backfill' limit 1", "--json"
    ).json
    assert (told["version"], told["published"]) == (1, False)
    [newest, _] = vecmill("versions", "docs", "--json").json
    assert (newest["kind"], newest["space"], newest["run_id"]) == (
        *("switch", "local/wordllama@128"),
        switched["run_id"],
    )
    assert "in place of generation 1-" in vecmill("versions", "docs").out


def test_conditions_switch_or_do_not(folder: Path, vecmill: Command) -> None:
    refused = vecmill("backfill", "docs", *_WIDER, "--switch-if", "overlap@10>1", "--json")
    assert refused.code == 5
    assert "overlap@10 is" in refused.json["error"]["message"]
    done = vecmill("backfill", "docs", "--switch-if", "overlap@10>=0.1,correlation>-1", "--json")
    assert done.json["version"] == 2
    assert vecmill("backfill", "docs", "--switch-if", "x").code == 3


def test_questions_and_labels_come_from_files(folder: Path, vecmill: Command, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("query_id,text\n1,the river rose by three inches\n2,川の増水\n", "utf-8")
    (tmp_path / "r.csv").write_text("query_id,doc_id,relevance\n1,en/3.md,1\n2,ja/3.md,1\n", "utf-8")
    asked = vecmill("backfill", "docs", *_WIDER, "--queries", "q.csv", "--json").json["comparison"]
    assert (asked["questions"], asked["next"]["recall"]) == (2, None)
    labelled = vecmill("backfill", "docs", "--queries", "q.csv", "--qrels", "r.csv", "--json").json
    assert 0.0 <= labelled["comparison"]["next"]["recall"] <= 1.0
    assert vecmill("backfill", "docs", "--qrels", "r.csv").code == 3


def test_a_pipeline_that_names_the_old_space_is_told_of_and_its_canaries_are_asked(
    folder: Path, vecmill: Command, tmp_path: Path
) -> None:
    toml = """
        [pipelines.handbook]
        table = "docs"
        source = { uri = "docs" }
        embedding = { provider = "local", model = "wordllama", dimensions = 64 }
        [pipelines.handbook.gate]
        canaries = [{ query = "川", doc_ids = ["%s"] }]
    """
    (tmp_path / "vecmill.toml").write_text(toml % "nowhere.md", "utf-8")
    refused = vecmill("backfill", "docs", *_WIDER, "--switch")
    assert refused.code == 5
    assert "the canary '川' does not find nowhere.md" in refused.err
    (tmp_path / "vecmill.toml").write_text(toml % "ja/1.md", "utf-8")
    done = vecmill("backfill", "docs", "--switch")
    assert done.code == 0, done.err
    assert "pipeline handbook of vecmill.toml names local/wordllama@64" in done.err
    refused = vecmill("ingest", "handbook")
    assert refused.code == 3
    assert "local/wordllama@128" in refused.err


def test_a_backfill_reaches_its_endpoint_as_it_did_before(
    folder: Path, vecmill: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with MeteredEndpoint(key="sk-test") as endpoint:
        space = ("--embedding", "openai/text-embedding-3-small@64")
        words = (*space, "--base-url", endpoint.url, "--where", "doc_id like 'en/%'")
        first = vecmill("backfill", "docs", *words, "--json")
        assert (first.code, first.json["partial"]) == (0, True)
        [hit] = vecmill("search", "river", "--table", "docs", "--at", "next", "--top-k", "1", "--json").json
        assert hit["doc_id"].startswith("en/")
        whole = vecmill("backfill", "docs", "--switch", "--json")
        assert (whole.code, whole.json["documents"]["new"]) == (0, 5)
        assert endpoint.ledger.billed_more_than_once() == {}
        assert vecmill("search", "川", "--table", "docs", "--mode", "vector").code == 0
        assert endpoint.ledger.requests == 4  # two searches, and two backfills


def test_other_cuts_begin_with_the_tables_own_splitter(folder: Path, vecmill: Command) -> None:
    vecmill("backfill", "docs", "--max-tokens", "16", "--switch")
    [newest, _] = vecmill("versions", "docs", "--json").json
    assert newest["splitter"] == "markdown/16"
    refused = vecmill("backfill", "docs", "--max-tokens", "16")
    assert (refused.code, "already" in refused.err) == (3, True)


def test_a_generation_is_dropped(folder: Path, vecmill: Command) -> None:
    vecmill("backfill", "docs", *_WIDER)
    dropped = vecmill("backfill", "docs", "--drop", "--json").json
    assert dropped["bytes"] > 0
    assert vecmill("backfill", "docs", "--drop").code == 3


@pytest.mark.parametrize(
    "words",
    [("--plan", "--switch"), ("--switch", "--drop"), ("--switch", "--where", "true"), ("--max-tokens", "4")],
)
def test_words_that_do_not_fit_together_are_refused(
    folder: Path, vecmill: Command, words: tuple[str, ...]
) -> None:
    assert vecmill("backfill", "docs", *_WIDER, *words).code == 2


def test_a_run_is_repeated_by_its_id(folder: Path, vecmill: Command) -> None:
    [first] = vecmill("runs", "--json").json
    report = vecmill("rerun", first["run_id"], "--json").json
    assert (report["published"], report["version"]) == (False, 1)
    cut = vecmill("rerun", first["run_id"], "--scope", "all", "--max-tokens", "16", "--json").json
    assert (cut["published"], cut["version"]) == (True, 2)
    assert vecmill("rerun", first["run_id"], "--max-tokens", "16").code == 2
    assert vecmill("rerun", first["run_id"], "--scope", "some").code == 2
    assert vecmill("rerun", "nope").code == 3
    runs = vecmill("runs", "--json").json
    assert [run["kind"] for run in runs] == ["rerun", "rerun", "ingest"]
